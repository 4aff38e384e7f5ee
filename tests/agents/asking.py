"""Helpers of the agents' tests: draw samples, cut them off, and keep what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Sampler
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.usage import Usage

from .watching import Notes

__all__ = ["Drawing", "draw"]


@dataclass
class Drawing:
    """Some samples that are drawn, and what comes of them."""

    run: RunContext
    events: list[Event] = field(default_factory=list)
    slots: list[PartialCandidate] = field(default_factory=list)
    change: asyncio.Event = field(default_factory=asyncio.Event)
    notes: Notes | None = None

    @classmethod
    def of(
        cls,
        indices: Sequence[int],
        *,
        live: bool = False,
        seed: int | None = None,
        notes: Notes | None = None,
    ) -> Drawing:
        drawing = cls(RunContext())
        if notes is None:
            drawing.run = RunContext(seed=seed, live=live, emit=drawing.note)
        else:
            drawing.notes, drawing.run = notes, notes.run(live=live, seed=seed, emit=drawing.note)
        drawing.slots = [PartialCandidate(index, drawing.run) for index in indices]
        return drawing

    def note(self, event: Event) -> None:
        if self.notes is not None:
            self.notes.note(event)
        self.events.append(event)
        self.change.set()

    async def wait_until(self, condition: Callable[[Drawing], bool]) -> None:
        while not condition(self):
            self.change.clear()
            await self.change.wait()

    async def draw(self, agent: Sampler, question: Question | str) -> None:
        await agent.sample(Question.of(question), self.slots, self.run)

    async def cut_off(
        self, agent: Sampler, condition: Callable[[Drawing], bool], question: Question | str = "How many?"
    ) -> None:
        """Draws until something holds, then lets go, as a sampling stage does."""
        task = asyncio.create_task(self.draw(agent, question))
        watch = asyncio.create_task(self.wait_until(condition))
        await asyncio.wait([task, watch], return_when=asyncio.FIRST_COMPLETED)
        await self.let_go(task)
        watch.cancel()

    async def let_go(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancels the drawing, and ends what is left of it."""
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for slot in self.slots:
            slot.cancel()

    @property
    def candidates(self) -> list[Candidate]:
        """By their index; those cut off are among them."""
        return sorted((s.result for s in self.slots if s.result is not None), key=lambda candidate: candidate.index)

    @property
    def cut(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.finish_reason == "cancelled"]

    @property
    def one(self) -> Candidate:
        [candidate] = self.candidates
        return candidate

    @property
    def texts(self) -> list[str]:
        return [candidate.text for candidate in self.candidates]

    @property
    def spent(self) -> Usage:
        """What the ledger holds."""
        return self.run.ledger.usage

    @property
    def token_count(self) -> int:
        return sum(isinstance(event, CandidateToken) for event in self.events)

    def tokens(self, index: int, *, reasoning: bool = False) -> list[str]:
        """Pieces of one candidate in the order in which they came."""
        tokens = [e for e in self.events if isinstance(e, CandidateToken)]
        return [t.text for t in tokens if t.index == index and t.reasoning == reasoning]

    def check_accounts(self) -> None:
        """Candidates, those cut off included, sum to what the ledger holds."""
        total = Usage.total(candidate.usage for candidate in self.candidates)
        assert total.model_copy(update={"estimated": False, "cost": None}) == self.spent.model_copy(
            update={"estimated": False, "cost": None}
        )


async def draw(
    agent: Sampler,
    n: int = 1,
    *,
    live: bool = False,
    seed: int | None = None,
    question: Question | str = "How many?",
    indices: Sequence[int] | None = None,
) -> Drawing:
    """Samples of an agent, as a pipeline draws them."""
    drawing = Drawing.of(indices or range(n), live=live, seed=seed)
    await drawing.draw(agent, question)
    assert all(slot.done for slot in drawing.slots)
    drawing.check_accounts()
    return drawing
