"""Candidates with log-probabilities, and a model that streams them as told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Candidate, Question, TokenLogprob
from quorate.orchestrator.usage import Usage

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

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.asked.append(question)
        self.requests.append([slot.index for slot in slots])
        for slot in slots:
            await self._write(slot, run)

    async def _write(self, slot: PartialCandidate, run: RunContext) -> None:
        answer, confidence = self.lines.get(slot.index, self.lines[max(self.lines)])
        slot.start(self.name, self.name, seed=run.sample_seed(slot.index))
        try:
            for value in confidence:
                await asyncio.sleep(0)
                slot.write("x", logprobs=(token(value),) if self.telling else None)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.leave(slot)
            raise
        slot.finish("stop", self.spent(slot), text=f"\\boxed{{{answer}}}")

    def leave(self, slot: PartialCandidate) -> None:
        slot.leave(self.spent(slot))

    def spent(self, slot: PartialCandidate) -> Usage:
        return Usage(prompt_tokens=3, completion_tokens=slot.pieces, requests=1)
