"""Abilities and difficulties of a whole batch together; the model is that of `abilities`. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma
from typing import Any

from .abilities import FARTHEST, SPREAD, Abilities, Ability
from .arrays import Votes, numpy
from .ballot import Ballot, Weights

__all__ = ["fit_abilities", "fit_votes"]

ROUNDS = 200
TOLERANCE = 5e-4
"""Logits that no ability moves any more in one round."""
START = 0.5
"""Ability before anything is seen: rather right than wrong, or all could be turned around."""


def fit_abilities(ballots: Sequence[Ballot]) -> tuple[Abilities, list[Weights]]:
    """Abilities of all voters, and the weights of every ballot's classes under them.

    Raises:
        MissingExtra: numpy is not installed.
    """
    votes = Votes.of(ballots)
    ability, precision, weights = fit_votes(votes)
    answers = numpy().bincount(votes.voter, minlength=votes.voters)
    rows = zip(votes.names, ability, precision, answers, strict=True)
    models = {name: Ability(mean=float(a), precision=float(p), answers=int(n)) for name, a, p, n in rows}
    return Abilities(models=models), votes.listed(weights)


def fit_votes(votes: Votes) -> tuple[Any, Any, Any]:
    """Ability and precision of each voter, and weights of shape (questions, classes), -inf without votes."""
    state = _Fit.begun(votes)
    for _ in range(ROUNDS):
        if state.step() < TOLERANCE:
            break
    return state.ability, state.precision, state.weights


@dataclass
class _Fit:
    votes: Votes
    urn: Any
    ability: Any
    difficulty: Any
    belief: Any
    weights: Any
    precision: Any

    @classmethod
    def begun(cls, votes: Votes) -> _Fit:
        np = numpy()
        counts = votes.counts
        belief = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        ability = np.full(votes.voters, START)
        return cls(votes, _urn(counts), ability, np.zeros(len(counts)), belief, votes.seen(counts), ability)

    def step(self) -> float:
        """One round; how far the farthest ability moved."""
        np = numpy()
        votes = self.votes
        right = np.zeros(len(votes.number))
        right[votes.cast] = self.belief.ravel()[votes.cell]
        before = self.ability
        gap, slope = self._gap(right)
        self.precision = np.bincount(votes.voter, slope, minlength=votes.voters) + SPREAD**-2
        pull = np.bincount(votes.voter, gap, minlength=votes.voters) - self.ability * SPREAD**-2
        self.ability = self.ability + pull / self.precision
        gap, slope = self._gap(right)
        questions = len(self.difficulty)
        pull = np.bincount(votes.question, gap, minlength=questions) + self.difficulty * SPREAD**-2
        moved = self.difficulty - pull / (np.bincount(votes.question, slope, minlength=questions) + SPREAD**-2)
        self.difficulty = np.clip(moved, -FARTHEST, self._hardest())
        margin = self.ability[votes.by] - self.difficulty[votes.question[votes.cast]]
        self.weights = votes.seen(votes.table(margin) + self.urn)
        self.belief = votes.believed(self.weights)
        return float(np.abs(self.ability - before).max(initial=0.0))

    def _hardest(self) -> Any:
        """The greatest difficulty that each question may have; see `abilities`."""
        np = numpy()
        votes, questions = self.votes, len(self.difficulty)
        ability, question = self.ability[votes.by], votes.question[votes.cast]
        best = np.full(questions, -FARTHEST)
        np.maximum.at(best, question, ability)
        number = np.maximum(1, np.bincount(question, minlength=questions))
        mean = np.bincount(question, ability, minlength=questions) / number
        square = np.bincount(question, ability**2, minlength=questions) / number
        return np.minimum(best + np.sqrt(np.maximum(0.0, square - mean**2)), FARTHEST)

    def _gap(self, right: Any) -> tuple[Any, Any]:
        """How much righter each vote seems than expected, and the variance of that."""
        votes = self.votes
        chance = 1 / (1 + numpy().exp(self.difficulty[votes.question] - self.ability[votes.voter]))
        return right - chance, chance * (1 - chance)


def _urn(counts: Any) -> Any:
    """See `abilities`: log-probability of the votes on the other classes, if this one is right."""
    np = numpy()
    total = counts.sum(1, keepdims=True)
    wrong = np.maximum(1, (counts > 0).sum(1, keepdims=True))
    most = int((total + wrong).max(initial=1)) + 1
    log_gamma = np.array([0.0, *(lgamma(n) for n in range(1, most + 2))])
    orders = log_gamma[(1 + counts).astype(int)]
    return orders.sum(1, keepdims=True) - orders - log_gamma[(wrong + total - counts).astype(int)]
