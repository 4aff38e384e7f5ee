"""What a streaming client is to see of a run: deltas of its events, and lines about its votes."""

from __future__ import annotations

from typing import Any

from quorate.orchestrator.context import Budget
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    NodeStarted,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.pipeline import cascade, sample
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Candidate, Cluster, Failure, Question
from quorate.server.deltas import Delta, DeltaStream, ProgressLines

from .scripted import Echo, Merged, Plurality

QUESTION = Question.of("which?")


def finished(node: str = "sample", index: int = 0) -> CandidateFinished:
    return CandidateFinished(node=node, candidate=Candidate(index=index, model="m", text="4", answer="4"))


def failed(node: str = "sample") -> CandidateFailed:
    return CandidateFailed(
        node=node, candidate=Candidate(index=0, model="m", error=Failure(code="late", message="late"))
    )


def counted(votes: int, node: str = "sample") -> TallyChanged:
    return TallyChanged(node=node, tally=(Cluster(answer="4", votes=votes, weight=votes, voters=tuple(range(votes))),))


def lines_of(model: Model, events: list[Any], budget: Budget | None = None) -> list[str]:
    progress = ProgressLines(model, QUESTION, budget or Budget())
    return [line for event in events if (line := progress.update(event)) is not None]


def test_a_vote_is_told_once_it_is_counted() -> None:
    """Samples that end together are told with their votes, never before them."""
    vote = sample(Echo(), n=3) | Plurality()
    events = [NodeStarted(thread="", node="sample"), finished(), finished(), counted(1), counted(2), failed()]
    assert lines_of(vote, events) == [
        "1/3 sampled: 4 x1\n",
        "2/3 sampled: 4 x2\n",
        "3/3 sampled (1 failed): 4 x2\n",
    ]


def test_samples_without_a_vote_count_as_they_end() -> None:
    """A synthesis has nothing to count; a budget of samples is what will be drawn at most."""
    fused = sample(Echo(), n=8) | Merged()
    events = [NodeStarted(thread="", node="sample"), finished(), StoppedEarly(node="sample", reason="budget")]
    assert lines_of(fused, events, Budget(samples=2)) == ["1/2 sampled\n", "stopped: budget\n"]


def test_the_models_of_a_cascade_are_told_apart() -> None:
    """Each one's samples under its name, counted anew; what is nested deeper is not told."""
    small, large = sample(Echo(), n=2) | Plurality(), sample(Echo(), n=3) | Plurality()
    graph = cascade(small.with_name("small"), large.with_name("large"))
    events = [
        NodeStarted(thread="", node="small"),
        NodeStarted(thread="/small.small", node="sample"),
        *(finished(), counted(1)),
        NodeStarted(thread="/large.large", node="sample"),
        *(finished(), counted(1)),
        NodeStarted(thread="/large.large/sample.0", node="other"),
        finished("other"),
    ]
    assert lines_of(graph, events) == ["small: 1/2 sampled: 4 x1\n", "large: 1/3 sampled: 4 x1\n"]


def test_a_choice_opens_with_a_sign_of_life() -> None:
    """Neither a beginning nor a failure is one; a token or a finished sample is, and comes once."""
    told: list[Delta] = []
    deltas = DeltaStream(2, told.append)
    for event in (CandidateStarted(index=0, model="m"), failed(), StoppedEarly(reason="budget")):
        deltas(event)
    assert told == []
    deltas(CandidateToken(index=0, text="so"))
    deltas(CandidateToken(index=1, text="so"))
    assert told == [Delta(2, "opened")]


def test_what_was_told_as_tokens_is_not_told_again() -> None:
    """The rest of the answer is: its thinking, its text and its calls, each where no token had it."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = Answer(text="it is 4", reasoning="hm", tool_calls=(call,), model="m")
    told: list[Delta] = []
    deltas = DeltaStream(0, told.append)
    deltas(AnswerToken(text="it is 4"))
    deltas.finish(answer)
    assert told == [
        Delta(0, "opened"),
        Delta(0, "text", "it is 4"),
        Delta(0, "reasoning", "hm"),
        Delta(0, "calls", calls=(call,)),
    ]
