"""Candidates with log-probabilities, and a model that streams them as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from quorate.orchestrator.context import RunContext

from quorate.agents.agent import Agent
from quorate.orchestrator.events import CandidateFinished, CandidateStarted, CandidateToken, Event
from quorate.orchestrator.types import Candidate, Question, TokenLogprob, Usage

__all__ = ["Streams", "token", "trace"]


def token(confidence: float, *, of: int = 2) -> TokenLogprob:
    """A token whose candidates have this mean of -log p."""
    return TokenLogprob(token="x", logprob=-confidence, top=tuple((f"x{i}", -confidence) for i in range(of)))


def trace(index: int, answer: str | None, *confidence: float) -> Candidate:
    """A finished candidate with this confidence token by token; without any it has no log-probabilities."""
    text = "no idea" if answer is None else f"\\boxed{{{answer}}}"
    logprobs = tuple(map(token, confidence)) or None
    return Candidate(index=index, model="m", text=text, answer=answer, finish_reason="stop", logprobs=logprobs)


class Streams(Agent):
    """Sample i ends in its answer after tokens of its confidence; those without an own line take the last.

    Args:
        lines: answer and confidence, token by token, by index.
        telling: whether it reports log-probabilities.
    """

    def __init__(self, lines: Mapping[int, tuple[str, Sequence[float]]], *, telling: bool = True) -> None:
        self.name = "streams"
        self.lines = lines
        self.telling = telling
        self.asked: list[Question] = []
        self.requests: list[list[int]] = []

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        self.asked.append(question)
        self.requests.append(list(indices))
        for index in indices:
            async with aclosing(self._one(index, run)) as events:
                async for event in events:
                    yield event

    async def _one(self, index: int, run: RunContext) -> AsyncGenerator[Event, None]:
        answer, confidence = self.lines.get(index, self.lines[max(self.lines)])
        made = Candidate(index=index, model=self.name, agent=self.name, seed=run.sample_seed(index))
        told: list[TokenLogprob] = []
        yield CandidateStarted(index=index, model=self.name)

        def spent(reason: str, text: str) -> Candidate:
            usage = Usage(prompt_tokens=3, completion_tokens=len(told), requests=1)
            run.record(self.name, usage)
            logprobs = tuple(told) if self.telling else None
            return made.model_copy(update={"finish_reason": reason, "text": text, "usage": usage, "logprobs": logprobs})

        try:
            for value in confidence:
                await asyncio.sleep(0)
                told.append(token(value))
                yield CandidateToken(index=index, text="x", logprobs=(told[-1],) if self.telling else None)
        except (asyncio.CancelledError, GeneratorExit):
            run.cut.append(spent("cancelled", "x" * len(told)))
            raise
        yield CandidateFinished(candidate=spent("stop", f"\\boxed{{{answer}}}"))
