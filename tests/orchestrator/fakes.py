"""Small models and aggregators that do exactly what a test says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from quorate.orchestrator.context import RunContext

from quorate.agents.agent import Agent
from quorate.orchestrator.errors import RateLimited
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Done,
    Event,
)
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question, Usage

__all__ = ["Echo", "First", "Hangs", "Plurality", "PowerCut", "Texts"]


class Texts(Agent):
    """Sample i gives the i-th text, word by word; a text of `!` fails with a 429, `?` never ends."""

    kind = "fake"

    def __init__(self, *texts: str, name: str = "texts") -> None:
        self.name = name
        self.texts = texts
        self.asked: list[tuple[int, int | None]] = []
        """Index and seed of every sample drawn."""
        self.questions: list[Question] = []
        self.closed = 0

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        self.questions.append(question)
        for index in indices:
            async for event in self._one(index, run):
                yield event

    async def _one(self, index: int, run: RunContext) -> AsyncGenerator[Event, None]:
        text = self.texts[index % len(self.texts)]
        self.asked.append((index, run.sample_seed(index)))
        yield CandidateStarted(index=index, model=self.name)
        blank = Candidate(index=index, model=self.name, agent=self.name, seed=run.sample_seed(index))
        if text == "!":
            error = failure_of(RateLimited("slow down", retry_after=7))
            yield CandidateFailed(candidate=blank.model_copy(update={"error": error}))
            return
        words: list[str] = []
        try:
            for word in text.split(" "):
                await asyncio.sleep(0 if text != "?" else 3600)
                words.append(word)
                yield CandidateToken(index=index, text=word)
        except (asyncio.CancelledError, GeneratorExit):
            run.record(self.name, Usage(completion_tokens=len(words), estimated=True))
            run.cut.append(blank.model_copy(update={"text": " ".join(words), "finish_reason": "cancelled"}))
            raise
        usage = Usage(prompt_tokens=10, completion_tokens=len(words), requests=1)
        run.record(self.name, usage)
        done = {"text": text, "usage": usage, "finish_reason": "stop"}
        yield CandidateFinished(candidate=blank.model_copy(update=done))

    async def aclose(self) -> None:
        self.closed += 1


class Hangs(Texts):
    """Says `words`, then never ends."""

    def __init__(self, *words: str, name: str = "hangs") -> None:
        super().__init__("?", name=name)
        self.asking = asyncio.Event()
        """Set once a sample runs."""
        self.words = words
        self.cancelled = 0

    async def _one(self, index: int, run: RunContext) -> AsyncGenerator[Event, None]:
        yield CandidateStarted(index=index, model=self.name)
        try:
            for word in self.words:
                yield CandidateToken(index=index, text=word)
            self.asking.set()
            await asyncio.sleep(3600)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            run.record(self.name, Usage(completion_tokens=len(self.words), estimated=True))
            text = " ".join(self.words)
            run.cut.append(Candidate(index=index, model=self.name, text=text, finish_reason="cancelled"))
            raise


class First:
    """The first candidate that is ok, word by word."""

    name = "first"

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        text = next(c.text for c in candidates if c.ok)
        for word in text.split(" "):
            yield AnswerToken(text=word)
        yield Done(answer=Answer(text=text, model=self.name))


class Plurality:
    """The commonest text, without any extraction."""

    name = "plurality"

    def extract(self, candidate: Candidate) -> str | None:
        return candidate.text or None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        counts = Counter(c.text for c in candidates if c.ok)
        voters = {text: tuple(c.index for c in candidates if c.ok and c.text == text) for text in counts}
        return tuple(Cluster(answer=t, votes=n, weight=n, voters=voters[t]) for t, n in counts.most_common())

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        tally = await self.tally(candidates)
        yield Done(answer=Answer(text=tally[0].answer, answer=tally[0].answer, model=self.name, tally=tally))


class PowerCut(BaseException):
    """Ends the process, as far as a test can: no code of ours may answer it."""


class Echo(Plurality):
    """A plurality in whose aggregation the process dies until it is mended."""

    name = "echo"
    broken = True

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        if self.broken:
            raise PowerCut
        async for event in super().aggregate(question, candidates, run):
            yield event
