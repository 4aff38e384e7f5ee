"""A trained selector: weights of features in a readable JSON file, and when it had better abstain.

Why JSON: pickle and joblib run code of whoever wrote the file, and a library's object (skops) needs that
library, in its version, wherever it is served. A logistic regression is a few dozen numbers; with them a
file can be read by people, and is served with no library at all.

When to abstain is split conformal prediction by question: Vovk, Gammerman and Shafer, Algorithmic Learning in a
Random World, 2005, section 4.2 (inductive conformal); as control of a risk: Angelopoulos et al., arXiv 2208.02814,
section 2. A held-out question scores the winner's probability if the winner is wrong, and nothing if it is right.
With t the ceil((n + 1)(1 - risk))-th smallest of n scores, a new question has a score above t with a chance of at
most `risk`, if it is exchangeable with those held out: at most that part of all questions is answered wrongly when
only winners above t are answered. mapie and crepes give prediction sets for classifiers with fixed classes; here
every question has classes of its own, so these few lines are our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, exp, floor, fsum
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen

from ..files import LearnedFile
from .features import FAMILIES, MODEL, compute_features
from .view import CandidateView


class Term(Frozen):
    """One feature's part in the score: weight * (value - mean) / scale."""

    mean: float = Field(allow_inf_nan=False)
    scale: float = Field(gt=0, allow_inf_nan=False)
    weight: float = Field(allow_inf_nan=False)


class ConformalThreshold(Frozen):
    """When a selector had better not answer (split conformal by question)."""

    risk: float = Field(gt=0, lt=1)
    """The part of all questions that may be answered wrongly."""
    threshold: float = Field(ge=0, le=1)
    """The winner's probability must lie above it."""
    questions: int = Field(ge=1)
    """How many were held out to find it."""


class Origin(Frozen):
    """What a selector was trained on, for people."""

    tasks: tuple[str, ...] = ()
    questions: int = 0
    sets: int = 0
    candidates: tuple[int, int] = (0, 0)
    """Fewest and most of a set."""
    seed: int = 0
    folds: int = 0
    regularization: float = 0.0
    """scikit-learn's C, chosen by cross-validation."""


class TrainedSelector(LearnedFile):
    """The content of the file: a calibrated logistic regression over classes of equal answers."""

    kind: ClassVar[str] = "selector"
    format: Literal["quorate selector"] = "quorate selector"
    version: Literal[1] = 1
    families: tuple[str, ...]
    terms: Mapping[str, Term]
    intercept: float = Field(allow_inf_nan=False)
    abstention: ConformalThreshold | None = None
    origin: Origin = Origin()

    @property
    def models(self) -> frozenset[str]:
        """Who was seen in training; empty where it does not matter."""
        return frozenset(name.removeprefix(MODEL) for name in self.terms if name.startswith(MODEL))

    def probability(self, row: Mapping[str, float]) -> float:
        """How probably a class with these features is right; features that it lacks count as 0."""
        parts = (term.weight * (row.get(name, 0.0) - term.mean) / term.scale for name, term in self.terms.items())
        score = min(max(fsum([self.intercept, *parts]), -500.0), 500.0)
        return 1 / (1 + exp(-score))

    def probabilities(self, view: CandidateView) -> dict[int, float]:
        """That of each class; they are not made to sum to 1, since all may be wrong."""
        return {number: self.probability(compute_features(view, number)) for number in view.members}

    def find_lacking(self, view: CandidateView) -> list[str]:
        """Families whose inputs this question lacks."""
        return [name for name in self.families if not FAMILIES[name].present(view)]

    def explain_unfit(self, view: CandidateView) -> str | None:
        """Why it cannot judge this question; None where it can."""
        if lacking := self.find_lacking(view):
            return "; ".join(f"its features {name!r} need {FAMILIES[name].needs}" for name in lacking)
        strange = self.find_strange(view)
        if 2 * len(strange) > len(view.candidates):
            return f"{len(strange)} of {len(view.candidates)} candidates are of models it has never seen"
        return None

    def find_strange(self, view: CandidateView) -> list[str]:
        """Who gave candidates and was never seen, once a candidate."""
        return [source for source in view.sources if self.models and source not in self.models]

    def check(self, path: Path | str) -> None:
        """See `LearnedFile`."""
        known = {f.__name__ for family in FAMILIES.values() for f in family.features}
        strange = sorted({*self.families} - {*FAMILIES}) or sorted(
            name for name in self.terms if not name.startswith(MODEL) and name not in known
        )
        if strange:
            raise DataError(
                f"uses {', '.join(strange)}, which this quorate does not know: train it again", file=path, field="terms"
            )


def count_least_questions(risk: float) -> int:
    """How many questions must be held out for a threshold to exist."""
    return ceil(1 / risk - 1e-9) - 1


def find_threshold(winners: Sequence[tuple[float, bool]], risk: float) -> float:
    """The probability above which a winner may be told.

    Args:
        winners: of each held-out question the winner's probability and whether it is right; one that has
            no winner counts as right, since nothing wrong is told.
        risk: the part of all questions that may be answered wrongly.

    Raises:
        BadInput: there are too few questions for this risk.
    """
    rank = ceil((len(winners) + 1) * (1 - risk) - 1e-9)
    if rank > len(winners):
        raise BadInput(
            f"risk={risk:g} needs at least {count_least_questions(risk)} questions held out, and there are "
            f"{len(winners)}: give more questions, or accept more risk"
        )
    scores = sorted(0.0 if right else probability for probability, right in winners)
    return scores[rank - 1]


def count_held_out(questions: int, risk: float, part: float) -> int:
    """How many of so many questions are held out."""
    return max(floor(questions * part), count_least_questions(risk))
