"""A request, understood: which model answers what, how often, with which seeds and under which budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field, replace

from quorate.config.catalog import Catalog
from quorate.orchestrator.context import Budget, Ledger, RunContext, StopSwitch, derive_seed
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.events import Event
from quorate.orchestrator.model import answer_of
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Calling, Model
from quorate.orchestrator.types import Answer, Question

from .access.visitor import Visitor
from .errors import BadField
from .fields import Control
from .observe.observation import Observation, observing
from .settings import ServerSettings

__all__ = [
    "Asking",
    "Order",
    "Outcome",
    "answered",
    "bounded",
    "checked",
    "found",
    "single_models",
    "tokens_within",
    "understood",
]

STAGE = ("quorum", "grace", "least", "sample_seconds")
"""Fields of `quorate` that are about the sampling stage."""

Outcome = Answer | QuorateError
"""How one choice ended; the failure of one is a value, so that the others are kept."""


@dataclass(frozen=True)
class Order:
    """What a request wants, by whichever API it came."""

    model: str
    questions: tuple[Question, ...]
    control: Control
    n: int = 1
    """Choices for each question."""
    max_tokens_field: str = "max_tokens"
    """How the request calls the length of an answer."""
    logprobs: bool = False
    include_usage: bool = False
    """Whether a stream ends in a chunk with the usage."""


@dataclass(frozen=True)
class Asking:
    """One request on its way through a model."""

    order: Order
    model: Model
    progress: bool
    budget: Budget
    draws: int
    """Answers of single models that all choices take at most."""
    halt: StopSwitch | None = None
    """Ends it when the server ends."""
    ledger: Ledger = field(default_factory=Ledger)
    """Counts for all choices together, so that the budget holds for the request."""
    observation: Observation | None = field(default_factory=observing)
    """Looks on."""

    def __post_init__(self) -> None:
        if self.observation is not None:
            self.observation.asked(self)

    @property
    def choices(self) -> int:
        """The n answers to the first question, those to the second, ..."""
        return len(self.order.questions) * self.order.n

    def question(self, index: int) -> Question:
        """What a choice answers."""
        return self.order.questions[index // self.order.n]

    def stream(self, index: int, *, live: bool = True) -> AsyncGenerator[Event, None]:
        """Events of one choice. A question's first has the caller's seed, so that n=1 and n=2 begin alike."""
        question = self.question(index)
        seed = question.sampling.seed
        if repeat := index % self.order.n:
            seed = derive_seed(seed, "choice", repeat)
        run = RunContext(seed=seed, budget=self.budget, ledger=self.ledger, live=live, halt=self.halt)
        question = question.with_params(seed=seed)
        if self.observation is None:
            return self.model.stream(question, run)
        choice = self.observation.choice(index)
        return choice.reading(self.model.stream(question, replace(run, watch=choice)))

    async def outcomes(self) -> list[Outcome]:
        """How all choices end, asked at the same time.

        Raises:
            QuorateError: none of them gave an answer.
        """
        if self.choices == 1:
            return [await answer_of(self.stream(0, live=False))]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._outcome(index)) for index in range(self.choices)]
        return answered([task.result() for task in tasks])

    async def _outcome(self, index: int) -> Outcome:
        try:
            return await answer_of(self.stream(index, live=False))
        except QuorateError as error:
            return error


def answered(outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes, one of which is an answer; else the first error is raised."""
    if not any(isinstance(outcome, Answer) for outcome in outcomes):
        for outcome in outcomes:
            if isinstance(outcome, QuorateError):
                raise outcome
    return outcomes


async def understood(order: Order, visitor: Visitor, settings: ServerSettings) -> Asking:
    """The order with its model found and its limits checked; errors as of `found` and `bounded`."""
    return bounded(order, await found(order.model, order.control, visitor), visitor, settings)


async def found(name: str, control: Control, visitor: Visitor) -> Model:
    """The model that a request asks, with the request's samples and stopping rule.

    Raises:
        BadInput: it cannot be asked so.
        UnknownName: no such model or pipeline.
        NotAllowed: the caller may not ask it.
    """
    return _as_asked(await visitor.resolve(_full_name(name, control, visitor.catalog), n=control.n), control)


def bounded(order: Order, model: Model, visitor: Visitor, settings: ServerSettings) -> Asking:
    """The order to this model, with its limits checked.

    Raises:
        BadInput: a number is over its limit.
        BudgetSpent: the caller has nothing left to spend.
    """
    control = order.control
    draws = checked(model, control, settings, n=order.n, questions=len(order.questions))
    questions = tuple(
        q.with_params(max_tokens=tokens_within(settings, q.sampling.max_tokens, order.max_tokens_field))
        if settings.max_tokens
        else q
        for q in order.questions
    )
    return Asking(
        replace(order, questions=questions),
        model,
        progress=settings.progress if control.progress is None else control.progress,
        budget=visitor.within(control.budget or Budget()),
        draws=draws,
        halt=visitor.halt,
    )


def checked(model: Model, control: Control, settings: ServerSettings, *, n: int, questions: int) -> int:
    """Answers of single models that one request takes at most.

    Raises:
        BadInput: more than it may ask for, naming the field.
    """
    if n > settings.max_n:
        raise BadField(f"{n} choices, but this server allows 1 to {settings.max_n} a request", "n")
    if (total := questions * n * _draws(model)) > settings.max_samples:
        field = "quorate.n" if control.n is not None else "n" if n > 1 else "prompt" if questions > 1 else "model"
        raise BadField(f"{total} samples in all, but this server allows {settings.max_samples} a request", field)
    if control.budget is not None and control.budget.money is not None and not any(map(_priced, single_models(model))):
        raise BadField(f"{model.name} has no prices, so this would limit nothing: limit tokens", "quorate.budget.money")
    return total


def tokens_within(settings: ServerSettings, wanted: int | None, field: str = "max_tokens") -> int | None:
    """Tokens of one answer: those that the request wants, else as many as the server allows.

    Raises:
        BadInput: it wants more.
    """
    if wanted is not None and settings.max_tokens is not None and wanted > settings.max_tokens:
        raise BadField(f"{wanted} tokens, but this server allows {settings.max_tokens} an answer", field)
    return settings.max_tokens if wanted is None else wanted


def _full_name(model: str, control: Control, catalog: Catalog) -> str:
    """The full name: a configured pipeline (`NAME[@N]`) has its own models, a built-in one is put over `model`."""
    if control.pipeline is None:
        return model
    configured = control.pipeline.partition("@")[0] in catalog.pipelines
    return control.pipeline if configured else f"{control.pipeline}/{model}"


def _as_asked(model: Model, control: Control) -> Model:
    """The model with the stopping rule, the quorum and the deadlines of the request."""
    stage, seconds = control.sampling_stage, control.aggregate_seconds
    changed = [name for name in (*STAGE, "aggregate_seconds", "stop") if getattr(control, name) is not None]
    if not changed:
        return model
    if not isinstance(model, Pipeline):
        raise BadField(f"needs a pipeline, and {model.name!r} is a single model", f"quorate.{changed[0]}")
    if control.rule is not None:
        try:
            model = model.stopping(control.rule.build())
        except BadInput as error:
            raise BadField(str(error), "quorate.stop") from None
    if stage:
        try:
            model = model.drawing(**stage)
        except BadInput as error:
            wrong = next((name for name in stage if f"({name}=" in str(error)), changed[0])
            raise BadField(str(error), f"quorate.{'sample_seconds' if wrong == 'seconds' else wrong}") from None
    return model if seconds is None else model.within(seconds)


def _draws(model: Model) -> int:
    """How many answers of single models one answer takes at most, through nested pipelines."""
    if not isinstance(model, Pipeline):
        return 1
    n, aggregator = model.sampler.n, model.aggregator
    drawn = n * max(_draws(inner) for inner in model.sampler.models)
    if not isinstance(aggregator, Calling) or not aggregator.models:
        return drawn
    return drawn + aggregator.calls(n) * max(_draws(inner) for inner in aggregator.models)


def single_models(model: Model) -> Iterator[Model]:
    """All single models that a model asks."""
    if not isinstance(model, Pipeline):
        yield model
        return
    helpers = model.aggregator.models if isinstance(model.aggregator, Calling) else ()
    for inner in (*model.sampler.models, *helpers):
        yield from single_models(inner)


def _priced(model: Model) -> bool:
    """Whether a model, or one that it falls back on, has a price."""
    return getattr(model, "price", None) is not None or any(map(_priced, getattr(model, "models", ())))
