"""How much the answers to one question agree, and whether they err alike.

Pair agreement is that of Fleiss (1971): the share of pairs of answers that are equal. His kappa sets it
against what the frequencies of labels alone would give, so it exists only where labels mean the same in
every question (multiple choice) and every question has as many answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from ..records import AnswerRecord
from ..statistics import Result, require

__all__ = ["AnswerAgreement", "agreement"]


class AnswerAgreement(Result):
    """Means over questions; None where no question has what it takes."""

    plurality_share: float
    """Votes of the most frequent answer over all samples, those without an answer included."""
    unanimous: float
    """Share of questions on which every sample gives the same answer."""
    entropy: float
    """Of the answers' shares, in nats."""
    normalized_entropy: float | None
    """Entropy over the logarithm of the number of answers given: 0 all alike, 1 all different."""
    pair_agreement: float | None
    """Chance that two answers to one question are equal."""
    kappa: float | None
    """Fleiss' kappa."""
    distinct: float
    """Different answers to one question."""
    abstained: float
    """Share of samples without an answer."""
    error_agreement: float | None
    """Chance that two wrong answers to one question are equal: what leads a vote astray."""
    joint_error: float | None
    """Chance that two samples are both wrong, over what independent errors on equally hard questions would
    give; 1 means that questions do not differ in difficulty."""


def agreement(records: Sequence[AnswerRecord]) -> AnswerAgreement:
    """Agreement and diversity of the answers.

    Raises:
        BadInput: there are no questions, or one without samples.
    """
    if not records or not all(map(len, records)):
        raise BadInput("nothing to measure: give at least one question, each with at least one answer")
    votes = [Counter(c for c in record.classes if c is not None) for record in records]
    entropies = [_entropy(counted) for counted in votes]
    wrong = [
        Counter(c for c, right in zip(r.classes, r.right, strict=True) if c is not None and not right) for r in records
    ]
    return AnswerAgreement(
        plurality_share=fmean(max(v.values(), default=0) / len(r) for v, r in zip(votes, records, strict=True)),
        unanimous=fmean(max(v.values(), default=0) == len(r) for v, r in zip(votes, records, strict=True)),
        entropy=fmean(entropies),
        normalized_entropy=_mean(e / log(v.total()) for e, v in zip(entropies, votes, strict=True) if v.total() > 1),
        pair_agreement=_mean(map(_equal_pairs, votes)),
        kappa=_kappa(records),
        distinct=fmean(map(len, votes)),
        abstained=sum(c is None for r in records for c in r.classes) / sum(map(len, records)),
        error_agreement=_mean(map(_equal_pairs, wrong)),
        joint_error=_joint_error(records),
    )


def _mean(values: object) -> float | None:
    known = [v for v in values if v is not None]  # type: ignore[attr-defined]
    return fmean(known) if known else None


def _entropy(votes: Counter[int]) -> float:
    total = votes.total()
    return max(0.0, -sum(v / total * log(v / total) for v in votes.values())) if total else 0.0


def _equal_pairs(votes: Counter[int]) -> float | None:
    total = votes.total()
    return sum(v * (v - 1) for v in votes.values()) / (total * (total - 1)) if total > 1 else None


def _joint_error(records: Sequence[AnswerRecord]) -> float | None:
    several = [record for record in records if len(record) > 1]
    if not several:
        return None
    shares = [1 - sum(r.right) / len(r) for r in several]
    both = fmean((len(r) - sum(r.right)) * (len(r) - sum(r.right) - 1) / (len(r) * (len(r) - 1)) for r in several)
    return both / fmean(shares) ** 2 if any(shares) else None


def _kappa(records: Sequence[AnswerRecord]) -> float | None:
    """statsmodels' `fleiss_kappa` over labels, where they mean the same in every question."""
    meaning: dict[int, set[str | None]] = {}
    for record in records:
        for number, answer in zip(record.classes, record.answers, strict=True):
            if number is not None:
                meaning.setdefault(number, set()).add(answer)
    alike = len(records) > 1 and all(len(said) == 1 for said in meaning.values())
    sizes = {sum(c is not None for c in record.classes) for record in records}
    if not alike or len(meaning) < 2 or len(sizes) != 1 or sizes.pop() < 2:
        return None
    require()
    from statsmodels.stats.inter_rater import fleiss_kappa

    table = [[sum(c == number for c in record.classes) for number in sorted(meaning)] for record in records]
    return float(fleiss_kappa(table, method="fleiss"))
