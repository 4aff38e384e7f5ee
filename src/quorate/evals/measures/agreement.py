"""How much the answers to one question agree, and whether they err alike.

Pair agreement is that of Fleiss (1971): the share of pairs of answers that are equal. His kappa sets it
against what the frequencies of labels alone would give, so it exists only where labels mean the same in
every question (multiple choice) and every question has as many answers.

A panel's effective votes: how many independent voters its errors leave (see `votes.effective`).

With grades, the correlation is that of the errors of two voters over questions, the mean over pairs, each voter's
own error rate taken out. Without grades, the class that leads clearly among the *other* voters stands for the right
answer. Where it is wrong, two right voters seem to err together, so the number comes out low where voters often err:
six independent ones count as 6.0, 5.1 and 4.3 at accuracies of .85, .7 and .55 (simulated, 2,000 questions). Where
all voters err alike on wrong answers that look like agreement, it comes out high; voters who always agree say nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from math import log, sqrt
from statistics import fmean

from quorate.aggregators.votes.effective import count_effective_votes
from quorate.orchestrator.errors import BadInput

from ..records import AnswerRecord
from ..statistics import Result, require


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


LEAD = 2
"""Votes by which the others' first class must lead to stand for the right answer."""
MOST = 12
"""Voters of a question whose pairs are looked at without grades."""
Pair = tuple[tuple[str, bool], tuple[str, bool]]
"""Two voters, and whether each errs."""


class EffectiveVotes(Result):
    """Of the voters of a bank; without grades None where fewer than four answer a question, or where all agree."""

    voters: float
    """Answers to a question in the mean."""
    correlation: float
    """Of the errors of two of them, by the grades."""
    votes: float
    """Independent voters that they amount to."""
    label_free_correlation: float | None
    label_free_votes: float | None


def measure_effective_votes(records: Sequence[AnswerRecord]) -> EffectiveVotes | None:
    """The effective votes of these voters; None where no question has two answers or none is answered wrongly.

    Args:
        records: of a panel, whose voters differ; or of repeated samples of one model.
    """
    several = [record for record in records if len(record) > 1]
    correlation = _correlate(pair for record in several for pair in _graded(record))
    if correlation is None:
        return None
    voters = fmean(map(len, several))
    free = _correlate(pair for record in several for pair in _by_class(record))
    return EffectiveVotes(
        voters=voters,
        correlation=correlation,
        votes=_count(voters, correlation),
        label_free_correlation=free,
        label_free_votes=None if free is None else _count(voters, free),
    )


def _count(voters: float, correlation: float) -> float:
    whole = max(1, round(voters))
    return count_effective_votes(whole, correlation)


def _graded(record: AnswerRecord) -> Iterable[Pair]:
    errs = [(voter, not right) for voter, right in zip(record.voters, record.right, strict=True)]
    return combinations(errs[:MOST], 2)


def _by_class(record: AnswerRecord) -> Iterable[Pair]:
    """Each pair with the errors that the others' first class gives them, where its lead is clear."""
    voters = list(zip(record.voters, record.classes, strict=True))[:MOST]
    if len(voters) < 4:
        return
    votes = Counter(number for _, number in voters if number is not None)
    for (one, first), (other, second) in combinations(voters, 2):
        rest = votes - Counter(number for number in (first, second) if number is not None)
        ranked = rest.most_common(2)
        if ranked and ranked[0][1] - (ranked[1][1] if len(ranked) > 1 else 0) >= LEAD:
            yield (one, first != ranked[0][0]), (other, second != ranked[0][0])


def _correlate(pairs: Iterable[Pair]) -> float | None:
    """Mean correlation of two voters' errors; None where nobody errs, or everybody always does."""
    found = list(pairs)
    errors: dict[str, list[bool]] = defaultdict(list)
    for pair in found:
        for voter, wrong in pair:
            errors[voter].append(wrong)
    rates = {voter: fmean(wrong) for voter, wrong in errors.items()}
    spread = {voter: sqrt(rate * (1 - rate)) for voter, rate in rates.items()}
    most = sum(spread[one] * spread[other] for (one, _), (other, _) in found)
    if not most:
        return None
    together = sum((a - rates[one]) * (b - rates[other]) for (one, a), (other, b) in found)
    return max(-1.0, min(1.0, together / most))
