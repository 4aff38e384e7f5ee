"""`route/A+B+C`: each question to the model that is expected to do best by it, for what it costs.

The chance that a model is right is a logistic regression on the question's words and the kind of task it looks like,
learned from a bank by `quorate train router`. Predicting each model's quality and weighing it against what the user
cares for is Tryage (arXiv 2308.11601); learning from recorded preferences or scores is RouteLLM (arXiv 2406.18665).
Ours is the guard: a router that is not resolved to be better than the best single model is that model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import exp, fsum
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.pipeline import route
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Question

from ..learned.files import LearnedFile
from ..meaning.options import MeaningOptions
from ..specs import BuildContext, GraphSpec
from .words import FEATURES, compute_features, weigh_words

NAME = "route"
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

    mean: float = Field(allow_inf_nan=False)
    scale: float = Field(gt=0, allow_inf_nan=False)


class RoutedModel(Frozen):
    """What is known of one model."""

    rate: float = Field(ge=0, le=1)
    """Share of right answers in training."""
    intercept: float = Field(default=0.0, allow_inf_nan=False)
    words: Mapping[str, float] = Field(default={})
    """Weights of words in the logarithm of the odds of being right."""
    features: Mapping[str, float] = Field(default={})
    money: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """That a question takes on average; None where no price is known."""
    seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    size: float | None = Field(default=None, ge=0, allow_inf_nan=False)


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
    lead: float | None = Field(default=None, allow_inf_nan=False)
    """How much more than the best single model another one must be worth; None where that one is asked always, since
    choosing was not resolved to be better."""
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

    def chances(self, text: str) -> dict[str, float]:
        """Of each model the chance to be right on this question."""
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
                raise BadInput(
                    f"the objective weighs {what}, and the router knows no {what} of {name}: train it with it"
                )
            total += weight * (value or 0.0)
        return total

    def expect(self, text: str, among: Sequence[str], objective: Objective | None = None) -> dict[str, Expected]:
        """What is expected of these models, the best first.

        Raises:
            BadInput: see `worth`.
        """
        chances = self.chances(text)
        found = {n: Expected(chance=chances[n], worth=self.worth(n, chances[n], objective)) for n in among}
        first = self.best_of(among, objective)
        lead = self.lead

        def place(name: str) -> tuple[bool, float]:
            # The best single model comes first unless another one leads by enough.
            ahead = name == first if lead is None else name == first and found[name].worth > top - lead
            return not ahead, -found[name].worth

        top = max(each.worth for each in found.values())
        return {name: found[name] for name in sorted(found, key=place)}

    def best_of(self, among: Sequence[str], objective: Objective | None = None) -> str:
        """Of these the single model that is worth most on average."""
        if self.best in among and objective is None:
            return self.best
        return max(among, key=lambda name: (self.worth(name, self.models[name].rate, objective), name))

    def check(self, path: Path | str) -> None:
        """See `LearnedFile`."""
        if strange := sorted({*self.features} - {*FEATURES}):
            raise DataError(f"uses {', '.join(strange)}, which this quorate does not know: train it again", file=path)
        if self.best not in self.models:
            raise DataError(f"the best model {self.best!r} is none of its models", file=path, field="best")

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

    async def choose(self, question: Question, options: Sequence[Model], run: RunContext) -> tuple[int, str]:  # noqa: ARG002
        """See `protocols.Router`."""
        up = [place for place, model in enumerate(options) if model.available] or list(range(len(options)))
        names = list(dict.fromkeys(name for place in up for name in self.groups[place]))
        expected = self.learned.expect(question.text, names, self.objective)
        order = {name: rank for rank, name in enumerate(expected)}
        chosen = min(up, key=lambda place: sorted(order[name] for name in self.groups[place]))
        told = ", ".join(f"{name} {expected[name].chance:.2f}" for name in self.groups[chosen])
        return chosen, f"chance to be right: {told}" if self.learned.lead is not None else "the best single model"


class RouteOptions(MeaningOptions):
    """Which router, and what counts for it."""

    file: str | None = None
    """As `quorate train router --out` wrote it; a route by its bare name has none, and says so."""
    objective: Objective | None = None
    """Weights in place of the file's: `{accuracy: 1, money: -20, seconds: -0.01}`."""


def _build_route(context: BuildContext, top: int = 1) -> Graph:
    options: RouteOptions = context.options
    what = NAME if top == 1 else f"{NAME}-top{top}"
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
    router = LearnedRouter(learned, groups, options.objective)
    by_name = dict(zip(names, context.models, strict=True))
    return route(router, *(_ask(context, [by_name[name] for name in group]) for group in groups), name=what)


def _ask(context: BuildContext, models: Sequence[Model]) -> Model:
    """One model as it is, several by the majority of their samples."""
    if len(models) == 1:
        return models[0]
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
    ),
    GraphSpec(
        f"{NAME}-top2",
        "the two models that are expected to do best by the question, and the majority of their samples",
        "as route; the vote: arXiv 2203.11171",
        4,
        _build_top2,
        options=RouteOptions,
    ),
)
