"""The file of traces gives back what was put in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.orchestrator.errors import DataError
from quorate.orchestrator.types import Answer, Candidate, Cluster, Failure, NodeVisit, Question
from quorate.orchestrator.usage import NodeUsage, Usage
from quorate.storage.traces import Moment, Trace, TracedChoice, TraceStore, is_store

ANY = st.text(st.characters(codec=None), max_size=20)
"""Half surrogate pairs among it, which models can write."""


@given(ANY)
def test_what_goes_in_comes_out(text: str) -> None:
    """Whatever a model has written; of a half surrogate pair a candidate, as in the bank, keeps a question mark."""
    stored = text.encode("utf-8", "replace").decode()
    failed = Candidate(index=1, model="m", error=Failure(code="upstream_timeout", message="late", status=504))
    candidates = (Candidate(index=0, model="m", text=stored, answer=stored), failed)
    answer = Answer(
        text=text,
        model="m",
        candidates=candidates,
        tally=(Cluster(answer=text, votes=1, weight=1.0, voters=(0,)),),
        nodes=(NodeUsage(node="sample", model="m", usage=Usage(prompt_tokens=3)),),
        path=(NodeVisit(node="sample", seconds=0.25, outcome=text, edges={"__end__": text}),),
    )
    choice = TracedChoice(answer=answer, candidates=candidates, moments=(Moment(at=0.5, what="tally", text=text),))
    trace = Trace(
        id="r",
        began=1.0,
        seconds=0.5,
        status=200,
        question=Question.of([{"role": "user", "content": f"?{text}"}]),
        usage=Usage(prompt_tokens=3, cost=0.5),
        nodes=(NodeUsage(node="sample", model="m", usage=Usage(prompt_tokens=3, cost=0.5)),),
        choices=(choice, TracedChoice(error=Failure(code="no_answer", message=text))),
    )
    store = TraceStore()
    store.add([trace])
    assert store.find("r") == [trace]
    store.close()


def test_an_id_that_was_sent_twice_names_both(tmp_path: Path) -> None:
    """The latest first."""
    store = TraceStore(tmp_path / "t.sqlite")
    store.add([Trace(id="r", began=float(i), seconds=1.0, status=200) for i in range(2)])
    assert [trace.began for trace in store.find("r")] == [1.0, 0.0]
    assert store.find("other") == []
    store.close()
    assert is_store(tmp_path / "t.sqlite")
    assert not is_store(tmp_path / "none.sqlite")


def test_a_broken_file_is_told_with_the_way_out(tmp_path: Path) -> None:
    """And is no reason to write into it."""
    file = tmp_path / "t.sqlite"
    file.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(DataError, match=r"broken or cut off .*move it away"):
        TraceStore(file)
    assert not is_store(file)
