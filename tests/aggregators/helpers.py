"""Candidates, runs and models as these tests need them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from quorate.aggregators.equivalence.algebra import Algebra
from quorate.aggregators.equivalence.mathematics import MathEquivalence
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import (
    AnswerToken,
    Done,
    Event,
    NodeEnded,
    NodeStarted,
    UpstreamEnded,
    UpstreamRetried,
    UpstreamStarted,
)
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.protocols import Aggregator, VoteCounter
from quorate.orchestrator.state import State, Visit
from quorate.orchestrator.types import Answer, Candidate, Cluster, Failure, FinishReason, Question, Sampled
from quorate.orchestrator.usage import Usage

__all__ = [
    "Exact",
    "NoAlgebra",
    "Writer",
    "aggregate_at_node",
    "aggregated",
    "candidate",
    "counter_of",
    "failed",
    "happened",
    "tallied",
]


class NoAlgebra(Algebra):
    """Fails the test that asks it."""

    async def _reply(self, caller: Hashable, *asked: str) -> bool | None:
        raise AssertionError(f"asked about {asked}, which needs no algebra")


class Exact(MathEquivalence):
    """Equivalence that may not ask the worker."""

    def __init__(self) -> None:
        super().__init__(NoAlgebra())


class Writer(ModelBase):
    """A model that says its words one by one; an error among them is raised, words after a `~` are thoughts."""

    def __init__(self, *words: str | Exception, done: bool = True) -> None:
        self.name = "writer"
        self.words = words
        self.done = done
        self.asked: list[Question] = []
        self.runs: list[RunContext] = []
        self.closed = False

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        self.asked.append(question)
        self.runs.append(run)
        try:
            text = ""
            for word in self.words:
                if isinstance(word, Exception):
                    raise word
                thought = word.startswith("~")
                text += "" if thought else word
                run.emit(AnswerToken(text=word.removeprefix("~"), reasoning=thought))
            if not self.done:
                raise NoAnswer(f"{self.name} ended without an answer")
            return Answer(text=text, model=self.name)
        finally:
            run.at_node("answer").record(self.name, Usage(completion_tokens=len(self.words), requests=1))

    async def aclose(self) -> None:
        self.closed = True


def candidate(
    index: int, text: str, *, answer: str | None = None, finish: FinishReason = "stop", reasoning: str | None = None
) -> Candidate:
    return Candidate(index=index, model="m", text=text, answer=answer, finish_reason=finish, reasoning=reasoning)


def failed(index: int) -> Candidate:
    return Candidate(index=index, model="m", text="\\boxed{1}", error=Failure(code="boom", message="no luck"))


def counter_of(aggregator: Aggregator, run: RunContext | None = None, question: Question | None = None) -> VoteCounter:
    """Who counts the votes of one question."""
    counter = aggregator.counter(question or Question.of("What?"), run or RunContext(seed=1, node="aggregate"))
    assert counter is not None
    return counter


async def tallied(aggregator: Aggregator, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
    """How the votes of these candidates stand."""
    return await counter_of(aggregator).tally(candidates)


async def aggregate_at_node(
    aggregator: Aggregator,
    candidates: Sequence[Candidate],
    run: RunContext | None = None,
    question: Question | None = None,
) -> Answer:
    """The answer of a graph's node: where the aggregator fails, what stands in for it."""
    run = run or RunContext(seed=1, node="aggregate", live=False)
    visit = Visit(node="sample", result=Sampled(candidates=tuple(candidates)))
    state = State(question=question or Question.of("What?"), visits=(visit,), inputs=(0,))
    answer = await AggregateNode("aggregate", aggregator).run(state, run)
    return answer.replace(usage=run.ledger.usage, nodes=run.ledger.nodes)


async def happened(
    aggregator: Aggregator,
    candidates: Sequence[Candidate],
    run: RunContext | None = None,
    question: Question | None = None,
) -> list[Event]:
    """All that is told of an aggregation but the nodes and calls of models inside it, and its answer at the end."""
    events: list[Event] = []
    run = replace(run or RunContext(seed=1, node="aggregate"), emit=events.append)
    answer = await aggregate_at_node(aggregator, candidates, run, question)
    inside = (NodeStarted, NodeEnded, UpstreamStarted, UpstreamRetried, UpstreamEnded)
    return [*(event for event in events if not isinstance(event, inside)), Done(answer=answer)]


async def aggregated(aggregator: Aggregator, candidates: Sequence[Candidate], seed: int | None = 1) -> Answer:
    """The answer of an aggregation that has no other events."""
    [event] = await happened(aggregator, candidates, RunContext(seed=seed, node="aggregate"))
    assert isinstance(event, Done)
    return event.answer
