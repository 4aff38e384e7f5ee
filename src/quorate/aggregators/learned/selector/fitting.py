"""Training: a logistic regression over classes of equal answers, cross-validated by question.

Each class of a question is a row; it is right or wrong. Scores are calibrated by a sigmoid (Platt, 1999)
fitted to out-of-fold scores, as `CalibratedClassifierCV(ensemble=False)` does, and the regularization is
the one with the least log loss there. A sigmoid and not isotonic regression, because that makes
ties where there were none. Both steps are linear, so what comes out is one weight a feature.

Trees were tried: on two panels gradient boosting is neither better nor worse (docs/selector.md).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra, UnknownName
from quorate.orchestrator.frozen import Frozen

from .examples import Example, select_graded
from .features import FAMILIES, MODEL
from .model import ConformalThreshold, Origin, Term, TrainedSelector, count_held_out, find_threshold

DEFAULT_FAMILIES = ("votes", "models", "length", "text", "confidence", "reward")
"""Those that a bank can give of these; `position` and `spelling` must be asked for."""
GRID = (0.001, 0.01, 0.1, 1.0)
"""Regularizations (C) to choose from."""
LACKING = 0.05
"""Part of the sets that may lack a family's inputs: its features are 0 there."""
HELD_OUT = 0.2
"""Part of the questions that finds the threshold of abstention."""


class SelectorSettings(Frozen):
    """How to train."""

    families: tuple[str, ...] | None = None
    """Features to use; those of `DEFAULT_FAMILIES` that every question has if not given."""
    folds: int = 5
    seed: int = 0
    risk: float | None = None
    """Part of the questions that may be answered wrongly when the selector may abstain; None never abstains."""


@dataclass(frozen=True)
class Pick:
    """What a selector that has not seen the question makes of it."""

    example: Example
    probabilities: dict[int, float]
    chosen: int | None
    answered: bool
    """False where it would abstain."""
    fold: int = 0
    """It was trained without this fold."""

    @property
    def right(self) -> bool:
        return self.example.credit(self.chosen)

    @property
    def probability(self) -> float:
        """Of the class chosen."""
        return 0.0 if self.chosen is None else self.probabilities[self.chosen]


@dataclass(frozen=True)
class _Table:
    """Rows of classes as arrays."""

    names: tuple[str, ...]
    x: Any
    y: Any
    groups: Any


def fit(examples: Sequence[Example], settings: SelectorSettings | None = None) -> TrainedSelector:
    """A selector trained on all of these.

    Raises:
        BadInput: nothing can be learned from them; says why.
        UnknownName: there is no such family.
        MissingExtra: scikit-learn is not installed.
    """
    settings = settings or SelectorSettings()
    known = select_graded(examples)
    families = _choose_families(known, settings)
    train, rest = _hold_out(known, settings)
    learned = _fit_calibrated(train, families, settings)
    if settings.risk is None:
        return learned
    winners = [_winner(learned, example, settings.seed) for example in rest]
    limit = find_threshold(winners, settings.risk)
    return learned.model_copy(
        update={"abstention": ConformalThreshold(risk=settings.risk, threshold=limit, questions=len(winners))}
    )


def predict_out_of_fold(examples: Sequence[Example], settings: SelectorSettings | None = None) -> list[Pick]:
    """For every graded example what a selector makes of it that was trained on other questions.

    Everything is nested: regularization, calibration and threshold are found within the training folds.

    Raises:
        BadInput: as for `fit`.
    """
    settings = settings or SelectorSettings()
    known = select_graded(examples)
    _choose_families(known, settings)
    picks: dict[int, Pick] = {}
    marks = [(example.group, label) for example in known for label in example.labels.values()]
    for fold, held in enumerate(_split([example.group for example in known], marks, settings)):
        out = set(held)
        learned = fit([e for i, e in enumerate(known) if i not in out], settings)
        picks |= {i: _pick(learned, known[i], settings.seed, fold) for i in held}
    return [picks[i] for i in range(len(known))]


def _pick(learned: TrainedSelector, example: Example, seed: int, fold: int = 0) -> Pick:
    probabilities = learned.probabilities(example.view)
    chosen = example.choose(probabilities, seed)
    limit = learned.abstention.threshold if learned.abstention else -1.0
    return Pick(example, probabilities, chosen, chosen is not None and probabilities[chosen] > limit, fold)


def _winner(learned: TrainedSelector, example: Example, seed: int) -> tuple[float, bool]:
    pick = _pick(learned, example, seed)
    return pick.probability, pick.right or pick.chosen is None


def _choose_families(examples: Sequence[Example], settings: SelectorSettings) -> tuple[str, ...]:
    """The families that every question has; those asked for must be there."""
    for name in settings.families or ():
        if name not in FAMILIES:
            raise UnknownName("family of features", name, FAMILIES)
    views = [example.view for example in examples if example.view.members]
    several = len({source for view in views for source in view.sources}) > 1
    lacking = {name: sum(not family.present(view) for view in views) for name, family in FAMILIES.items()} | (
        {} if several else {"models": len(views)}
    )
    for name in settings.families or ():
        if lacking[name] > LACKING * len(views):
            raise BadInput(
                f"features {name!r} need {FAMILIES[name].needs}, which {lacking[name]} of {len(views)} sets lack"
            )
    return settings.families or tuple(name for name in DEFAULT_FAMILIES if lacking[name] <= LACKING * len(views))


def _hold_out(examples: Sequence[Example], settings: SelectorSettings) -> tuple[list[Example], list[Example]]:
    """Those to train on, and one of each held-out group, so that the latter are exchangeable."""
    if settings.risk is None:
        return list(examples), []
    if not 0 < settings.risk < 1:
        raise BadInput(f"risk={settings.risk:g}: give a part of the questions between 0 and 1, such as 0.1")
    groups = sorted({example.group for example in examples})
    random.Random(repr((settings.seed, "held out"))).shuffle(groups)
    out = set(groups[: min(count_held_out(len(groups), settings.risk, HELD_OUT), len(groups) // 2)])
    first = {example.group: example for example in reversed(examples) if example.group in out}
    return [e for e in examples if e.group not in out], list(first.values())


def _split(groups: Sequence[str], marks: Sequence[tuple[str, bool]], settings: SelectorSettings) -> list[list[int]]:
    return split_groups(groups, marks, folds=settings.folds, seed=settings.seed)


def split_groups(
    groups: Sequence[str], marks: Sequence[tuple[str, bool]] = (), *, folds: int = 5, seed: int = 0
) -> list[list[int]]:
    """Places of each fold: groups stay together, and those with wrong answers, right ones or both are spread evenly.

    Args:
        groups: of each place.
        marks: groups with the labels in them.
    """
    if folds < 2:
        raise BadInput(f"folds={folds}: give at least 2")
    distinct = sorted(set(groups))
    if len(distinct) < folds:
        raise BadInput(
            f"folds={folds}, but there are {len(distinct)} questions (or clusters of them): "
            f"give more questions or fewer folds"
        )
    random.Random(repr((seed, "folds"))).shuffle(distinct)
    seen = set(marks)
    distinct.sort(key=lambda group: ((group, False) in seen, (group, True) in seen))
    fold_of = {group: i % folds for i, group in enumerate(distinct)}
    return [[i for i, group in enumerate(groups) if fold_of[group] == fold] for fold in range(folds)]


def _table(examples: Sequence[Example], families: Sequence[str]) -> _Table:
    np = _import_numpy()
    own = [f.__name__ for name in families for f in FAMILIES[name].features]
    sources = sorted({source for example in examples for source in example.view.sources})
    names = (*own, *(f"{MODEL}{source}" for source in sources if "models" in families))
    rows = [(e.group, e.labels[number], row) for e in examples for number, row in e.rows.items()]
    x = np.array([[row.get(name, 0.0) for name in names] for _, _, row in rows], dtype=float).reshape(-1, len(names))
    return _Table(names, x, np.array([label for _, label, _ in rows]), [group for group, _, _ in rows])


def _fit_calibrated(
    examples: Sequence[Example], families: tuple[str, ...], settings: SelectorSettings
) -> TrainedSelector:
    """The calibrated regression as a file's content."""
    table = _table(select_graded(examples), families)
    best = min(_try_all(table, settings), key=lambda trial: trial.loss)
    if best.slope <= 0:
        raise BadInput(
            f"nothing to learn: on held-out questions the features ({', '.join(table.names[:5])}, ...) do not tell "
            "right answers from wrong ones; give more questions, or other features"
        )
    scaler, regression = _regression(table.x, table.y, best.regularization)
    numbers = zip(table.names, scaler.mean_, scaler.scale_, regression.coef_[0], strict=True)
    return TrainedSelector(
        families=families,
        terms={
            name: Term(mean=float(mean), scale=float(scale), weight=float(weight) * best.slope)
            for name, mean, scale, weight in numbers
        },
        intercept=float(regression.intercept_[0]) * best.slope + best.offset,
        origin=_origin(examples, settings, best.regularization),
    )


@dataclass(frozen=True)
class _Regularized:
    """One regularization, cross-validated, with the sigmoid that makes its scores log-odds."""

    regularization: float
    slope: float
    offset: float
    loss: float
    """Log loss on questions not trained on, calibrated."""


def _try_all(table: _Table, settings: SelectorSettings) -> list[_Regularized]:
    np, (linear, _) = _import_numpy(), _import_sklearn()
    scores = np.zeros((len(GRID), len(table.y)))
    for train, test in _splits(table, settings):
        for number, strength in enumerate(GRID):
            scaler, regression = _regression(table.x[train], table.y[train], strength)
            scores[number, test] = regression.decision_function(scaler.transform(table.x[test]))
    trials = []
    for strength, row in zip(GRID, scores, strict=True):
        platt = linear.LogisticRegression(C=1e6).fit(row.reshape(-1, 1), table.y)
        signs = np.where(table.y, 1.0, -1.0)
        loss = float(np.logaddexp(0.0, -signs * platt.decision_function(row.reshape(-1, 1))).mean())
        trials.append(_Regularized(strength, float(platt.coef_[0, 0]), float(platt.intercept_[0]), loss))
    return trials


def _splits(table: _Table, settings: SelectorSettings) -> list[tuple[Any, Any]]:
    """Training and test rows of each fold; what is trained on must show right answers and wrong ones."""
    np = _import_numpy()
    everything = np.arange(len(table.y))
    marks = list(zip(table.groups, table.y.tolist(), strict=True))
    inner = settings.model_copy(update={"folds": max(2, min(settings.folds, len(set(table.groups))))})
    folds = [np.array(fold, dtype=int) for fold in _split(table.groups, marks, inner)]
    splits = [(np.setdiff1d(everything, fold), fold) for fold in folds]
    if any(len(set(table.y[train].tolist())) < 2 for train, _ in splits):
        raise BadInput(
            f"folds={settings.folds}: without one of them, {len(set(table.groups))} questions show only right answers "
            "or only wrong ones; give more questions or fewer folds"
        )
    return splits


def _regression(x: Any, y: Any, strength: float) -> tuple[Any, Any]:
    """A scaler and a logistic regression of what it scales."""
    linear, preprocessing = _import_sklearn()
    scaler = preprocessing.StandardScaler().fit(x)
    model = linear.LogisticRegression(C=strength, solver="newton-cholesky", max_iter=1000)
    return scaler, model.fit(scaler.transform(x), y)


def _origin(examples: Sequence[Example], settings: SelectorSettings, strength: float) -> Origin:
    sizes = [len(example.view.candidates) for example in examples]
    return Origin(
        tasks=tuple(sorted({example.id.partition("/")[0] for example in examples})),
        questions=len({example.id for example in examples}),
        sets=len(examples),
        candidates=(min(sizes), max(sizes)),
        seed=settings.seed,
        folds=settings.folds,
        regularization=strength,
    )


def _import_numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra("train", "training a selector") from error
    return numpy


def _import_sklearn() -> tuple[Any, Any]:
    try:
        from sklearn import linear_model, preprocessing
    except ImportError as error:
        raise MissingExtra("train", "training a selector") from error
    return linear_model, preprocessing
