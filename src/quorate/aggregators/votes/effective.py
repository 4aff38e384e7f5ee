"""How many independent voters a panel amounts to, given how alike its members err.

The variance of the mean of n equally correlated errors is that of n / (1 + (n - 1) rho) independent ones (Kish 1965,
the design effect); nine judges of seven families were so found to carry about two votes (arXiv 2605.29800).
"""

from __future__ import annotations

from quorate.orchestrator.errors import BadInput


def count_effective_votes(voters: int, correlation: float) -> float:
    """Independent voters that so many voters amount to: from 1 to their number.

    Args:
        voters: at least 1.
        correlation: of the errors of two of them, over questions; a negative one counts as 0.

    Raises:
        BadInput: a number is impossible.
    """
    if voters < 1 or not -1 <= correlation <= 1:
        raise BadInput(
            f"effective votes of {voters} voters with a correlation of {correlation}: give 1 or more, -1 to 1"
        )
    return voters / (1 + (voters - 1) * max(0.0, correlation))
