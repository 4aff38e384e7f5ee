"""Candidates, runs and models as these tests need them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from quorate.orchestrator.context import RunContext

from quorate.aggregators.equivalence.algebra import Algebra
from quorate.aggregators.equivalence.mathematics import MathEquivalence
from quorate.orchestrator.events import AnswerToken, CandidateStarted, Done, Event
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Failure, FinishReason, Question, Usage

__all__ = ["Exact", "NoAlgebra", "Writer", "aggregated", "candidate", "failed", "happened"]


class NoAlgebra(Algebra):
    """Fails the test that asks it."""

    async def _reply(self, *asked: str) -> bool | None:
        raise AssertionError(f"asked about {asked}, which needs no algebra")


class Exact(MathEquivalence):
    """Equivalence that may not ask the worker."""

    def __init__(self) -> None:
        super().__init__(NoAlgebra())


class Writer:
    """A model that says its words one by one; an error among them is raised."""

    def __init__(self, *words: str | Exception, done: bool = True) -> None:
        self.name = "writer"
        self.words = words
        self.done = done
        self.asked: list[Question] = []
        self.runs: list[RunContext] = []
        self.closed = False

    async def stream(self, question: Question, run: RunContext) -> AsyncGenerator[Event, None]:
        self.asked.append(question)
        self.runs.append(run)
        yield CandidateStarted(index=0, model=self.name)
        try:
            text = ""
            for word in self.words:
                if isinstance(word, Exception):
                    raise word
                thought = word.startswith("~")
                text += "" if thought else word
                yield AnswerToken(text=word.removeprefix("~"), reasoning=thought)
            if self.done:
                yield Done(answer=Answer(text=text, model=self.name))
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


async def happened(aggregator: Aggregator, candidates: Sequence[Candidate], run: RunContext | None = None) -> list[Event]:
    """All events of an aggregation."""
    run = run or RunContext(seed=1, stage="aggregate")
    return [event async for event in aggregator.aggregate(Question.of("What?"), candidates, run)]


async def aggregated(aggregator: Aggregator, candidates: Sequence[Candidate], seed: int | None = 1) -> Answer:
    """The answer of an aggregation that has no other events."""
    [event] = await happened(aggregator, candidates, RunContext(seed=seed, stage="aggregate"))
    assert isinstance(event, Done)
    return event.answer
