"""What a run may spend, and what it must not begin any more."""

from __future__ import annotations

import time
from collections.abc import Sequence

from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput

from .outcome import Outcome

__all__ = ["Allowance"]


class Allowance:
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
        self._tokens, self._money = _Meter(self.budget.tokens), _Meter(self.budget.money)
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


class _Meter:
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
