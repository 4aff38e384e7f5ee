"""Asks every pipeline every question, many at a time.

Many questions are under way together; the pipelines of one question run one after another in the
given order. So it is always the first of them that draws a shared sample, and what is done when a
run is stopped is done for all pipelines alike. Where the asking happens is the engine's affair: in
this process, or on a cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, CircuitOpen, DataError, NoAnswer, Unreachable, Unwritable
from quorate.orchestrator.types import Failure

from .outcome import Outcome

if TYPE_CHECKING:
    from .task import Item

PATIENCE = 16
"""Failures of one kind in a row after which a pipeline is given up; the run ends when all are."""
_FATAL = frozenset({Unreachable.code, CircuitOpen.code, DataError.code, Unwritable.code})
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
        budget: what may be spent.
    """

    def __init__(
        self,
        engine: Engine,
        pipelines: Sequence[str],
        *,
        on_outcome: Callable[[Outcome], None],
        budget: RunBudget | None = None,
    ) -> None:
        self._engine, self._pipelines, self._on_outcome = engine, tuple(pipelines), on_outcome
        self._budget = budget or RunBudget()
        self._streaks: dict[str, list[Failure]] = {name: [] for name in pipelines}
        """Of each pipeline the latest failures of one kind, with no answer between them."""
        self._answered: set[str] = set()
        self._patience = PATIENCE

    async def run(self, items: Sequence[Item]) -> None:
        """Every pipeline over every item, until the budget is used up.

        Raises:
            NoAnswer: nothing could be answered, each time for the same reason, or a server that
                answered before is gone; with the first cause's status. What is done has been told.
        """
        waiting = iter(enumerate(items))
        self._patience = min(PATIENCE, len(items))
        try:
            async with asyncio.timeout_at(self._budget.deadline()):
                if self._budget.counted:
                    # One question alone shows what a question costs.
                    await self._ask_questions(iter([next(waiting)]))
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._engine.breadth, len(items))):
                        group.create_task(self._ask_questions(waiting))
        except TimeoutError:
            self._budget.time_out()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _ask_questions(self, waiting: Iterator[tuple[int, Item]]) -> None:
        for place, item in waiting:
            if not self._budget.begin():
                return
            outcomes = []
            for name in self._pipelines:
                outcomes.append(await self._engine.ask(name, place, item))
                self._note(outcomes[-1])
            self._budget.end(outcomes)

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


class RunBudget:
    """Counts what a run has spent and foresees what is under way.

    A question is begun, with all pipelines, only if at the mean price of the questions so far it still
    fits in beside those under way; these go on to their end. So a run ends close to its limit, and no
    generated token is thrown away. Samples from the bank are free.

    Args:
        budget: tokens (prompt and generated), money and seconds of the whole run.

    Raises:
        BadInput: it limits samples, which are what the pipelines' @N says.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        if self.budget.samples is not None:
            raise BadInput("a run has no budget of samples: the pipelines' @N and the limit of questions say how many")
        self._started: float | None = None
        self._tokens, self._money = _Limit(self.budget.tokens), _Limit(self.budget.money)
        self._over: str | None = None

    @property
    def over(self) -> str | None:
        """Which limit has forbidden something, in words, with what is spent by now; None where none has."""
        match self._over:
            case "tokens":
                return f"budget: {self._tokens.spent:,.0f} of {self.budget.tokens:,} tokens used"
            case "money":
                return f"budget: {self._money.spent:.4g} of {self.budget.money:.4g} of money spent"
            case "seconds":
                return f"budget: {self.budget.seconds:g} seconds passed"
        return None

    @property
    def counted(self) -> bool:
        """Whether there is a limit that depends on what a question costs, so that the first one must show it."""
        return self.budget.tokens is not None or self.budget.money is not None

    @property
    def tokens(self) -> float:
        """Spent on the questions that are done."""
        return self._tokens.spent

    def deadline(self) -> float | None:
        """On the monotonic clock, which runs from the first time that somebody asks."""
        if self.budget.seconds is None:
            return None
        self._started = self._started or time.monotonic()
        return self._started + self.budget.seconds

    def time_out(self) -> None:
        """The deadline has passed."""
        self._over = "seconds"

    def begin(self) -> bool:
        """Books one question; False, for good, where a limit forbids it."""
        deadline = self.deadline()
        if deadline is not None and time.monotonic() >= deadline:
            self.time_out()
        elif self._over is None and not self._tokens.allows():
            self._over = "tokens"
        elif self._over is None and not self._money.allows():
            self._over = "money"
        if self._over is not None:
            return False
        for meter in (self._tokens, self._money):
            meter.running += 1
        return True

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """A question that was booked is done.

        Raises:
            BadInput: money is limited, and nothing that was drawn has a price.
        """
        drawn = [o for o in outcomes if o.spent]
        if self.budget.money is not None and drawn and all(o.spent_cost is None for o in drawn):
            raise BadInput("the budget of money bounds nothing: no model has prices; configure them or limit tokens")
        self._tokens.end(sum(o.spent + o.spent_prompt for o in outcomes))
        self._money.end(sum(o.spent_cost or 0.0 for o in outcomes))


class _Limit:
    """One limit, and what questions cost on average."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self.spent = 0.0
        self.running = 0
        self._done = 0

    def allows(self) -> bool:
        if self._limit is None:
            return True
        mean = self.spent / self._done if self._done else 0.0
        return self.spent < self._limit and self.spent + (self.running + 1) * mean <= self._limit

    def end(self, amount: float) -> None:
        self.running -= 1
        self._done += 1
        self.spent += amount
