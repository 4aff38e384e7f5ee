"""CROWDLAB: annotators and a classifier, weighted by how well each agrees (Goh et al., arXiv 2210.06812).

With the classifier's posterior p_M, annotators j of question i and weights w:

    p_i(k) ~ w_M p_M(k) + sum_j w_j (P if y_ij = k else (1 - P) / (K - 1))
    w_j = 1 - (1 - s_j) / (1 - A),   w_M = (1 - (1 - A_M) / (1 - A)) * sqrt(mean annotators a question)

s_j is how often j agrees with the others, A_M how often the classifier's best class is the consensus,
A the same for the one class that is commonest, and P the mean agreement with the consensus; all over
questions with two or more votes. The consensus is the plurality, ties going to the class that the
classifier finds likelier. Weights are at least 1e-6.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite, sqrt
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from .ballot import Ballot, Weights, leaders
from .rules import Plurality

LEAST = 1e-6


@dataclass(frozen=True)
class _Trust:
    """What the batch says of everyone."""

    agreement: float
    """P: mean agreement with the consensus."""
    voters: Mapping[str, float]
    model: float


class CrowdLab:
    """Weights are the posterior probabilities of all classes that somebody or the classifier names.

    Args:
        posteriors: for each ballot the classifier's probability of each class, which means the same in
            every ballot.

    Raises:
        BadInput: a probability is negative or not finite, or a posterior is empty.
    """

    name = "crowdlab"

    def __init__(self, posteriors: Sequence[Mapping[int, float]]) -> None:
        for number, posterior in enumerate(posteriors):
            total = fsum(posterior.values())
            if not (isfinite(total) and total > 0 and all(p >= 0 for p in posterior.values())):
                raise BadInput(f"crowdlab: posterior {number} holds no probabilities: give finite ones of at least 0")
        self.posteriors = [{c: p / fsum(one.values()) for c, p in one.items()} for one in posteriors]

    def fit_weights(self, ballots: Sequence[Ballot]) -> list[Weights]:
        """See `BatchRule`; a question without votes has the classifier's word.

        Raises:
            BadInput: there are not as many posteriors as ballots.
        """
        if len(ballots) != len(self.posteriors):
            raise BadInput(f"crowdlab: {len(self.posteriors)} posteriors for {len(ballots)} ballots")
        named = {c for one in self.posteriors for c in one} | {b.class_of(i) for b in ballots for i in b.cast}
        trust = self._trust(ballots)
        pairs = zip(ballots, self.posteriors, strict=True)
        return [_posterior(ballot, posterior, trust, sorted(named)) for ballot, posterior in pairs]

    def _trust(self, ballots: Sequence[Ballot]) -> _Trust:
        shared = [(b, p) for b, p in zip(ballots, self.posteriors, strict=True) if len(b.cast) > 1]
        everyone = sorted({b.voter(i) for b in ballots for i in b.cast})
        if not shared:
            return _Trust(1 - LEAST, dict.fromkeys(everyone, 1.0), 1.0)
        consensus = [_consensus(ballot, posterior) for ballot, posterior in shared]
        votes = [
            Plurality().weights(ballot)[c] / len(ballot.cast) for (ballot, _), c in zip(shared, consensus, strict=True)
        ]
        common = max(sorted(Counter(consensus).items()), key=lambda item: item[1])[0]
        baseline = max(LEAST, 1 - fmean(c == common for c in consensus))
        right = fmean(_best(posterior) == c for (_, posterior), c in zip(shared, consensus, strict=True))
        size = sqrt(fmean(len(ballot.cast) for ballot, _ in shared))
        voters = _agreements([ballot for ballot, _ in shared])
        mean = fmean(voters.values())
        return _Trust(
            agreement=fmean(votes),
            voters={v: max(LEAST, 1 - (1 - voters.get(v, mean)) / baseline) for v in everyone},
            model=max(LEAST, 1 - (1 - right) / baseline) * size,
        )


def _agreements(ballots: Sequence[Ballot]) -> dict[str, float]:
    """How often each voter's vote is also that of another voter of the question."""
    met: dict[str, int] = defaultdict(int)
    same: dict[str, float] = defaultdict(float)
    for ballot in ballots:
        votes = Plurality().weights(ballot)
        for i in ballot.cast:
            met[ballot.voter(i)] += len(ballot.cast) - 1
            same[ballot.voter(i)] += votes[ballot.class_of(i)] - 1
    return {voter: same[voter] / met[voter] for voter in met}


def _consensus(ballot: Ballot, posterior: Mapping[int, float]) -> int:
    return max(sorted(leaders(Plurality().weights(ballot))), key=lambda c: posterior.get(c, 0.0))


def _best(posterior: Mapping[int, float]) -> int:
    return max(sorted(posterior), key=lambda c: posterior[c])


def _posterior(ballot: Ballot, posterior: Mapping[int, float], trust: _Trust, classes: Sequence[int]) -> Weights:
    others = max(1, len(classes) - 1)
    parts: dict[int, list[float]] = {c: [trust.model * posterior.get(c, 0.0)] for c in classes}
    total = trust.model
    for i in ballot.cast:
        weight = trust.voters[ballot.voter(i)]
        total += weight
        for c in classes:
            likely = trust.agreement if c == ballot.class_of(i) else (1 - trust.agreement) / others
            parts[c].append(weight * likely)
    return {c: fsum(shares) / total for c, shares in parts.items()}
