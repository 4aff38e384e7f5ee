"""`route/A+B+C`: each question to the model that is expected to do best by it, for what it costs.

Questions fall into a few kinds, told apart by a small tree; within a kind the chance that a model is right is its rate
there, or, where that says more, a logistic regression on the question's words and what kind of task it looks like, its
rate on similar questions of the bank, or a regression on the question's embedding. All of it is learned from a bank by
`quorate train router`. Predicting each model's quality and weighing it against what the user cares for is Tryage
(arXiv 2308.11601); learning from recorded preferences or scores is RouteLLM (arXiv 2406.18665). Ours is the guard: a
router that is not resolved to be better than the best single model is that model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import exp, fsum, isfinite, sqrt
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FiniteFloat

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError, QuorateError
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.pipeline import route
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question

from ..learned.files import LearnedFile
from ..meaning.embedded import Embedder
from ..meaning.options import MeaningOptions
from ..specs import BuildContext, EmbedderConfig, GraphSpec
from .asking import NamingRouter, RewritingModel
from .neighbours import Neighbours
from .words import FEATURES, MOST_READ, compute_features, list_words, weigh_words

NAME = "route"
WORD_TEST = "word:"
STRONGEST = 4.0
"""Standard deviations from the mean at which a feature's value is cut."""


class Objective(Frozen):
    """What an answer is worth: its chance to be right, and what it takes, each times its weight."""

    accuracy: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    money: float = Field(default=0.0, le=0, allow_inf_nan=False)
    """For each unit of money that a question takes: 0 or below."""
    seconds: float = Field(default=0.0, le=0, allow_inf_nan=False)
    size: float = Field(default=0.0, le=0, allow_inf_nan=False)
    """For each unit of a model's size, as the file has it."""


class TaskFeature(Frozen):
    """How a feature is brought to one scale."""

    mean: FiniteFloat
    scale: float = Field(gt=0, allow_inf_nan=False)


class RoutedModel(Frozen):
    """What is known of one model."""

    rate: float = Field(ge=0, le=1)
    """Share of right answers in training."""
    intercept: FiniteFloat = 0.0
    words: Mapping[str, FiniteFloat] = Field(default={})
    """Weights of words in the logarithm of the odds of being right."""
    features: Mapping[str, FiniteFloat] = Field(default={})
    meaning: tuple[FiniteFloat, ...] = ()
    """Weights of the intercept and of the question's embedding, of length 1, in the same logarithm."""
    money: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """That a question takes on average; None where no price is known."""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    size: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class KindTest(Frozen):
    """A condition on a question."""

    feature: str
    """One of `FEATURES`, or `word:NAME`, which is 1 where the word occurs and else 0."""
    at: FiniteFloat
    above: bool

    def holds(self, told: Mapping[str, float], words: Set[str]) -> bool:
        word = self.feature.removeprefix(WORD_TEST)
        value = told[self.feature] if word == self.feature else float(word in words)
        return (value > self.at) == self.above


Source = Literal["rates", "words", "neighbours", "meaning"]
"""Of a chance: the rate in the kind; a regression on words; similar questions of the bank; one on the embedding."""


class Kind(Frozen):
    """Questions that are alike for these models: a leaf of a small tree."""

    tests: tuple[KindTest, ...]
    """All of them hold."""
    rates: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    """Share of right answers of each model."""
    by: Source = "rates"
    """What says most about a question."""
    share: float = Field(ge=0, le=1)
    """Part of the questions in training."""


class Expected(Frozen):
    """What is expected of a model's answer to one question."""

    chance: float
    """Of being right."""
    worth: float
    """By the objective."""


class TrainedRouter(LearnedFile):
    """The content of the file: of each model the chance to be right, from the question."""

    kind: ClassVar[str] = "router"
    format: Literal["quorate router"] = "quorate router"
    version: Literal[1] = 1
    models: Mapping[str, RoutedModel] = Field(min_length=1)
    features: Mapping[str, TaskFeature] = Field(default={})
    objective: Objective = Objective()
    best: str
    """The single model that is worth most."""
    neighbours: Neighbours | None = None
    """Questions of the bank, where they say most about some kind."""
    embedder: EmbedderConfig | None = None
    """Whose vectors `meaning` is about, where that says most about some kind."""
    kinds: tuple[Kind, ...] = ()
    """What is told apart; empty where the best single model is asked always, since choosing was not resolved to be
    better."""
    questions: int = 0
    """That it was trained on."""
    note: str = ""
    """What was found out of fold, for people."""

    @cached_property
    def _places(self) -> Mapping[str, int]:
        words = dict.fromkeys(word for model in self.models.values() for word in model.words)
        return {word: place for place, word in enumerate(words)}

    @cached_property
    def _weights(self) -> Mapping[str, Mapping[int, float]]:
        places = self._places
        return {n: {places[word]: weight for word, weight in m.words.items()} for n, m in self.models.items()}

    @property
    def rates(self) -> dict[str, float]:
        """Of each model, over all questions."""
        return {name: model.rate for name, model in self.models.items()}

    def chances(self, text: str, vector: Sequence[float] = ()) -> dict[str, float]:
        """Of each model the chance to be right on this question.

        Args:
            text: the question.
            vector: its embedding; where it is needed and not there, the rates of its kind count.
        """
        kind = self.find_kind(text)
        if kind is None:
            return self.rates
        if kind.by == "words":
            return self.read_words(text)
        if kind.by == "neighbours" and self.neighbours is not None:
            return self.neighbours.chances(text, self.rates)
        return self.read_vector(vector) if kind.by == "meaning" and vector else dict(kind.rates)

    def read_vector(self, vector: Sequence[float]) -> dict[str, float]:
        """The chances by the embedding alone."""
        length = sqrt(fsum(value * value for value in vector)) or 1.0
        found = {}
        for name, model in self.models.items():
            intercept, *weights = model.meaning
            odds = intercept + fsum(w * value for w, value in zip(weights, vector, strict=True)) / length
            found[name] = 1 / (1 + exp(-min(max(odds, -500.0), 500.0)))
        return found

    def find_kind(self, text: str) -> Kind | None:
        """What kind of question it is; None where none is told apart."""
        if not self.kinds:
            return None
        told, words = compute_features(text), set(list_words(text))
        fits = (kind for kind in self.kinds if all(test.holds(told, words) for test in kind.tests))
        return next(fits, self.kinds[-1])

    def read_words(self, text: str) -> dict[str, float]:
        """The chances by the words and features alone, of whatever kind it is."""
        held, told = weigh_words(text, self._places), compute_features(text)
        scaled = {
            name: min(max((told[name] - f.mean) / f.scale, -STRONGEST), STRONGEST) for name, f in self.features.items()
        }
        found = {}
        for name, model in self.models.items():
            weights = self._weights[name]
            parts = [model.intercept, *(weights.get(place, 0.0) * value for place, value in held.items())]
            parts += [model.features.get(feature, 0.0) * value for feature, value in scaled.items()]
            found[name] = 1 / (1 + exp(-min(max(fsum(parts), -500.0), 500.0)))
        return found

    def worth(self, name: str, chance: float, objective: Objective | None = None) -> float:
        """What an answer of this model is worth.

        Raises:
            BadInput: the objective weighs what is not known of the model.
        """
        wanted, model = objective or self.objective, self.models[name]
        total = wanted.accuracy * chance
        for what, weight, value in (
            ("money", wanted.money, model.money),
            ("seconds", wanted.seconds, model.seconds),
            ("size", wanted.size, model.size),
        ):
            if weight and value is None:
                raise BadInput(f"the objective weighs {what}, and the router knows no {what} of {name}")
            total += weight * (value or 0.0)
        return total

    def expect(
        self, text: str, among: Sequence[str], objective: Objective | None = None, vector: Sequence[float] = ()
    ) -> dict[str, Expected]:
        """What is expected of these models, the best first; of equals the best single one.

        Raises:
            BadInput: see `worth`.
        """
        chances, first = self.chances(text, vector), self.best_of(among, objective)
        found = {n: Expected(chance=chances[n], worth=self.worth(n, chances[n], objective)) for n in among}
        ranked = sorted(found, key=lambda name: (-found[name].worth, name != first))
        return {name: found[name] for name in ranked}

    def best_of(self, among: Sequence[str], objective: Objective | None = None) -> str:
        """Of these the single model that is worth most on average."""
        if self.best in among and objective is None:
            return self.best
        return max(among, key=lambda name: (self.worth(name, self.models[name].rate, objective), name))

    def check(self, path: Path | str) -> None:
        """See `LearnedFile`."""
        tested = {test.feature for kind in self.kinds for test in kind.tests}
        tested = {feature for feature in tested if not feature.startswith(WORD_TEST)}
        if strange := sorted(({*self.features} | tested) - {*FEATURES}):
            raise DataError(f"uses {', '.join(strange)}, which this quorate does not know: train it again", file=path)
        if self.best not in self.models:
            raise DataError(f"the best model {self.best!r} is none of its models", file=path, field="best")
        if any(set(kind.rates) != set(self.models) for kind in self.kinds):
            raise DataError("a kind has rates of other models", file=path, field="kinds")
        used = {kind.by for kind in self.kinds}
        if "neighbours" in used and (self.neighbours is None or {*self.neighbours.right} != {*self.models}):
            raise DataError("a kind is decided by neighbours, and there are none of its models", file=path)
        if "meaning" in used and (self.embedder is None or not all(model.meaning for model in self.models.values())):
            raise DataError("a kind is decided by meaning, and there is no embedder or no weight", file=path)

    def refuse_strangers(self, names: Sequence[str], where: str) -> None:
        """Refuses models that it was not trained for.

        Raises:
            BadInput: names them.
        """
        if strange := [name for name in names if name not in self.models]:
            raise BadInput(
                f"{where} was trained for {', '.join(self.models)}, and knows nothing of {', '.join(strange)}: train a "
                "router on a bank that has their answers, or leave them out"
            )


@dataclass(frozen=True)
class LearnedRouter:
    """Sends each question to the model, or to the few models, that are worth most (`protocols.Router`).

    Models whose circuit breaker is open are passed over while others are there.
    """

    learned: TrainedRouter
    groups: tuple[tuple[str, ...], ...]
    """The names of the models that each option asks."""
    objective: Objective | None = None
    """In place of the file's."""
    embedder: Embedder | None = None
    """Where the file has one."""

    async def choose(self, question: Question, options: Sequence[Model], run: RunContext) -> tuple[int, str]:
        """See `protocols.Router`."""
        up = [place for place, model in enumerate(options) if model.available] or list(range(len(options)))
        names = list(dict.fromkeys(name for place in up for name in self.groups[place]))
        vector, lost = await self._embed(question.text, run)
        expected = self.learned.expect(question.text, names, self.objective, vector)
        order = {name: rank for rank, name in enumerate(expected)}
        chosen = min(up, key=lambda place: sorted(order[name] for name in self.groups[place]))
        told = ", ".join(f"{name} {expected[name].chance:.2f}" for name in self.groups[chosen])
        return chosen, f"chance to be right: {told}{lost}" if self.learned.kinds else "the best single model"

    async def _embed(self, text: str, run: RunContext) -> tuple[Sequence[float], str]:
        """The question's vector, where it counts; none where it cannot be had, and why."""
        kind = self.learned.find_kind(text)
        if self.embedder is None or kind is None or kind.by != "meaning":
            return (), ""
        try:
            [vector] = await self.embedder.embed([text[:MOST_READ]], run)
        except QuorateError as error:
            return (), f"; by its kind alone, since its embedding failed: {error}"
        size = len(next(iter(self.learned.models.values())).meaning) - 1
        if len(vector) != size or not all(map(isfinite, vector)):
            return (), f"; by its kind alone, since its embedding is not {size} finite numbers, as in training"
        return vector, ""


class RouteOptions(MeaningOptions):
    """Which router, and what counts for it."""

    file: str | None = None
    """As `quorate train router --out` wrote it; a route by its bare name has none, and says so."""
    objective: Objective | None = None
    """Weights in place of the file's: `{accuracy: 1, money: -20, seconds: -0.01}`."""
    about: Mapping[str, str] = Field(default={})
    """What each model is good at; without a file the aggregator's model names the task and chooses by it."""
    rewrite: bool = False
    """Whether the aggregator's model rewords the question for the model that was chosen."""


def _build_route(context: BuildContext, top: int = 1) -> Graph:
    options: RouteOptions = context.options
    what = NAME if top == 1 else f"{NAME}-top{top}"
    if options.file is None and options.about and top == 1:
        return _route_by_name(context)
    if options.file is None:
        raise BadInput(
            f"{what} needs a trained router (quorate train router --bank DIR --out FILE): configure it in quorate.yaml "
            f"as {{pipeline: {what}, models: [...], options: {{file: FILE}}}}"
        )
    learned = TrainedRouter.load(options.file)
    names = [model.name for model in context.models]
    learned.refuse_strangers(names, f"{what}: {options.file}")
    for name in names:
        learned.worth(name, 0.5, options.objective)  # refuses an objective that cannot be had, before any question
    if len(names) <= top:
        raise BadInput(f"{what} chooses {top} of its models, and there is {', '.join(names)}: give more")
    groups = tuple(combinations(names, top))
    embedder = None if learned.embedder is None else context.providers.embedder(learned.embedder)
    router = LearnedRouter(learned, groups, options.objective, embedder)
    by_name = dict(zip(names, context.models, strict=True))
    return route(router, *(_ask(context, [by_name[name] for name in group]) for group in groups), name=what)


def _route_by_name(context: BuildContext) -> Graph:
    """Where a model names the task."""
    names = [model.name for model in context.models]
    if strange := [name for name in context.options.about if name not in names]:
        raise BadInput(f"{NAME}: option 'about' says something of {strange[0]}, and there is: {', '.join(names)}")
    if len(names) < 2:
        raise BadInput(f"{NAME} chooses one of its models, and there is {', '.join(names)}: give more")
    router = NamingRouter(context.writer, context.options.about)
    return route(router, *(_ask(context, [model]) for model in context.models), name=NAME)


def _ask(context: BuildContext, models: Sequence[Model]) -> Model:
    """One model as it is, or in other words; several by the majority of their samples."""
    if len(models) == 1:
        model, options = models[0], context.options
        about = options.about.get(model.name, "")
        return RewritingModel(model, context.writer, about) if options.rewrite else model
    meaning = context.options.model_dump(include=set(MeaningOptions.model_fields))
    return context.narrowed(models, context.n).of_another(context.pipelines["majority"], meaning)


def _build_top2(context: BuildContext) -> Graph:
    return _build_route(context, 2)


GRAPHS = (
    GraphSpec(
        NAME,
        "the model that is expected to do best by the question",
        "Tryage, arXiv 2308.11601; RouteLLM, arXiv 2406.18665",
        1,
        _build_route,
        options=RouteOptions,
        listed=False,
    ),
    GraphSpec(
        f"{NAME}-top2",
        "the two models that are expected to do best by the question, and the majority of their samples",
        "as route; the vote: arXiv 2203.11171",
        4,
        _build_top2,
        options=RouteOptions,
        listed=False,
    ),
)
