"""Traces of a server as samples of a bank: one store of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.evals.bank import Bank
from quorate.evals.bank.importers import import_path
from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Candidate, Failure, Question, TokenLogprob
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import Trace, TracedChoice, TraceStore


def traced(identity: str, *, texts: bool = True) -> Trace:
    usage = Usage(prompt_tokens=5, completion_tokens=2, requests=1, cost=0.5)
    logprobs = (TokenLogprob(token="4", logprob=-0.1, top=(("4", -0.1), ("5", -2.0))),)
    good = Candidate(index=0, model="m", agent="box", text="it is 4", answer="4", usage=usage, logprobs=logprobs)
    bad = Candidate(index=1, model="m", agent="box", error=Failure(code="upstream_timeout", message="late"))
    question = Question.of("Two and two?").with_params(temperature=0.5)
    return Trace(
        id=identity,
        began=1000.0,
        seconds=1.0,
        model="majority@2/box",
        status=200,
        question=question if texts else None,
        question_key=question.key,
        choices=(TracedChoice(candidates=(good, bad)),),
    )


def stored(path: Path, *traces: Trace) -> Path:
    store = TraceStore(path)
    store.add(traces)
    store.close()
    return path


async def test_served_candidates_become_samples(tmp_path: Path) -> None:
    """Each with its question, usage and log-probabilities as it was; failures stay out; twice adds nothing."""
    file = stored(tmp_path / "traces.sqlite", traced("a"), traced("b"))
    with Bank(tmp_path / "bank") as bank:
        assert (import_path(bank, file)).new == 2
        assert (import_path(bank, file)).new == 0
        sets = list(bank.sets(task="served"))
        [question] = {labelled.question.text for labelled in sets}
        candidates = [c for labelled in sets for c in labelled.candidates]
    assert question == "Two and two?"
    [original] = [c for c in traced("a").choices[0].candidates if c.ok]
    assert [c.model_copy(update={"index": 0}) for c in candidates] == [original, original]


async def test_traces_without_texts_are_refused(tmp_path: Path) -> None:
    """With the setting that was off."""
    file = stored(tmp_path / "traces.db", traced("a", texts=False))
    with Bank(tmp_path / "bank") as bank:
        with pytest.raises(DataError, match="log_prompts"):
            import_path(bank, file)
        assert len(bank) == 0
