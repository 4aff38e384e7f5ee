"""Votes by the million: the same rules over arrays of integers, on one core.

Needs numpy, which comes with the eval extra. Equal to the reference of `rules`, `dawid_skene` and
`abilities` but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra

from .ballot import Ballot, Weights
from .dawid_skene import FLOOR


def numpy() -> Any:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module("numpy")
    except ImportError as error:
        raise MissingExtra("eval", "voting over arrays") from error


@dataclass(frozen=True)
class Votes:
    """Votes on many questions: three arrays of equal length, one entry a vote, and how many of each.

    Raises:
        BadInput: the arrays differ in length.
    """

    question: Any
    """Integers from 0."""
    voter: Any
    """Integers from 0."""
    number: Any
    """Class within the question, from 0; -1 abstains."""
    names: tuple[str, ...] = ()
    """Of the voters."""
    questions: int = 0
    """How many, if the last ones have no votes."""

    def __post_init__(self) -> None:
        if not len(self.question) == len(self.voter) == len(self.number):
            raise BadInput("votes: question, voter and class need one entry a vote each")

    @classmethod
    def of(cls, ballots: Sequence[Ballot]) -> Votes:
        """The votes of all ballots; questions are numbered by place, voters by name."""
        np = numpy()
        names = tuple(sorted({b.voter(i) for b in ballots for i in range(len(b.classes))}))
        place = {name: i for i, name in enumerate(names)}
        rows = [
            (q, place[b.voter(i)], -1 if c is None else c)
            for q, b in enumerate(ballots)
            for i, c in enumerate(b.classes)
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2], names, len(ballots))

    @cached_property
    def cast(self) -> Any:
        """Which votes are no abstentions."""
        return self.number >= 0

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Questions, and classes of the question that has most."""
        questions = max(self.questions, int(self.question.max(initial=-1)) + 1)
        return questions, max(1, int(self.number.max(initial=-1)) + 1)

    @cached_property
    def voters(self) -> int:
        return max(len(self.names), int(self.voter.max(initial=-1)) + 1)

    @cached_property
    def cell(self) -> Any:
        """Question and class of each cast vote as one index into a table of `shape`."""
        return self.question[self.cast] * self.shape[1] + self.number[self.cast]

    @cached_property
    def by(self) -> Any:
        """Voter of each cast vote."""
        return self.voter[self.cast]

    @cached_property
    def counts(self) -> Any:
        """Votes of each class; shape (questions, classes)."""
        return self.table(None)

    def table(self, weights: Any) -> Any:
        """Sum of the weights of each class; shape (questions, classes)."""
        np = numpy()
        rows, columns = self.shape
        return np.bincount(self.cell, weights, minlength=rows * columns).reshape(rows, columns).astype(float)

    def plurality(self) -> Any:
        """Weights of `rules.Plurality`; -inf where a class has no votes."""
        return self.mask_unseen(self.counts)

    def one_coin(self, *, start: float = 0.6, rounds: int = 30) -> Any:
        """Weights of `dawid_skene.OneCoin`; -inf where a class has no votes."""
        np = numpy()
        asked = np.bincount(self.voter, minlength=self.voters)
        wrong = np.maximum(2, (self.counts > 0).sum(1) + 1) - 1
        base = np.log(wrong)[self.question[self.cast]]
        accuracy = np.full(self.voters, start)
        weights = self.plurality()
        for _ in range(rounds):
            weights = self.mask_unseen(self.table(base + np.log(accuracy / (1 - accuracy))[self.by]))
            hits = np.bincount(self.by, self.posterior(weights).ravel()[self.cell], minlength=self.voters)
            accuracy = (hits + 1) / (asked + 2)
        return weights

    def dawid_skene(self, *, rounds: int = 100, tolerance: float = 1e-5) -> Any:
        """Posterior of `dawid_skene.DawidSkene`; shape (questions, classes), zeros where nobody voted."""
        np = numpy()
        answered = self.counts.sum(1) > 0
        belief = self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        key, named = np.unique(self.by * self.shape[1] + self.number[self.cast], return_inverse=True)
        rows = self.question[self.cast]
        bound = -float("inf")
        prior, rates = self._rates(belief, answered, key, named)
        for _ in range(rounds):
            joint = self._joint(prior, rates[named], rows)
            belief = self.posterior(joint) * answered[:, None]
            prior, rates = self._rates(belief, answered, key, named)
            last, bound = bound, self._bound(belief, prior, rates[named], rows)
            if bound - last < tolerance:
                break
        return belief

    def _rates(self, belief: Any, answered: Any, key: Any, named: Any) -> tuple[Any, Any]:
        """Prior of the classes, and for each (voter, class it named) its probability by true class."""
        np = numpy()
        columns = self.shape[1]
        given = belief[self.question[self.cast]]
        counted = [np.bincount(named, given[:, c], minlength=len(key)) for c in range(columns)]
        counts = np.maximum(np.stack(counted, axis=1), FLOOR)
        voter = key // columns
        totals = np.stack([np.bincount(voter, counts[:, c], minlength=self.voters) for c in range(columns)], axis=1)
        return np.maximum(belief[answered].mean(0), FLOOR), counts / totals[voter]

    def _bound(self, belief: Any, prior: Any, rates: Any, rows: Any) -> float:
        np = numpy()
        joint = (belief[rows] * (np.log(rates) + np.log(prior))).sum()
        return float(joint - (belief * np.log(np.maximum(belief, FLOOR))).sum()) / max(1, len(rows))

    def _joint(self, prior: Any, rates: Any, rows: Any) -> Any:
        np = numpy()
        logs = np.log(rates)
        columns = [np.bincount(rows, logs[:, c], minlength=self.shape[0]) for c in range(self.shape[1])]
        return np.log(prior) + np.stack(columns, axis=1)

    def mask_unseen(self, weights: Any) -> Any:
        """The weights, -inf where a class has no votes."""
        return numpy().where(self.counts > 0, weights, -float("inf"))

    @staticmethod
    def posterior(weights: Any) -> Any:
        """Probabilities from their logarithms, row by row; zeros where a row is all -inf."""
        np = numpy()
        top = weights.max(1, keepdims=True)
        raw = np.exp(weights - np.where(np.isfinite(top), top, 0.0))
        return raw / np.maximum(raw.sum(1, keepdims=True), FLOOR)

    def list_weights(self, weights: Any) -> list[Weights]:
        """As the reference has them: a dictionary a question, of the classes that have votes."""
        return [
            {int(c): float(row[c]) for c in numpy().flatnonzero(count > 0)}
            for row, count in zip(weights, self.counts, strict=True)
        ]

    def winners(self, weights: Any) -> Any:
        """The heaviest class of each question, the first of a tie; -1 where nobody voted."""
        np = numpy()
        return np.where(self.counts.sum(1) > 0, np.argmax(weights, axis=1), -1)
