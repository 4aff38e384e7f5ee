"""What was spent: tokens, money and seconds a question, with median and tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput

from ..records import AnswerRecord
from ..statistics import Result

if TYPE_CHECKING:
    from ..outcome import Outcome

__all__ = ["Spending", "Spread", "measure_spending", "spread", "token_spending"]


class Spread(Result):
    """How one quantity is distributed over questions."""

    total: float
    mean: float
    median: float
    p95: float
    most: float


class Spending(Result):
    """What one pipeline took, as if it ran alone; a failed question counts with what it took."""

    questions: int
    tokens: Spread
    """Generated."""
    prompt_tokens: Spread
    cost: Spread | None
    """Money; None where a question has no price."""
    seconds: Spread
    """From asking to the answer, under the load of the run."""


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; quantiles are interpolated linearly."""
    if not values:
        raise BadInput("nothing was spent: give at least one question")
    np = numpy()
    median, p95 = np.quantile(values, [0.5, 0.95])
    total = float(sum(values))
    return Spread(total=total, mean=total / len(values), median=float(median), p95=float(p95), most=float(max(values)))


def measure_spending(outcomes: Sequence[Outcome]) -> Spending:
    """Of one pipeline's outcomes.

    Raises:
        BadInput: there are none.
    """
    prices = [o.cost for o in outcomes if o.cost is not None]
    return Spending(
        questions=len(outcomes),
        tokens=spread([o.tokens for o in outcomes]),
        prompt_tokens=spread([o.prompt_tokens for o in outcomes]),
        cost=spread(prices) if len(prices) == len(outcomes) else None,
        seconds=spread([o.seconds for o in outcomes]),
    )


def token_spending(records: Sequence[AnswerRecord]) -> Spread | None:
    """Tokens of all recorded answers to a question; None where they were not recorded."""
    spent = [s for record in records if (s := record.count_tokens(len(record))) is not None]
    return spread(spent) if spent and len(spent) == len(records) else None
