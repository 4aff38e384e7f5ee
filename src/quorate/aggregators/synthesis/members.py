"""Several answers of inner models at once: a layer of a mixture, a loop of a population, a round of a debate."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateToken, Event
from quorate.orchestrator.merging import merge, until
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import proposals
from quorate.orchestrator.types import Candidate, Degradation, Question

from ..asking import inner_run

__all__ = ["Ask", "Drawn", "draw"]

FRUGAL_WAVE = 4
"""Members in flight at once under a budget of tokens or money."""


@dataclass(frozen=True)
class Ask:
    """One request: these members have the same model and the same prompt."""

    model: Model
    question: Question
    members: tuple[int, ...]


@dataclass
class Drawn:
    """What came back; one member's failure is a note."""

    members: dict[int, Candidate] = field(default_factory=dict)
    """Those that said something."""
    notes: list[Degradation] = field(default_factory=list)
    inside: list[Degradation] = field(default_factory=list)
    """What did not go as configured in making those that said something."""
    stopped: str | None = None
    """The budget that ran out before all had ended."""
    arriving: dict[int, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        return len(self.members) + len(self.notes)

    async def watched(self, stream: AsyncGenerator[Event, None], stage: str) -> AsyncGenerator[Event, None]:
        """Takes note of each event before it waits to be read, so that closing early loses no finished member."""
        async with aclosing(stream):
            async for event in stream:
                match event:
                    case CandidateToken(index=index):
                        self.arriving[index] = self.arriving.get(index, 0) + 1
                    case CandidateFinished(candidate=candidate) | CandidateFailed(candidate=candidate):
                        self._ended(candidate, stage)
                yield event

    def _ended(self, candidate: Candidate, stage: str) -> None:
        self.arriving.pop(candidate.index, None)
        self.inside += candidate.degraded
        if candidate.ok and (candidate.text.strip() or candidate.tool_calls):
            self.members[candidate.index] = candidate
            return
        where = f"{stage}: {candidate.agent or candidate.model} #{candidate.index}"
        detail = candidate.error.message if candidate.error else "it gave an empty answer"
        self.notes.append(Degradation(code="member_failed", where=where, detail=detail))


async def draw(asks: Sequence[Ask], run: RunContext) -> Drawn:
    """All members concurrently, until they have ended or the budget has; a few at a time where it may end.

    Member i has the seed `sample_seed(i)` of the stage's own run; what it costs is booked under `run.node`.
    """
    drawn = Drawn()
    inner = replace(inner_run(run, "members"), live=run.budget.tokens is not None)
    for wave in _waves(asks, run):
        drawn.stopped = run.exhausted()
        if drawn.stopped is None:
            await _wave(drawn, wave, inner)
        if drawn.stopped is not None:
            break
    drawn.notes = sorted((*drawn.notes, *drawn.inside), key=lambda note: note.where)
    drawn.members = dict(sorted(drawn.members.items()))
    return drawn


def _waves(asks: Sequence[Ask], run: RunContext) -> list[Sequence[Ask]]:
    """Small waves where a budget may end in the middle, since what is in flight is paid for."""
    if run.budget.tokens is None and run.budget.money is None:
        return [asks]
    single = [Ask(ask.model, ask.question, (member,)) for ask in asks for member in ask.members]
    return [single[start : start + FRUGAL_WAVE] for start in range(0, len(single), FRUGAL_WAVE)]


async def _wave(drawn: Drawn, asks: Sequence[Ask], run: RunContext) -> None:
    expected = drawn.ended + sum(len(ask.members) for ask in asks)
    streams = [drawn.watched(_proposed(ask, run), run.node) for ask in asks]
    async with aclosing(until(run.deadline, merge(streams), run.switch)) as events:
        try:
            async for _ in events:
                reason = run.exhausted(sum(drawn.arriving.values()))
                if reason is not None and drawn.ended < expected:
                    drawn.stopped = reason
                    break
        except TimeoutError:
            drawn.stopped = run.exhausted() or run.timed_out()


def _proposed(ask: Ask, run: RunContext) -> AsyncGenerator[Event, None]:
    question = ask.question.with_params(seed=run.seed)
    if (left := run.tokens_left()) is not None:
        question = question.with_params(max_tokens=min(left, question.sampling.max_tokens or left))
    return proposals(ask.model, question, ask.members, run)
