"""Training a router: kinds of questions, a logistic regression a model, and a guard that it is worth it.

Regressions and neighbours decide in those kinds in which they are worth more than the kind's best model, on predictions
for questions not trained on. A router that is not resolved to be worth more there than the best single model
(one-sided, 95 of 100) is that model. With a budget the money weight follows from it, and the rival is the best mixture
of single models that takes as much money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum, log, sqrt
from random import Random
from statistics import fmean, stdev
from typing import cast

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import Question

from ..learned.selector import Example
from ..meaning.embedded import Embedder
from ..specs import EmbedderConfig
from .calibration import ONE_SIDED
from .neighbours import Neighbours
from .regression import (
    FEATURE_SCALE,
    REGULARIZATION,
    VECTOR_SCALE,
    import_numpy,
    regress,
    scale_feature,
    table_vectors,
    table_words,
)
from .router import WORD_TEST, Kind, KindTest, Objective, RoutedModel, Source, TrainedRouter
from .training import price_candidate, source_name, split_places
from .words import FEATURES, MOST_READ, compute_features, count_words, list_words

WORDS = 1000
"""Frequent words that are looked at."""
ASKED = 0.95
"""Share of the questions that a model must have been asked to be learned of."""
LEAST_QUESTIONS = 20
"""To learn from."""
KINDS = 8
"""Most kinds of questions."""
LEAST_OF_KIND = 20
"""Questions."""
KIND_WORDS = 100
"""Most frequent words by which kinds may be told apart."""
SHRINKAGE = 10.0
"""Questions of all kinds that a model's rate in one kind is mixed with."""
KEPT = 2000
"""Questions of the bank among which neighbours are found."""
EMBEDDED = 32
"""Questions of one call to an embedder."""
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
    vector: Sequence[float] = ()
    """Its embedding, where it has one."""


async def embed_questions(
    questions: Sequence[RoutedQuestion], embedder: Embedder, run: RunContext
) -> list[RoutedQuestion]:
    """The questions with their vectors.

    Raises:
        QuorateError: the embedder failed.
        BadInput: its vectors are not of one size.
    """
    found: list[RoutedQuestion] = []
    for start in range(0, len(questions), EMBEDDED):
        some = questions[start : start + EMBEDDED]
        vectors = await embedder.embed([question.question.text[:MOST_READ] for question in some], run)
        found += [replace(question, vector=tuple(vector)) for question, vector in zip(some, vectors, strict=True)]
    if len(sizes := {len(question.vector) for question in found}) > 1 or 0 in sizes:
        raise BadInput(f"{embedder.name} gives vectors of {', '.join(map(str, sorted(sizes)))} numbers: not one size")
    return found


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
    embedder: EmbedderConfig | None = None
    """Who made the questions' vectors; none of them are looked at without one."""
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
    names, tree = list(learned.models), _grow_kinds(known, learned, settings)
    sorted_in = learned.model_copy(update={"kinds": tree})
    places = [tree.index(cast(Kind, sorted_in.find_kind(q.question.text))) for q in known]
    by = _choose_sources(learned, known, seen, places, settings)
    tree = tuple(kind.model_copy(update={"by": by[place]}) for place, kind in enumerate(tree))
    chances = [each[by[place]] for each, place in zip(seen, places, strict=True)]
    learned = learned.model_copy(update={"objective": _price_money(learned, chances, settings), "kinds": tree})
    learned = _without_unused(learned, settings)
    best = max(names, key=lambda name: (learned.worth(name, learned.models[name].rate), name))
    learned = learned.model_copy(update={"best": best})
    if _is_worth_it(learned, known, chances, settings):
        return learned
    learned = learned.model_copy(update={"neighbours": None, "embedder": None})
    if settings.budget is not None:
        # At the budget's price of money the best one may be a dear one, which cannot be asked every question.
        within = [name for name in names if (learned.models[name].money or 0.0) <= settings.budget]
        best = max(within, key=lambda name: (learned.models[name].rate, name))
    return learned.model_copy(update={"best": best, "kinds": ()})


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
            asked = known[place]
            expected = learned.expect(asked.question.text, names, vector=asked.vector)
            chances = {name: each.chance for name, each in expected.items()}
            picks[place] = RoutedPick(known[place], next(iter(expected)), rival, chances, bool(learned.kinds))
    return [picks[place] for place in range(len(known))]


def complete_questions(questions: Sequence[RoutedQuestion]) -> list[RoutedQuestion]:
    """Those that every model was asked, without the models that were asked few of them.

    Raises:
        BadInput: there is one model, or hardly any such question.
    """
    asked = Counter(name for question in questions for name in question.right)
    names = sorted(name for name, count in asked.items() if count >= ASKED * len(questions))
    few = ", ".join(f"{name} {count:,}" for name, count in sorted(asked.items()) if name not in names)
    more = f"; asked too few of {len(questions):,} questions: {few}" if few else ""
    if len(names) < 2:
        raise BadInput(
            f"there are graded answers of {', '.join(names) or 'no model'} alone: a router needs two models{more}"
        )
    found = [q for q in questions if all(name in q.right for name in names)]
    if len(found) < LEAST_QUESTIONS:
        raise BadInput(
            f"{len(found)} of {len(questions)} questions have graded answers of all of {', '.join(names)}: a router "
            f"needs {LEAST_QUESTIONS} at least; sample the others too, or leave a model out"
        )
    return [replace(q, right={name: q.right[name] for name in names}) for q in found]


def mix_models(learned: TrainedRouter, budget: float | None) -> dict[str, float]:
    """The best that can be done without looking at a question: one model, or two in shares that keep a budget."""
    if budget is None:
        return {learned.best: 1.0}
    priced = {name: (model.money or 0.0, model.rate) for name, model in learned.models.items()}
    options: list[tuple[float, dict[str, float]]] = []
    for low, (cheap, bad) in priced.items():
        if not cheap <= budget:
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
    features = {name: scale_feature([row[name] for row in told]) for name in FEATURES}
    x = table_words(texts, told, words, features)
    meant = table_vectors([question.vector for question in questions]) if settings.embedder is not None else None
    names = sorted(questions[0].right)
    models = {}
    for name in names:
        marks = [question.right[name] for question in questions]
        weights, intercept = regress(x, marks, strength)
        weighed = None if meant is None else regress(meant, marks, strength)
        own = dict(zip(words, weights[: len(words)], strict=True))
        models[name] = RoutedModel(
            rate=fmean(marks),
            intercept=intercept,
            words={word: round(weight, 4) for word, weight in own.items() if abs(weight) >= LEAST},
            features=dict(zip(features, (FEATURE_SCALE * w for w in weights[len(words) :]), strict=True)),
            meaning=() if weighed is None else (weighed[1], *(round(VECTOR_SCALE * w, 4) for w in weighed[0])),
            money=_mean([question.money.get(name) for question in questions]),
            seconds=_mean([question.seconds.get(name) for question in questions]),
            size=settings.sizes.get(name),
        )
    best = max(names, key=lambda name: models[name].rate)
    near = keep_neighbours(questions, settings.seed)
    return TrainedRouter(
        models=models,
        features=features,
        best=best,
        questions=len(questions),
        neighbours=near,
        embedder=settings.embedder,
    )


def keep_neighbours(questions: Sequence[RoutedQuestion], seed: int) -> Neighbours:
    """What is kept of the questions, of many a part that the seed draws."""
    kept = questions if len(questions) <= KEPT else Random(repr((seed, "neighbours"))).sample(questions, KEPT)
    held = [set(list_words(question.question.text)) for question in kept]
    counts = Counter(word for words in held for word in words)
    weights = {word: round(log(len(kept) / n), 4) for word, n in sorted(counts.items()) if 2 <= n < len(kept)}
    places = {word: place for place, word in enumerate(weights)}
    return Neighbours(
        words=weights,
        questions=tuple(tuple(sorted(places[word] for word in words if word in places)) for words in held),
        right={name: tuple(question.right[name] for question in kept) for name in sorted(kept[0].right)},
    )


_Seen = Mapping[Source, Mapping[str, float]]
"""Chances of one question by a fit that has not seen it."""


def _predict(questions: Sequence[RoutedQuestion], settings: RouterSettings) -> list[_Seen]:
    """Of each question the chances, by all that may tell them."""
    found: dict[int, _Seen] = {}
    groups = [question.group for question in questions]
    folds = max(2, min(3, settings.folds, len(set(groups))))
    for train, held in split_places(groups, folds, settings.seed + 1):
        some = [questions[place] for place in train]
        learned = _fit(some, settings, len(questions))
        kinds = learned.model_copy(update={"kinds": _grow_kinds(some, learned, settings)})
        assert learned.neighbours is not None
        for place in held:
            text = questions[place].question.text
            told: dict[Source, Mapping[str, float]] = {"rates": kinds.chances(text), "words": learned.read_words(text)}
            told["neighbours"] = learned.neighbours.chances(text, learned.rates)
            if settings.embedder is not None:
                told["meaning"] = learned.read_vector(questions[place].vector)
            found[place] = told
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


def _grow_kinds(
    questions: Sequence[RoutedQuestion], learned: TrainedRouter, settings: RouterSettings
) -> tuple[Kind, ...]:
    """The leaves of a tree that tells apart questions on which the models differ in other ways.

    Within a budget there is one kind: the shares of few kinds jump, and a budget is kept by words alone.
    """
    if settings.budget is not None:
        rates = {name: model.rate for name, model in learned.models.items()}
        return (Kind(tests=(), rates=rates, share=1.0),)
    np = import_numpy()
    try:
        from sklearn.tree import DecisionTreeRegressor
    except ImportError as error:
        raise MissingExtra("train", "training a router") from error
    names, texts = list(learned.models), [question.question.text for question in questions]
    frequent = count_words(texts, KIND_WORDS)
    columns = [*FEATURES, *(f"{WORD_TEST}{word}" for word in frequent)]
    rows = []
    for text in texts:
        told, words = compute_features(text), set(list_words(text))
        rows.append([*told.values(), *(float(word in words) for word in frequent)])
    x = np.asarray(rows, dtype=np.float32)
    marks = np.asarray([[question.right[name] for name in names] for question in questions])
    # The difficulty of a question, which is common to all models, is not what kinds are about.
    tree = DecisionTreeRegressor(max_leaf_nodes=KINDS, min_samples_leaf=LEAST_OF_KIND, random_state=0)
    tree.fit(x, marks - marks.mean(axis=1, keepdims=True))
    leaves, grown = tree.apply(x), tree.tree_
    found: list[Kind] = []

    def walk(node: int, tests: tuple[KindTest, ...]) -> None:
        if grown.children_left[node] < 0:
            own = marks[leaves == node]
            rates = (own.sum(axis=0) + SHRINKAGE * marks.mean(axis=0)) / (len(own) + SHRINKAGE)
            share = len(own) / len(marks)
            found.append(Kind(tests=tests, rates=dict(zip(names, rates.tolist(), strict=True)), share=share))
            return
        feature, at = columns[grown.feature[node]], float(grown.threshold[node])
        walk(grown.children_left[node], (*tests, KindTest(feature=feature, at=at, above=False)))
        walk(grown.children_right[node], (*tests, KindTest(feature=feature, at=at, above=True)))

    walk(0, ())
    return tuple(found)


def _choose_sources(
    learned: TrainedRouter,
    questions: Sequence[RoutedQuestion],
    seen: Sequence[_Seen],
    places: Sequence[int],
    settings: RouterSettings,
) -> list[Source]:
    """For each kind what its chances are read from: the first of these sources that no later one is resolved to beat.

    Words have to be worth more than the rates, the others more than that by a standard error, since of several that
    are alike one always looks better.
    """
    kinds = max(places) + 1
    priced: dict[Source, TrainedRouter] = {}
    for source in seen[0]:
        if settings.budget is None or source != "rates":
            objective = _price_money(learned, [each[source] for each in seen], settings)
            priced[source] = learned.model_copy(update={"objective": objective})
    found: list[Source] = []
    for kind in range(kinds):
        own = [(q, each) for q, each, place in zip(questions, seen, places, strict=True) if place == kind]
        chosen, best = next(iter(priced)), list[float]()
        for source, router in priced.items():
            worth = [_gain(learned, settings, q, _best(router, each[source])) for q, each in own]
            leads = [a - b for a, b in zip(worth, best, strict=True)] if best else []
            margin = 0.0 if source == "words" or len(leads) < 2 else stdev(leads) / sqrt(len(leads))
            if not best or fmean(leads) > margin:
                chosen, best = source, worth
        found.append(chosen)
    return found


def _gain(learned: TrainedRouter, settings: RouterSettings, question: RoutedQuestion, name: str) -> float:
    """What asking this model would have been worth; within a budget, which each source keeps, being right is all."""
    return (
        question.right[name]
        if settings.budget is not None
        else learned.worth(name, question.right[name], settings.objective)
    )


def _without_unused(learned: TrainedRouter, settings: RouterSettings) -> TrainedRouter:
    """The router without what no kind is decided by."""
    used = {kind.by for kind in learned.kinds}
    if "meaning" in used:
        models = learned.models
    else:
        models = {name: model.model_copy(update={"meaning": ()}) for name, model in learned.models.items()}
    return learned.model_copy(
        update={
            "models": models,
            "neighbours": learned.neighbours if "neighbours" in used else None,
            "embedder": settings.embedder if "meaning" in used else None,
        }
    )


def _best(learned: TrainedRouter, chances: Mapping[str, float]) -> str:
    return max(chances, key=lambda name: (learned.worth(name, chances[name]), name == learned.best))


def _is_worth_it(
    learned: TrainedRouter,
    questions: Sequence[RoutedQuestion],
    chances: Sequence[Mapping[str, float]],
    settings: RouterSettings,
) -> bool:
    """Whether choosing by these chances is resolved to be worth more than the best without looking."""
    rival, gaps = mix_models(learned, settings.budget), dict[str, list[float]]()
    for question, own in zip(questions, chances, strict=True):
        chosen = _best(learned, own)
        without = fsum(share * learned.worth(name, question.right[name]) for name, share in rival.items())
        gaps.setdefault(question.group, []).append(learned.worth(chosen, question.right[chosen]) - without)
    means = [fmean(each) for each in gaps.values()]
    mean = fmean(means)
    spread = sqrt(fsum((value - mean) ** 2 for value in means) / max(1, len(means) - 1))
    return mean - ONE_SIDED * spread / sqrt(len(means)) > 1e-12
