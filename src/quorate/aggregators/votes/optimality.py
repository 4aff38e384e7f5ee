"""When counting votes is provably as good as weighing them.

For voters that err independently, wrong answers being equally likely, the best decision weighs votes by
w = log((K - 1) a / (1 - a)) for K possible answers (Nitzan and Paroush 1982; Shapley and Grofman 1984).
With every accuracy above 1/K, counting makes that same decision on every ballot if and only if

- with equal accuracies a, two answers and a prior: 1 - a <= prior <= a, a tie going to the likelier;
- with a flat prior: the smallest ceil(H / 2) of the H voters' weights sum to at least the largest
  floor(H / 2): then no minority outweighs a majority.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, fsum, inf, log

from quorate.orchestrator.errors import BadInput

ROUNDING = 1e-12


def plurality_is_optimal(accuracies: Sequence[float], *, prior: float = 0.5, classes: int = 2) -> bool:
    """Whether no other rule beats counting, whatever the ballots; False where it cannot be proved.

    Args:
        accuracies: one a voter.
        prior: probability of the first of two answers.
        classes: how many answers are possible.

    Raises:
        BadInput: there are no voters, an argument is out of its range, or a prior that is not flat
            comes with unequal accuracies or more than two answers, for which no condition is known.
    """
    _check(accuracies, prior, classes)
    if min(accuracies) <= 1 / classes:
        return False
    if prior != 0.5:
        return 1 - accuracies[0] - ROUNDING <= prior <= accuracies[0] + ROUNDING
    weights = sorted(inf if a == 1 else log((classes - 1) * a / (1 - a)) for a in accuracies)
    half = len(weights) // 2
    return fsum(weights[: ceil(len(weights) / 2)]) >= fsum(weights[len(weights) - half :]) - ROUNDING


def _check(accuracies: Sequence[float], prior: float, classes: int) -> None:
    if not accuracies:
        raise BadInput("plurality_is_optimal() needs at least one voter's accuracy")
    if not all(0 <= a <= 1 for a in accuracies):
        raise BadInput(f"accuracies {list(accuracies)}: give shares from 0 to 1")
    if classes < 2 or not 0 < prior < 1:
        raise BadInput(f"classes={classes}, prior={prior}: give at least 2 classes and a prior between 0 and 1")
    if prior != 0.5 and (classes > 2 or max(accuracies) - min(accuracies) > ROUNDING):
        raise BadInput(f"prior={prior}: only a flat prior (0.5) goes with unequal accuracies or more than 2 classes")
