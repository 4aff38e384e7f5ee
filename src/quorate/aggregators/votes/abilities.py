"""Label-free weighting of uneven models: whom to trust, learned from agreement alone.

A method of our own on known parts. Model w answers question i rightly with probability
s(ability_w - difficulty_i), s the logistic function (Rasch 1960; GLAD, Whitehill et al. 2009, has the
same idea with a slope). One-coin Dawid-Skene has no difficulty: there many weak models outvote a few
strong ones on the hard questions. Wrong answers follow a Polya urn (a Dirichlet-multinomial with
concentration 1), so that models which share a wrong answer, as they do, are no independent witnesses
for it; Dawid-Skene takes every one as new evidence.

With n_c votes on class c, N votes and W possible wrong classes (as many as were seen), the log-weight of c is

    sum over voters of c of (ability - difficulty)
        + sum over other classes d of log(n_d!) - log Gamma(W + N - n_c)

and an abstention is an error of its voter. Votes of the weak may so count against an answer. Since
votes alone cannot tell a hard question from a wrong majority, no question is harder than the ability of
its ablest voter plus the deviation of its voters' abilities: among equals the plurality wins.

Abilities and difficulties have a normal prior with mean 0 and a deviation of 3 (in logits). They are
found by expectation-maximization from the shares of the votes, each difficulty from its question alone,
so that abilities learned on one bank judge any new question. Online, an ability moves by one Newton step
a question; its precision grows with what it has seen.

Meant for open answers. Where classes mean the same in every question (labels), voters lean towards some
of them, which is what full Dawid-Skene is for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, fsum, lgamma
from pathlib import Path
from statistics import pstdev
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen, first_fault

from .arrays import Votes, numpy
from .ballot import Ballot, Weights, sum_by_class
from .copies import find_copies, merge_copies
from .dawid_skene import to_probabilities
from .rules import Plurality

SPREAD = 3.0
"""Deviation of abilities and difficulties before anything is seen, in logits."""
ROUNDS = 50
FARTHEST = 10.0
"""Largest difficulty, either way."""
BATCH_ROUNDS = 200
TOLERANCE = 5e-4
"""Logits that no ability moves any more in one round."""
START = 0.5
"""Ability before anything is seen in a batch: rather right than wrong, or all could be turned around."""


class Ability(Frozen):
    """What is known of one model."""

    mean: float = Field(default=0.0, allow_inf_nan=False)
    """In logits: 0 is right on half of the questions of middling difficulty."""
    precision: float = Field(default=SPREAD**-2, gt=0, allow_inf_nan=False)
    """Inverse variance; grows with every question."""
    answers: int = Field(default=0, ge=0)
    """Candidates seen, abstentions included."""


class Abilities(Frozen):
    """What is known of all models; the content of the file."""

    version: int = Field(default=1, ge=1, le=1)
    models: Mapping[str, Ability] = Field(default_factory=dict)

    def of(self, model: str) -> Ability:
        """The model's ability, or that of one never seen."""
        return self.models.get(model, _UNKNOWN)

    def save(self, path: Path | str) -> None:
        """Writes the file, whole or not at all.

        Raises:
            BadInput: it cannot be written.
        """
        target = Path(path)
        draft = target.with_name(target.name + ".new")
        try:
            draft.write_text(json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
            draft.replace(target)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path | str) -> Abilities:
        """Reads what `save` wrote.

        Raises:
            DataError: there is no such file, or it holds something else; names the field.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=path) from error
        except ValidationError as error:
            field, words = first_fault(error)
            raise DataError(f"no file of abilities: {words}", file=path, field=field or None) from None


_UNKNOWN = Ability()


class QuestionBelief(NamedTuple):
    """What one question's votes say once abilities are known."""

    weights: Weights
    """Log-probabilities but for a constant."""
    belief: Weights
    """Probabilities of the classes."""
    difficulty: float


@dataclass
class LabelFree:
    """The rule: the abilities so far, and how they grow.

    Args:
        abilities: learned before; models never seen count as middling.
    """

    abilities: Abilities = field(default_factory=Abilities)
    name = "label-free"

    def weights(self, ballot: Ballot) -> Weights:
        """See `Rule`; voters of whom nothing is known yet are counted."""
        known = [self.abilities.of(ballot.voter(i)) for i in ballot.cast]
        return self.judge(ballot).weights if len(set(known)) > 1 else Plurality().weights(ballot)

    def judge(self, ballot: Ballot) -> QuestionBelief:
        """Weights, belief and difficulty of one question under the abilities so far."""
        ability = [self.abilities.of(ballot.voter(i)).mean for i in range(len(ballot.classes))]
        urn = _urn(Plurality().weights(ballot))
        strength = sum_by_class((ballot.class_of(i), ability[i]) for i in ballot.cast)
        votes = Plurality().weights(ballot)
        belief = {number: count / len(ballot.cast) for number, count in votes.items()}
        hardest = _hardest([ability[i] for i in ballot.cast])
        weights, difficulty = dict(belief), 0.0
        for _ in range(ROUNDS):
            right = fsum(votes[number] * probability for number, probability in belief.items())
            last, difficulty = difficulty, min(_newton(difficulty, ability, right), hardest)
            weights = {c: strength[c] - votes[c] * difficulty + urn[c] for c in votes}
            belief = to_probabilities(weights)
            if abs(difficulty - last) < 1e-9:
                break
        return QuestionBelief(weights, belief, difficulty)

    def update(self, ballot: Ballot) -> None:
        """Learns from one more question, in one step: the abilities of its voters move."""
        question = self.judge(ballot)
        models = dict(self.abilities.models)
        for voter in sorted({ballot.voter(i) for i in range(len(ballot.classes))}):
            mine = [i for i in range(len(ballot.classes)) if ballot.voter(i) == voter]
            old = self.abilities.of(voter)
            chance = _logistic(old.mean - question.difficulty)
            hits = fsum(question.belief[ballot.class_of(i)] for i in mine if ballot.classes[i] is not None)
            precision = old.precision + len(mine) * chance * (1 - chance)
            mean = old.mean + (hits - len(mine) * chance) / precision
            models[voter] = Ability(mean=mean, precision=precision, answers=old.answers + len(mine))
        self.abilities = Abilities(models=models)

    def fit(self, ballots: Sequence[Ballot]) -> LabelFree:
        """Learns from many questions at once, anew: what was known before is the starting point only.

        Raises:
            MissingExtra: numpy is not installed.
        """
        self.abilities, _ = fit_abilities(ballots)
        return self

    def fit_weights(self, ballots: Sequence[Ballot]) -> list[Weights]:
        self.abilities, weights = fit_abilities(ballots)
        return weights


def _urn(votes: Weights) -> Weights:
    """For each class the log-probability that the votes on the others came about as they did, if it is right."""
    total, wrong = sum(votes.values()), max(1, len(votes))
    orders = fsum(lgamma(1 + n) for n in votes.values())
    return {c: orders - lgamma(1 + n) - lgamma(wrong + total - n) for c, n in votes.items()}


def _hardest(abilities: Sequence[float]) -> float:
    return min(max(abilities) + pstdev(abilities), FARTHEST) if abilities else FARTHEST


def _newton(difficulty: float, ability: Sequence[float], right: float) -> float:
    """One step towards the difficulty at which as many are expected to be right as seem to be."""
    chances = [_logistic(a - difficulty) for a in ability]
    slope = fsum(p * (1 - p) for p in chances) + SPREAD**-2
    step = (fsum(chances) - right - difficulty * SPREAD**-2) / slope
    return min(max(difficulty + min(max(step, -1.0), 1.0), -FARTHEST), FARTHEST)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x))


def fit_abilities(ballots: Sequence[Ballot]) -> tuple[Abilities, list[Weights]]:
    """Abilities of all voters, and the weights of every ballot's classes under them; copies count as one voter.

    Raises:
        MissingExtra: numpy is not installed.
    """
    copies = find_copies(ballots)
    votes = Votes.of(merge_copies(ballots, copies))
    ability, precision, weights = fit_votes(votes)
    answers = numpy().bincount(votes.voter, minlength=votes.voters)
    rows = zip(votes.names, ability, precision, answers, strict=True)
    models = {name: Ability(mean=float(a), precision=float(p), answers=int(n)) for name, a, p, n in rows}
    models |= {voter: models[group[0]] for group in copies for voter in group}
    return Abilities(models=models), votes.list_weights(weights)


def fit_votes(votes: Votes) -> tuple[Any, Any, Any]:
    """Ability and precision of each voter, and weights of shape (questions, classes), -inf without votes."""
    state = _BatchFit.start(votes)
    for _ in range(BATCH_ROUNDS):
        if state.step() < TOLERANCE:
            break
    return state.ability, state.precision, state.weights


@dataclass
class _BatchFit:
    """Abilities and difficulties of a whole batch together, over arrays; the model is the same. Needs numpy."""

    votes: Votes
    urn: Any
    ability: Any
    difficulty: Any
    belief: Any
    weights: Any
    precision: Any

    @classmethod
    def start(cls, votes: Votes) -> _BatchFit:
        np = numpy()
        counts = votes.counts
        belief = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        ability = np.full(votes.voters, START)
        return cls(votes, _urns(counts), ability, np.zeros(len(counts)), belief, votes.mask_unseen(counts), ability)

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
        self.weights = votes.mask_unseen(votes.table(margin) + self.urn)
        self.belief = votes.posterior(self.weights)
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


def _urns(counts: Any) -> Any:
    """See `abilities`: log-probability of the votes on the other classes, if this one is right."""
    np = numpy()
    total = counts.sum(1, keepdims=True)
    wrong = np.maximum(1, (counts > 0).sum(1, keepdims=True))
    most = int((total + wrong).max(initial=1)) + 1
    log_gamma = np.array([0.0, *(lgamma(n) for n in range(1, most + 2))])
    orders = log_gamma[(1 + counts).astype(int)]
    return orders.sum(1, keepdims=True) - orders - log_gamma[(wrong + total - counts).astype(int)]
