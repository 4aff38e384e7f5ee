"""Watched runs in memory: no more than a certain number of bytes, whatever was asked and answered."""

from __future__ import annotations

import pytest

from quorate.orchestrator.types import Answer, Candidate, Question, TokenLogprob
from quorate.server.telemetry.recent import RecentRuns, make_run
from quorate.server.telemetry.record import RequestRecord

LOGPROBS = (TokenLogprob(token="a", logprob=-0.1, top=(("b", -2.0),) * 20),) * 50


def watch(name: str, question: str = "q", events: bytes = b"") -> RequestRecord:
    record = RequestRecord(name, "POST", watched=[events], question=Question.of(question), key="ann")
    candidate = Candidate(index=0, model="m", agent="m", text="a", logprobs=LOGPROBS)
    record.choice(0).complete(Answer.of(candidate, candidates=(candidate,)))
    return record


@pytest.mark.parametrize(("question", "events"), [("q" * 400, b""), ("q", b"e" * 400)])
async def test_the_oldest_go_where_they_are_too_large(
    question: str, events: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long questions count as long streams do; the latest is there in any case."""
    monkeypatch.setattr("quorate.server.telemetry.recent.MOST_BYTES", 2000)
    runs = RecentRuns(32)
    for number in range(9):
        runs.keep(make_run(watch(str(number), question, events)))
    kept = [line.id for line in await runs.latest(32, "ann")]
    assert 1 < len(kept) < 5
    assert kept == [str(number) for number in range(8, 8 - len(kept), -1)]
    runs.keep(make_run(watch("huge", "q" * 5000)))
    assert [line.id for line in await runs.latest(32, "ann")] == ["huge"]


async def test_log_probabilities_are_not_kept() -> None:
    """Neither in the candidates nor in the answer that was made of them; their texts are."""
    runs = RecentRuns(2)
    runs.keep(make_run(watch("a")))
    run = await runs.find("a", "ann")
    assert run is not None
    [choice] = run.trace.choices
    assert choice.answer is not None
    assert [(each.text, each.logprobs) for each in choice.candidates] == [("a", None)]
    assert (choice.answer.text, choice.answer.candidates) == ("a", ())
