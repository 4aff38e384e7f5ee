"""In-memory models and a small vote, with everything a server's test wants to steer or to see."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence

from quorate.orchestrator.context import RunContext

from quorate.agents.agent import Agent
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Done,
    Event,
)
from quorate.orchestrator.types import Answer, Candidate, Cluster, Failure, Question, TokenLogprob, Usage

__all__ = ["Echo", "Merged", "Plurality", "Stuck"]

Said = str | Failure | Candidate


class Echo(Agent):
    """Says for each sample what `say(question, index)` gives: a text (streamed by words), a failure or a candidate."""

    def __init__(self, name: str = "echo", say: Callable[[Question, int], Said] | None = None) -> None:
        self.name = name
        self.say = say or (lambda question, index: question.text)
        self.questions: list[Question] = []
        self.runs: list[RunContext] = []
        self.closed = 0
        self.hold: asyncio.Event | None = None
        """Where set, every sample waits for it after its first word."""

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        self.questions.append(question)
        self.runs.append(run)
        for index in indices:
            yield CandidateStarted(index=index, model=self.name)
            said = self.say(question, index)
            if isinstance(said, Failure):
                yield CandidateFailed(candidate=Candidate(index=index, model=self.name, error=said))
                continue
            candidate = self._candidate(said, index, run)
            for position, word in enumerate(candidate.text.split(" ") if run.live and candidate.text else ()):
                yield CandidateToken(index=index, text=word if position == 0 else f" {word}")
                if self.hold is not None:
                    await self.hold.wait()
            run.record(self.name, candidate.usage)
            yield CandidateFinished(candidate=candidate)

    def _candidate(self, said: str | Candidate, index: int, run: RunContext) -> Candidate:
        if isinstance(said, Candidate):
            return said.model_copy(update={"index": index, "model": self.name})
        usage = Usage(prompt_tokens=3 if index == 0 else 0, completion_tokens=len(said.split()), requests=1)
        logprobs = tuple(TokenLogprob(token=word, logprob=-0.5) for word in said.split())
        return Candidate(
            index=index,
            model=self.name,
            text=said,
            finish_reason="stop",
            seed=run.sample_seed(index),
            usage=usage,
            logprobs=logprobs,
        )

    async def aclose(self) -> None:
        self.closed += 1


class Stuck(Agent):
    """Never finishes; remembers how often it was asked and how often its work was cancelled."""

    def __init__(self, name: str = "stuck", *, first: str = "") -> None:
        self.name = name
        self.first = first
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.running = 0

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        self.running += 1
        try:
            yield CandidateStarted(index=indices[0], model=self.name)
            if self.first:
                yield CandidateToken(index=indices[0], text=self.first)
            self.asked.set()
            await asyncio.Event().wait()
        finally:
            self.running -= 1
            if not self.running:
                self.cancelled.set()


class Plurality:
    """The most frequent text wins; among equals the first."""

    name = "plurality"

    def extract(self, candidate: Candidate) -> str | None:
        return candidate.text or "nothing"

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        votes = Counter(c.answer for c in candidates if c.ok and c.answer)
        return tuple(
            Cluster(answer=a, votes=n, weight=n, voters=tuple(c.index for c in candidates if c.answer == a))
            for a, n in votes.most_common()
        )

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        tally = await self.tally(candidates)
        winner = next(c for c in candidates if c.answer == tally[0].answer)
        yield Done(answer=Answer(text=winner.text, model=self.name, answer=winner.answer, tally=tally))


class Merged:
    """Writes a new answer, token by token: all texts, joined."""

    name = "merged"

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        texts = [c.text for c in candidates if c.ok]
        yield AnswerToken(text="hm", reasoning=True)
        for position, text in enumerate(texts):
            yield AnswerToken(text=text if position == 0 else f"+{text}")
        run.record("merger", Usage(prompt_tokens=10, completion_tokens=len(texts), requests=1))
        yield Done(answer=Answer(text="+".join(texts), reasoning="hm", model=self.name))
