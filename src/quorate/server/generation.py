"""A request on its way through a model: which one answers what, how often, with which seeds, under which limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from quorate.agents.embedded.stories import refuse_strange
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.conforming import answer_conforming
from quorate.orchestrator.context import Budget, Ledger, RequestLimit, RunContext, derive_seed
from quorate.orchestrator.errors import BadInput, NodeCrashed, QuorateError
from quorate.orchestrator.events import Event, Observer
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.json_schema import Schema
from quorate.orchestrator.pipeline import Cascade, Pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Answer, Question

from .access.keys import ANYONE
from .api.fields import Control
from .context import Caller
from .deltas import Delta, DeltaStream, ProgressLines
from .http.errors import BadField
from .telemetry.metrics import label_pipeline

__all__ = [
    "Generation",
    "GenerationRequest",
    "Outcome",
    "apply_control",
    "apply_limits",
    "check_limits",
    "count_requests",
    "limit_tokens",
    "make_generation",
    "prepare",
    "resolve_model",
]

STAGE = ("quorum", "grace", "min_candidates", "sample_seconds")
"""Fields of `quorate` that are about the sampling stage."""

UNLIMITED = Budget()
Outcome = Answer | QuorateError
"""How one choice ended; the failure of one is a value, so that the others are kept."""


@dataclass(frozen=True)
class GenerationRequest:
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
class Generation:
    """One request that has been understood, and its model."""

    request: GenerationRequest
    model: Model
    caller: Caller
    budget: Budget
    calls: int
    """Answers of single models that all choices take at most."""
    requests: RequestLimit
    """Requests to models' servers that all choices together cause at most."""
    progress: bool = False
    """Whether a stream tells of the vote's progress."""
    ledger: Ledger = field(default_factory=Ledger)
    """Counts for all choices together, so that the budget holds for the request."""

    @property
    def choices(self) -> int:
        """The n answers to the first question, those to the second, ..."""
        return len(self.request.questions) * self.request.n

    def question(self, index: int) -> Question:
        """What a choice answers."""
        return self.request.questions[index // self.request.n]

    async def answer(self, write: Callable[[Delta], None] | None = None) -> list[Outcome]:
        """How all choices end, asked at the same time.

        Args:
            write: is told what comes meanwhile, where somebody reads it.

        Raises:
            QuorateError: none of them gave an answer.
        """
        if self.choices == 1:
            return [await self._answer(0, write)]
        outcomes = await gather([self._try(index, write) for index in range(self.choices)])
        if not any(isinstance(outcome, Answer) for outcome in outcomes):
            raise next(outcome for outcome in outcomes if isinstance(outcome, QuorateError))
        return outcomes

    async def _try(self, index: int, write: Callable[[Delta], None] | None) -> Outcome:
        try:
            return await self._answer(index, write)
        except QuorateError as error:
            return error

    async def _answer(self, index: int, write: Callable[[Delta], None] | None) -> Answer:
        """One choice. A question's first has the caller's seed, so that n=1 and n=2 begin alike."""
        question, repeat = self.question(index), index % self.request.n
        seed = question.sampling.seed
        if repeat:
            seed = derive_seed(seed, "choice", repeat)
            question = question.with_params(seed=seed)
        deltas = None
        if write is not None:
            progress = ProgressLines(self.model, question, self.budget) if self.progress else None
            deltas = DeltaStream(index, write, progress)
        run = self.make_context(index, seed=seed, live=deltas is not None, listener=deltas)
        answer = await self._ask(index, question, run)
        if deltas is not None:
            deltas.finish(answer)
        return answer

    async def watch(self, observer: Observer) -> Answer:
        """The first choice, of which the observer is told all that happens, every token of the candidates too.

        Of models that write it together, each token's story is kept; samples of a pipeline would have too many.

        Raises:
            QuorateError: there is no answer.
        """
        question = self.question(0)
        run = self.make_context(0, seed=question.sampling.seed, live=True, listener=observer)
        stories = not isinstance(self.model, Graph)
        return await self._ask(0, question, run.replace(follow_candidates=True, token_stories=stories))

    async def _ask(self, index: int, question: Question, run: RunContext) -> Answer:
        record = self.caller.record.choice(index)
        try:
            answer = await answer_conforming(self.model, question, run)
        except NodeCrashed as error:
            raise RuntimeError(str(error)) from error  # what has crashed is for the log, and not for who asks
        except QuorateError as error:
            record.error = error
            raise
        record.complete(answer)
        return answer

    def make_context(
        self, index: int, *, seed: int | None, live: bool = False, listener: Observer | None = None
    ) -> RunContext:
        """The context of the run of one choice.

        Args:
            index: of the choice.
            seed: of the choice.
            live: whether its tokens are read as they come.
            listener: is told of its events, beside the record of the request.
        """
        caller, record = self.caller, self.caller.record.choice(index)
        observed: dict[str, Any] = {} if listener is None else {"emit": listener}
        if caller.record.observed:
            observed = {
                "emit": record if listener is None else _Both(record, listener),
                "trace_headers": record.headers,
            }
        return RunContext(
            seed=seed,
            budget=self.budget,
            ledger=self.ledger,
            live=live,
            follow_candidates=False,  # that one has begun is all that a client sees of it before its end
            switch=caller.switch,
            caller="" if caller.line is ANYONE else caller.line.name,
            weight=caller.line.weight,
            requests=self.requests,
            **observed,
        )


class _Both:
    """Tells two observers."""

    def __init__(self, first: Observer, second: Observer) -> None:
        self._first, self._second = first, second

    def __call__(self, event: Event) -> None:
        self._first(event)
        self._second(event)


async def prepare(request: GenerationRequest, caller: Caller, settings: ServerSettings) -> Generation:
    """The request with its model found and its limits checked.

    Raises:
        BadInput: it cannot be asked so, it cannot know the answer, or a number is over its limit.
        UnknownName: no such model or pipeline.
        NotAllowed: the caller may not ask it.
        KeyBudgetExceeded: the caller has nothing left to spend.
    """
    model = await resolve_model(request.model, request.control, caller)
    for question in request.questions:
        refuse_strange(question, model.identity.singles)
    return await apply_limits(request, model, caller, settings)


async def resolve_model(name: str, control: Control, caller: Caller) -> Model:
    """The model that a request asks, with the request's samples, stopping rule, quorum and deadlines.

    Raises:
        BadInput: it cannot be asked so.
        UnknownName: no such model or pipeline.
        NotAllowed: the caller may not ask it.
    """
    model = await caller.resolve(_full_name(name, control, caller.catalog), n=control.n)
    return apply_control(control, model)


async def apply_limits(
    request: GenerationRequest, model: Model, caller: Caller, settings: ServerSettings
) -> Generation:
    """The request to this model, with its limits checked.

    Raises:
        BadInput: a number is over its limit.
        KeyBudgetExceeded: the caller has nothing left to spend.
    """
    control = request.control
    calls = check_limits(model, control, settings, n=request.n, questions=len(request.questions))
    if settings.max_requests is not None and (most := count_requests(request, model)) > settings.max_requests:
        field = "quorate.n" if control.n is not None else "n" if request.n > 1 else "model"
        allowed = f"this server allows {settings.max_requests} a request"
        raise BadField(
            f"{most} requests to models' servers at worst, tries and fallbacks included, but {allowed}", field
        )
    if settings.max_tokens:
        questions = tuple(
            q.with_params(max_tokens=limit_tokens(settings, q.sampling.max_tokens, request.max_tokens_field))
            for q in request.questions
        )
        request = replace(request, questions=questions)
    progress = settings.progress if control.progress is None else control.progress
    return await make_generation(request, model, caller, calls=calls, progress=progress)


async def make_generation(
    request: GenerationRequest, model: Model, caller: Caller, *, calls: int, progress: bool = False
) -> Generation:
    """The request to this model, of which the record of the HTTP request knows from now on.

    Raises:
        KeyBudgetExceeded: the caller has nothing left to spend.
    """
    budget = await caller.limit_budget(request.control.budget or UNLIMITED)
    limit = RequestLimit(count_requests(request, model))
    generation = Generation(request, model, caller, budget, calls, limit, progress)
    record = caller.record
    record.model = model.name
    record.pipeline = label_pipeline(caller.catalog, model)
    record.composed = isinstance(model, Graph)
    record.question = request.questions[0]
    record.asked_choices = generation.choices
    record.ledger = generation.ledger
    return generation


def check_limits(model: Model, control: Control, settings: ServerSettings, *, n: int, questions: int) -> int:
    """Answers of single models that one request takes at most.

    Raises:
        BadInput: more than it may ask for, naming the field.
    """
    if n > settings.max_n:
        raise BadField(f"{n} choices, but this server allows 1 to {settings.max_n} a request", "n")
    if (total := questions * n * model.calls) > settings.max_samples:
        field = "quorate.n" if control.n is not None else "n" if n > 1 else "prompt" if questions > 1 else "model"
        worst = f"and {questions * n * requests_of(model)} requests to their servers at worst"
        raise BadField(
            f"{total} samples in all, {worst}, but this server allows {settings.max_samples} samples a request", field
        )
    if control.budget is not None and control.budget.money is not None and not _priced(model):
        raise BadField(f"{model.name} has no prices, so this would limit nothing: limit tokens", "quorate.budget.money")
    return total


def count_requests(request: GenerationRequest, model: Model) -> int:
    """Requests to models' servers that a request causes at most, whatever fails; a strict schema is asked for twice."""
    answers = sum(1 if Schema.strict(question) is None else 2 for question in request.questions)
    return answers * request.n * requests_of(model)


def limit_tokens(settings: ServerSettings, wanted: int | None, field: str = "max_tokens") -> int | None:
    """Tokens of one answer: those that the request wants, else as many as the server allows.

    Raises:
        BadInput: it wants more.
    """
    if wanted is not None and settings.max_tokens is not None and wanted > settings.max_tokens:
        raise BadField(f"{wanted} tokens, but this server allows {settings.max_tokens} an answer", field)
    return settings.max_tokens if wanted is None else wanted


def _priced(model: Model) -> bool:
    """Whether any single model that it asks has a price."""
    return any(single.price is not None for single in model.identity.singles)


def _full_name(model: str, control: Control, catalog: Catalog) -> str:
    """The full name: a configured pipeline (`NAME[@N]`) has its own models, a built-in one is put over `model`."""
    if control.pipeline is None:
        return model
    configured = control.pipeline.partition("@")[0] in catalog.pipelines
    return control.pipeline if configured else f"{control.pipeline}/{model}"


def _with_threshold(model: Model, threshold: float) -> Model:
    if not isinstance(model, Cascade):
        raise BadField(f"needs a cascade, and {model.name!r} is none", "quorate.threshold")
    try:
        return model.with_threshold(threshold)
    except BadInput as error:
        raise BadField(str(error), "quorate.threshold") from None


def apply_control(control: Control, model: Model) -> Model:
    """The model with the stopping rule, the quorum, the deadlines and the threshold of the request.

    Raises:
        BadField: the model does not sample, or cannot sample so, or is no cascade.
    """
    if control.threshold is not None:
        model = _with_threshold(model, control.threshold)
    asked = control.given(*STAGE, "aggregate_seconds", "stop")
    if not asked:
        return model
    if not isinstance(model, Pipeline):
        kind = "a graph that does not begin by sampling" if isinstance(model, Graph) else "a single model"
        raise BadField(f"needs a pipeline, and {model.name!r} is {kind}", f"quorate.{asked[0]}")
    if control.rule is not None:
        try:
            model = model.with_sampling(stop=control.rule.build())
        except BadInput as error:
            raise BadField(str(error), "quorate.stop") from None
    if stage := control.sampling_stage:
        try:
            model = model.with_sampling(**stage)
        except BadInput as error:
            wrong = next((name for name in stage if f"({name}=" in str(error)), asked[0])
            raise BadField(str(error), f"quorate.{'sample_seconds' if wrong == 'seconds' else wrong}") from None
    return model if control.aggregate_seconds is None else model.with_timeout(control.aggregate_seconds)
