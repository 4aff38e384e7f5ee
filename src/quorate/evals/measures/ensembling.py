"""How models did that write their answers together, token by token: what they decided together, and how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..statistics import Figure

if TYPE_CHECKING:
    from ..outcome import Outcome

__all__ = ["Ensembled", "ensembled", "tokens_per_second"]


class Ensembled(Figure):
    """What several models decided on the tokens of all answers of one pipeline."""

    share: float
    """Tokens that were chosen from the mixture of all models, as part of all tokens of the answers."""
    agreement: Mapping[str, float]
    """By verifier, the part of the drafted tokens that it looked at which were its own first choice."""


def ensembled(outcomes: Sequence[Outcome]) -> Ensembled | None:
    """Of one pipeline's outcomes; None where no models wrote together."""
    told = [o.together for o in outcomes if o.together is not None]
    if not told:
        return None
    judged, agreed = Counter[str](), Counter[str]()
    for each in told:
        judged.update(each.judged)
        agreed.update(each.agreed)
    return Ensembled(
        share=sum(each.ensembled for each in told) / max(1, sum(each.tokens for each in told)),
        agreement={model: agreed[model] / count for model, count in judged.items() if count},
    )


def tokens_per_second(outcomes: Sequence[Outcome]) -> float | None:
    """How fast one answer came, over all candidates of one pipeline; None where their times are unknown."""
    seconds = sum(o.writing for o in outcomes)
    return sum(o.written for o in outcomes) / seconds if seconds > 0 else None
