"""Training a router: a logistic regression a model, and a guard that it is worth more than one model for all.

How far another model must lead over the best single one is chosen on predictions for questions not trained on, and a
router that is not resolved to be worth more there (one-sided, 95 of 100) gets no lead at all: it is the best single
model. With a budget the money weight follows from it, and the rival is the best mixture of single models that takes as
much money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum, inf, sqrt
from statistics import fmean
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Question

from ..learned.selector import Example
from .calibration import ONE_SIDED
from .router import Objective, RoutedModel, TaskFeature, TrainedRouter
from .training import price_candidate, source_name, split_places
from .words import FEATURES, compute_features, count_words, weigh_words

WORDS = 1000
"""Frequent words that are looked at."""
FEATURE_SCALE = 0.3
"""Of a standardized feature beside the words, whose vector has length 1: the regularization is common to both."""
REGULARIZATION = 0.3
"""scikit-learn's C; from .1 to 1 the accuracies were the same (docs/routing.md)."""
LEADS = (0.0, 0.01, 0.02, 0.05, 0.1)
"""Leads to choose from."""
LEAST = 0.003
"""A word with a smaller weight is left out of the file: it would move a chance by less than a thousandth."""


@dataclass(frozen=True)
class RoutedQuestion:
    """One question with what each model would have made of it."""

    id: str
    group: str
    """What must stay on one side of every split."""
    question: Question
    right: Mapping[str, float]
    """By model: 1 right, 0 wrong; between them where it was asked several times."""
    money: Mapping[str, float | None] = field(default_factory=dict)
    """That one answer takes."""
    seconds: Mapping[str, float | None] = field(default_factory=dict)


def mark_models(examples: Sequence[Example], prices: Mapping[str, float] | None = None) -> list[RoutedQuestion]:
    """Each model's answers to each question, of which some are graded.

    Args:
        examples: with the candidates of all models.
        prices: see `price_candidate`.
    """
    found = []
    for example in examples:
        marks: dict[str, list[tuple[float, float | None, float | None]]] = {}
        for mark, candidate in zip(example.right, example.view.candidates, strict=True):
            if mark is not None:
                spent = price_candidate(candidate, prices or {})
                marks.setdefault(source_name(candidate), []).append((float(mark), spent, candidate.latency))
        if marks:
            right, money, seconds = ({name: _mean(column) for name, rows in marks.items()
                                      for column in [[row[i] for row in rows]]} for i in range(3))  # fmt: skip
            known = {name: value for name, value in right.items() if value is not None}
            found.append(RoutedQuestion(example.id, example.group, example.view.question, known, money, seconds))
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


class RouterSettings(Frozen):
    """How to train."""

    objective: Objective = Objective()
    budget: float | None = None
    """Money that a question may take on average; finds the weight of money."""
    sizes: Mapping[str, float] = {}
    """Of the models, where the objective weighs size."""
    words: int = WORDS
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class RoutedPick:
    """Where a router that has not seen the question sends it."""

    question: RoutedQuestion
    chosen: str
    rival: Mapping[str, float]
    """The share that each model would have had in the best mixture without looking at the question."""
    chances: Mapping[str, float]
    routed: bool
    """Whether the router chooses at all."""

    @property
    def right(self) -> float:
        return self.question.right[self.chosen]

    @property
    def rival_right(self) -> float:
        return fsum(share * self.question.right[name] for name, share in self.rival.items())


def fit_router(questions: Sequence[RoutedQuestion], settings: RouterSettings | None = None) -> TrainedRouter:
    """A router trained on all of these.

    Raises:
        BadInput: there is one model alone, or no question that all were asked; or the objective weighs what is unknown.
        MissingExtra: scikit-learn is not installed.
    """
    return _train(complete_questions(questions), settings or RouterSettings())


def _train(known: Sequence[RoutedQuestion], settings: RouterSettings) -> TrainedRouter:
    learned = _fit(known, settings)
    seen = _predict(known, settings)
    objective = _price_money(learned, seen, settings)
    learned = learned.model_copy(update={"objective": objective})
    names = list(learned.models)
    best = max(names, key=lambda name: (learned.worth(name, learned.models[name].rate), name))
    learned = learned.model_copy(update={"best": best})
    lead = _choose_lead(learned, known, seen, settings)
    if lead is None and settings.budget is not None:
        # At the budget's price of money the best one may be a dear one, which cannot be asked every question.
        within = [name for name in names if (learned.models[name].money or 0.0) <= settings.budget]
        best = max(within, key=lambda name: (learned.models[name].rate, name))
    return learned.model_copy(update={"best": best, "lead": lead})


def route_out_of_fold(questions: Sequence[RoutedQuestion], settings: RouterSettings | None = None) -> list[RoutedPick]:
    """Where each question is sent by a router that was trained, priced and guarded on others.

    Raises:
        BadInput: as for `fit_router`.
    """
    settings = settings or RouterSettings()
    known = complete_questions(questions)
    picks: dict[int, RoutedPick] = {}
    for train, held in split_places([q.group for q in known], settings.folds, settings.seed):
        some = [known[place] for place in train]
        learned = _train(some, settings)
        names = list(learned.models)
        rival = mix_models(learned, settings.budget)
        for place in held:
            text = known[place].question.text
            expected = learned.expect(text, names)
            chances = {name: each.chance for name, each in expected.items()}
            picks[place] = RoutedPick(known[place], next(iter(expected)), rival, chances, learned.lead is not None)
    return [picks[place] for place in range(len(known))]


def complete_questions(questions: Sequence[RoutedQuestion]) -> list[RoutedQuestion]:
    """Those that every model was asked.

    Raises:
        BadInput: there is one model, or hardly any such question.
    """
    names = sorted({name for question in questions for name in question.right})
    if len(names) < 2:
        raise BadInput(f"there are graded answers of {', '.join(names) or 'no model'} alone: a router needs two models")
    found = [question for question in questions if len(question.right) == len(names)]
    if len(found) < 20:
        raise BadInput(
            f"{len(found)} of {len(questions)} questions have graded answers of all of {', '.join(names)}: a router "
            "needs 20 at least; sample the others too, or leave a model out"
        )
    return found


def mix_models(learned: TrainedRouter, budget: float | None) -> dict[str, float]:
    """The best that can be done without looking at a question: one model, or two in shares that keep a budget."""
    if budget is None:
        return {learned.best: 1.0}
    priced = {name: (model.money or 0.0, model.rate) for name, model in learned.models.items()}
    options: list[tuple[float, dict[str, float]]] = []
    for low, (cheap, bad) in priced.items():
        if cheap > budget:
            continue
        options.append((bad, {low: 1.0}))
        for high, (dear, good) in priced.items():
            if dear > budget:
                share = (budget - cheap) / (dear - cheap)
                options.append(((1 - share) * bad + share * good, {low: 1 - share, high: share}))
    if not options:
        raise BadInput(f"budget {budget:g}: even the cheapest model takes {min(p for p, _ in priced.values()):.3g}")
    return max(options, key=lambda option: option[0])[1]


def _fit(questions: Sequence[RoutedQuestion], settings: RouterSettings, of: int | None = None) -> TrainedRouter:
    """The chances alone: no objective, no lead.

    Args:
        of: how many questions it stands for, whose chances shall be spread as widely as those of a fit to all.
    """
    strength = REGULARIZATION * (of or len(questions)) / len(questions)
    texts = [question.question.text for question in questions]
    words = count_words(texts, settings.words)
    told = [compute_features(text) for text in texts]
    features = {name: _scale([row[name] for row in told]) for name in FEATURES}
    x = _table(texts, told, words, features)
    names = sorted(questions[0].right)
    models = {}
    for name in names:
        weights, intercept = _regress(x, [question.right[name] for question in questions], strength)
        own = dict(zip(words, weights[: len(words)], strict=True))
        models[name] = RoutedModel(
            rate=fmean(question.right[name] for question in questions),
            intercept=intercept,
            words={word: round(weight, 4) for word, weight in own.items() if abs(weight) >= LEAST},
            features=dict(zip(features, (FEATURE_SCALE * w for w in weights[len(words) :]), strict=True)),
            money=_mean([question.money.get(name) for question in questions]),
            seconds=_mean([question.seconds.get(name) for question in questions]),
            size=settings.sizes.get(name),
        )
    best = max(names, key=lambda name: models[name].rate)
    return TrainedRouter(models=models, features=features, best=best, questions=len(questions))


def _scale(values: Sequence[float]) -> TaskFeature:
    mean = fmean(values)
    spread = sqrt(fmean((value - mean) ** 2 for value in values))
    return TaskFeature(mean=mean, scale=spread if spread > 1e-9 else 1.0)


def _table(
    texts: Sequence[str], told: Sequence[Mapping[str, float]], words: Sequence[str], features: Mapping[str, TaskFeature]
) -> Any:
    """Words and features of every question, a row each, sparse."""
    _, sparse = _import_sklearn()
    places = {word: place for place, word in enumerate(words)}
    rows, columns, values = [], [], []
    for row, (text, own) in enumerate(zip(texts, told, strict=True)):
        found = weigh_words(text, places)
        found |= {
            len(words) + i: FEATURE_SCALE * min(max((own[name] - f.mean) / f.scale, -4.0), 4.0)
            for i, (name, f) in enumerate(features.items())
        }
        rows += [row] * len(found)
        columns += list(found)
        values += list(found.values())
    return sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(words) + len(features)))


def _regress(x: Any, right: Sequence[float], strength: float) -> tuple[list[float], float]:
    """Weights and intercept of the odds of being right; marks between 0 and 1 count as parts of both."""
    (linear, sparse), np = _import_sklearn(), _import_numpy()
    marks = np.asarray(right, dtype=float)
    mean = float(min(max(marks.mean(), 0.5 / len(marks)), 1 - 0.5 / len(marks)))
    if marks.max() - marks.min() < 1e-9:
        return [0.0] * x.shape[1], float(np.log(mean / (1 - mean)))
    weights = np.concatenate([marks, 1 - marks])
    kept = np.flatnonzero(weights > 0)
    labels = np.concatenate([np.ones(len(marks)), np.zeros(len(marks))])[kept]
    model = linear.LogisticRegression(C=strength, max_iter=500)
    model.fit(sparse.vstack([x, x]).tocsr()[kept], labels, sample_weight=weights[kept])
    return model.coef_[0].tolist(), float(model.intercept_[0])


def _predict(questions: Sequence[RoutedQuestion], settings: RouterSettings) -> list[dict[str, float]]:
    """Of each question the chances by a fit that has not seen it."""
    found: dict[int, dict[str, float]] = {}
    groups = [question.group for question in questions]
    folds = max(2, min(3, settings.folds, len(set(groups))))
    for train, held in split_places(groups, folds, settings.seed + 1):
        learned = _fit([questions[place] for place in train], settings, len(questions))
        found |= {place: learned.chances(questions[place].question.text) for place in held}
    return [found[place] for place in range(len(questions))]


def _price_money(learned: TrainedRouter, seen: Sequence[Mapping[str, float]], settings: RouterSettings) -> Objective:
    """The objective; with a budget, the least weight of money at which the questions keep it on average."""
    if settings.budget is None:
        return settings.objective
    prices = {name: model.money for name, model in learned.models.items()}
    if lacking := [name for name, price in prices.items() if price is None]:
        raise BadInput(f"a budget needs the price of every model, and there is none of {', '.join(lacking)}: --price")
    known = {name: price or 0.0 for name, price in prices.items()}
    mix_models(learned, settings.budget)

    def spent(weight: float) -> float:
        wanted = settings.objective.model_copy(update={"money": -weight})
        chosen = (max(c, key=lambda name: learned.worth(name, c[name], wanted)) for c in seen)
        return fmean(known[name] for name in chosen)

    low, high = 0.0, 1.0
    while spent(high) > settings.budget and high < 1e12:
        high *= 4
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > settings.budget else (low, middle)
    return settings.objective.model_copy(update={"money": 0.0 if spent(0.0) <= settings.budget else -high})


def _choose_lead(
    learned: TrainedRouter,
    questions: Sequence[RoutedQuestion],
    seen: Sequence[Mapping[str, float]],
    settings: RouterSettings,
) -> float | None:
    """The lead at which the router is worth most more than its rival; None where none is resolved to be worth more."""
    best, rival = learned.best, mix_models(learned, settings.budget)
    found: tuple[float, float | None] = (-inf, None)
    for lead in LEADS if settings.budget is None else LEADS[:1]:
        gaps: dict[str, list[float]] = {}
        for question, chances in zip(questions, seen, strict=True):
            worths = {name: learned.worth(name, chance) for name, chance in chances.items()}
            top = max(worths, key=lambda name: worths[name])
            chosen = best if worths[best] > worths[top] - lead else top
            gaps.setdefault(question.group, []).append(
                learned.worth(chosen, question.right[chosen])
                - fsum(share * learned.worth(name, question.right[name]) for name, share in rival.items())
            )
        means = [fmean(each) for each in gaps.values()]
        mean = fmean(means)
        spread = sqrt(fsum((value - mean) ** 2 for value in means) / max(1, len(means) - 1))
        if mean > found[0] and mean - ONE_SIDED * spread / sqrt(len(means)) > 0:
            found = (mean, lead)
    return found[1]


def _import_numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MissingExtra("train", "training a router") from error
    return numpy


def _import_sklearn() -> tuple[Any, Any]:
    try:
        from scipy import sparse
        from sklearn import linear_model
    except ImportError as error:
        raise MissingExtra("train", "training a router") from error
    return linear_model, sparse
