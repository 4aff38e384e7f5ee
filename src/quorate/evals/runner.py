"""Asks every pipeline every question, many at a time.

Many questions are under way together; the pipelines of one question run one after another in the
given order. So it is always the first of them that draws a shared sample, and what is done when a
run is stopped is done for all pipelines alike. Where the asking happens is the engine's affair: in
this process, or on a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from quorate.orchestrator.errors import CircuitOpen, DataError, NoAnswer, Unreachable
from quorate.orchestrator.types import Failure

from .allowance import Allowance
from .outcome import Outcome

if TYPE_CHECKING:
    from .task import Item

__all__ = ["PATIENCE", "Engine", "Outcome", "Runner"]

PATIENCE = 16
"""Failures of one kind in a row after which a pipeline is given up; the run ends when all are."""
_FATAL = frozenset({Unreachable.code, CircuitOpen.code, DataError.code})
"""What ends a run that went well before: the server is gone, or the bank cannot be written."""


class Engine(Protocol):
    """Where pipelines are asked."""

    @property
    def breadth(self) -> int:
        """Questions that may be under way, enough to keep every server of it busy."""
        ...

    async def ask(self, name: str, place: int, item: Item) -> Outcome:
        """One pipeline's answer to the question at this place, or the failure that took its place.

        Raises:
            QuorateError: something that would fail every question.
        """
        ...


class Runner:
    """One evaluation under way.

    Args:
        engine: asks.
        pipelines: names of what is evaluated, in order.
        on_outcome: told of every outcome as it comes.
        allowance: what may be spent.
    """

    def __init__(
        self,
        engine: Engine,
        pipelines: Sequence[str],
        *,
        on_outcome: Callable[[Outcome], None],
        allowance: Allowance | None = None,
    ) -> None:
        self._engine, self._pipelines, self._on_outcome = engine, tuple(pipelines), on_outcome
        self._allowance = allowance or Allowance()
        self._streaks: dict[str, list[Failure]] = {name: [] for name in pipelines}
        """Of each pipeline the latest failures of one kind, with no answer between them."""
        self._answered: set[str] = set()
        self._patience = PATIENCE

    async def run(self, items: Sequence[Item]) -> None:
        """Every pipeline over every item, until the allowance is used up.

        Raises:
            NoAnswer: nothing could be answered, each time for the same reason, or a server that
                answered before is gone; with the first cause's status. What is done has been told.
        """
        waiting = iter(enumerate(items))
        self._patience = min(PATIENCE, len(items))
        try:
            async with asyncio.timeout_at(self._allowance.deadline()):
                if self._allowance.counted:
                    # One question alone shows what a question costs.
                    await self._asked(iter([next(waiting)]))
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._engine.breadth, len(items))):
                        group.create_task(self._asked(waiting))
        except TimeoutError:
            self._allowance.time_out()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _asked(self, waiting: Iterator[tuple[int, Item]]) -> None:
        for place, item in waiting:
            if not self._allowance.begin():
                return
            outcomes = []
            for name in self._pipelines:
                outcomes.append(await self._engine.ask(name, place, item))
                self._note(outcomes[-1])
            self._allowance.end(outcomes)

    def _note(self, outcome: Outcome) -> None:
        failure, name = outcome.error, outcome.pipeline
        if failure is None:
            self._answered.add(name)
            self._streaks[name] = []
        else:
            self._streaks[name] = [*(f for f in self._streaks[name] if f.code == failure.code), failure]
        self._on_outcome(outcome)
        self._give_up()

    def _give_up(self) -> None:
        """Raises the first failure where no pipeline has any hope left.

        Before a pipeline's first answer any kind of failure takes its hope, after it only what will not
        mend: others may be those of a hard stretch of questions.
        """
        if all(self._hopeless(name, streak) for name, streak in self._streaks.items()):
            first = next(iter(self._streaks.values()))[0]
            raise NoAnswer(first.message, status=first.status, code=first.code, retry_after=first.retry_after)

    def _hopeless(self, name: str, streak: list[Failure]) -> bool:
        return len(streak) >= self._patience and (name not in self._answered or streak[0].code in _FATAL)
