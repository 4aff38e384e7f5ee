"""Small models and aggregators that do exactly what a test says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import RateLimited
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Cluster, Question, Sampled
from quorate.orchestrator.usage import Usage

__all__ = ["Echo", "First", "Hangs", "Plurality", "PowerCut", "Texts"]


class Texts(Agent):
    """Sample i gives the i-th text, word by word; a text of `!` fails with a 429, `?` never ends."""

    def __init__(self, *texts: str, name: str = "texts") -> None:
        self.name = name
        self.texts = texts
        self.asked: list[tuple[int, int | None]] = []
        """Index and seed of every sample drawn."""
        self.questions: list[Question] = []
        self.closed = 0

    @property
    def identity(self) -> Identity:
        return Identity(kind="fake", model=self.name)

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.questions.append(question)
        for slot in slots:
            await self._write(slot, run)

    async def _write(self, slot: PartialCandidate, run: RunContext) -> None:
        text, seed = self.texts[slot.index % len(self.texts)], run.sample_seed(slot.index)
        self.asked.append((slot.index, seed))
        slot.start(self.name, self.name, seed=seed)
        if text == "!":
            slot.fail(RateLimited("slow down", retry_after=7))
            return
        words: list[str] = []
        try:
            for word in text.split(" "):
                await asyncio.sleep(0 if text != "?" else 3600)
                words.append(word)
                slot.write(word)
        except asyncio.CancelledError:
            slot.leave(Usage(completion_tokens=len(words), estimated=True), text=" ".join(words))
            raise
        slot.finish("stop", Usage(prompt_tokens=10, completion_tokens=len(words), requests=1), text=text)

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

    async def _write(self, slot: PartialCandidate, run: RunContext) -> None:
        slot.start(self.name, self.name, seed=run.sample_seed(slot.index))
        try:
            for word in self.words:
                slot.write(word)
            self.asking.set()
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled += 1
            usage = Usage(completion_tokens=len(self.words), estimated=True)
            slot.leave(usage, text=" ".join(self.words))
            raise


class First(Aggregator):
    """The first candidate that is ok, word by word."""

    name = "first"

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        first = sampled.good[0]
        for word in first.text.split(" "):
            run.emit(AnswerToken(text=word))
        return Answer.of(first, model=self.name)


class Plurality(Aggregator):
    """The commonest text, without any extraction."""

    name = "plurality"

    def counter(self, question: Question, run: RunContext) -> Plurality:
        return self

    def extract(self, candidate: Candidate) -> str | None:
        return candidate.text or None

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        counts = Counter(c.text for c in candidates if c.ok)
        voters = {text: tuple(c.index for c in candidates if c.ok and c.text == text) for text in counts}
        return tuple(Cluster(answer=t, votes=n, weight=n, voters=voters[t]) for t, n in counts.most_common())

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        tally = await self.tally(sampled.candidates) if sampled.tally is None else sampled.tally
        winner = next(c for c in sampled.candidates if c.index in tally[0].voters)
        return Answer.of(winner, answer=tally[0].answer, model=self.name, tally=tally)


class PowerCut(BaseException):
    """Ends the process, as far as a test can: no code of ours may answer it."""


class Echo(Plurality):
    """A plurality in whose aggregation the process dies until it is mended."""

    name = "echo"
    broken = True

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        if self.broken:
            raise PowerCut
        return await super().aggregate(question, sampled, run)
