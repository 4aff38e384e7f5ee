"""Who is right, learned from who agrees with whom: Dawid and Skene's model and its one-coin form.

Dawid and Skene, 1979, Applied Statistics 28. The true class of question i has the probability
T_i(c) ~ pi_c prod_w e_w[c, y_iw] over the voters w that answered; pi and the error rates e_w are
re-estimated from T. `DawidSkene` has the full matrix e_w and so needs classes that mean the same in
every question (crowd labels, multiple choice). `OneCoin` has one accuracy a voter, wrong answers being
equally likely, and so works for open answers, whose classes are a question's own.

These are the reference, question by question; `arrays` has the same for millions of votes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import exp, fsum, log

from .ballot import Ballot, Weights
from .rules import LogOdds, Plurality

FLOOR = 1e-10
"""Smallest probability of an error or a class, so that nothing is impossible."""


class OneCoin:
    """Dawid-Skene with one accuracy a voter.

    The number of possible classes of a question is one more than were seen, at least 2; an abstention
    counts as an error of its voter; accuracies are (hits + 1) / (ballots + 2). Weights are log-odds.

    Args:
        start: accuracy that every voter begins with.
        rounds: of estimation.
    """

    name = "dawid-skene"

    def __init__(self, *, start: float = 0.6, rounds: int = 30) -> None:
        self.start, self.rounds = start, rounds

    def fit_weights(self, ballots: Sequence[Ballot]) -> list[Weights]:
        asked = Counter(b.voter(i) for b in ballots for i in range(len(b.classes)))
        accuracies = dict.fromkeys(asked, self.start)
        weights: list[Weights] = []
        for _ in range(self.rounds):
            rule = LogOdds(accuracies)
            weights = [rule.weights(ballot) for ballot in ballots]
            hits = _hits(ballots, [to_probabilities(w) for w in weights])
            accuracies = {voter: (fsum(hits[voter]) + 1) / (n + 2) for voter, n in asked.items()}
        return weights


class DawidSkene:
    """Dawid-Skene with a matrix of error rates a voter; weights are posterior probabilities.

    Starts from the shares of the votes. A class that a voter never named has no part in the
    normalization of its rates, as in crowd-kit.

    Args:
        rounds: at most.
        tolerance: gain of the bound on the log-likelihood a vote at which it ends.
    """

    name = "dawid-skene-full"

    def __init__(self, *, rounds: int = 100, tolerance: float = 1e-5) -> None:
        self.rounds, self.tolerance = rounds, tolerance

    def fit_weights(self, ballots: Sequence[Ballot]) -> list[Weights]:
        """See `BatchRule`; a class has the same meaning in every ballot."""
        classes = sorted({b.class_of(i) for b in ballots for i in b.cast})
        voted = [b for b in ballots if b.cast]
        belief = [_shares(ballot) for ballot in voted]
        prior, rates = _prior(belief, classes), _rates(voted, belief, classes)
        bound = -float("inf")
        for _ in range(self.rounds):
            belief = [to_probabilities(_likelihood(b, prior, rates, classes)) for b in voted]
            prior, rates = _prior(belief, classes), _rates(voted, belief, classes)
            last, bound = bound, _bound(voted, belief, prior, rates)
            if bound - last < self.tolerance:
                break
        found = iter(belief)
        return [next(found) if ballot.cast else {} for ballot in ballots]


def to_probabilities(weights: Mapping[int, float]) -> Weights:
    """Probabilities from their logarithms, which may lack a common constant."""
    top = max(weights.values(), default=0.0)
    raw = {number: exp(weight - top) for number, weight in weights.items()}
    total = fsum(raw.values())
    return {number: weight / total for number, weight in raw.items()}


def _hits(ballots: Sequence[Ballot], beliefs: Sequence[Weights]) -> dict[str, list[float]]:
    hits: dict[str, list[float]] = defaultdict(list)
    for ballot, belief in zip(ballots, beliefs, strict=True):
        for i in ballot.cast:
            hits[ballot.voter(i)].append(belief[ballot.class_of(i)])
    return hits


def _shares(ballot: Ballot) -> Weights:
    return {number: votes / len(ballot.cast) for number, votes in Plurality().weights(ballot).items()}


def _prior(belief: Sequence[Weights], classes: Sequence[int]) -> dict[int, float]:
    return {c: max(FLOOR, fsum(one.get(c, 0.0) for one in belief) / len(belief)) for c in classes}


Rates = dict[tuple[str, int], dict[int, float]]
"""By voter and class that it named: how probable that is, by true class."""


def _rates(ballots: Sequence[Ballot], belief: Sequence[Weights], classes: Sequence[int]) -> Rates:
    parts: dict[tuple[str, int], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for ballot, one in zip(ballots, belief, strict=True):
        for i in ballot.cast:
            for number, probability in one.items():
                parts[ballot.voter(i), ballot.class_of(i)][number].append(probability)
    counts = {key: {c: max(FLOOR, fsum(row.get(c, ()))) for c in classes} for key, row in parts.items()}
    totals: dict[str, dict[int, float]] = defaultdict(lambda: dict.fromkeys(classes, 0.0))
    for (voter, _), row in sorted(counts.items()):
        for c in classes:
            totals[voter][c] += row[c]
    return {key: {c: row[c] / totals[key[0]][c] for c in classes} for key, row in counts.items()}


def _likelihood(ballot: Ballot, prior: Mapping[int, float], rates: Rates, classes: Sequence[int]) -> Weights:
    rows = [rates[ballot.voter(i), ballot.class_of(i)] for i in ballot.cast]
    return {c: log(prior[c]) + fsum(log(row[c]) for row in rows) for c in classes}


def _bound(ballots: Sequence[Ballot], belief: Sequence[Weights], prior: Mapping[int, float], rates: Rates) -> float:
    """What the rounds raise, a vote; like crowd-kit, whose labels these equal, it counts the prior once a vote."""
    parts = []
    for ballot, one in zip(ballots, belief, strict=True):
        rows = [rates[ballot.voter(i), ballot.class_of(i)] for i in ballot.cast]
        parts += [p * (log(row[c]) + log(prior[c])) for row in rows for c, p in one.items()]
        parts += [-p * log(max(p, FLOOR)) for p in one.values()]
    return fsum(parts) / sum(len(ballot.cast) for ballot in ballots)
