"""A request, understood: which model answers what, how often, with which seeds and under which budget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.events import Event
from quorate.orchestrator.model import answer_of
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Calling, Model
from quorate.orchestrator.run import Budget, Ledger, Run, derive_seed
from quorate.orchestrator.types import Answer, Question

from .errors import BadField
from .names import Names
from .schema import ChatRequest, Control
from .settings import ServerSettings

__all__ = ["Asking", "Outcome", "understood"]

Outcome = Answer | QuorateError
"""How one choice ended; the failure of one is a value, so that the others are kept."""


@dataclass(frozen=True)
class Asking:
    """One request on its way through a model."""

    model: Model
    question: Question
    choices: int
    budget: Budget
    trace: bool
    progress: bool
    include_usage: bool
    logprobs: bool
    ledger: Ledger = field(default_factory=Ledger)
    """Counts for all choices together, so that the budget holds for the request."""

    def stream(self, index: int, *, live: bool = True) -> AsyncGenerator[Event, None]:
        """Events of one choice. The first has the caller's seed, so that n=1 and n=2 begin alike."""
        seed = self.question.sampling.seed
        if index:
            seed = derive_seed(seed, "choice", index)
        run = Run(seed=seed, budget=self.budget, ledger=self.ledger, live=live)
        return self.model.stream(self.question.sampled(seed=seed), run)

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


async def understood(request: ChatRequest, names: Names, settings: ServerSettings) -> Asking:
    """The request with its model found and its limits checked.

    Raises:
        BadInput: the question is empty or a number is over its limit.
        UnknownName: no such model or pipeline.
    """
    control = request.quorate or Control()
    choices = request.n or 1
    if choices > settings.max_n:
        raise BadField(f"{choices} choices, but this server allows 1 to {settings.max_n} a request", "n")
    question = _question(request)
    model = await names.resolve(_name(request.model, control, names), n=control.n)
    if (total := choices * _draws(model)) > settings.max_samples:
        raise BadField(
            f"{total} samples in all, but this server allows {settings.max_samples} a request", _param(request, control)
        )
    return Asking(
        model=model,
        question=question,
        choices=choices,
        budget=control.budget or Budget(),
        trace=control.trace,
        progress=settings.progress if control.progress is None else control.progress,
        include_usage=request.include_usage,
        logprobs=bool(request.logprobs),
    )


def _question(request: ChatRequest) -> Question:
    try:
        question = Question.of(request.messages)
    except BadInput as error:
        raise BadField(str(error), "messages") from None
    return Question(
        messages=question.messages,
        tools=tuple(request.tools or ()),
        tool_choice=request.tool_choice,
        response_format=request.response_format,
        sampling=request.sampling(),
    )


def _name(model: str, control: Control, names: Names) -> str:
    """The full name: a configured pipeline (`NAME[@N]`) has its own models, a built-in one is put over `model`."""
    if control.pipeline is None:
        return model
    configured = control.pipeline.partition("@")[0] in names.catalogue.pipelines
    return control.pipeline if configured else f"{control.pipeline}/{model}"


def _param(request: ChatRequest, control: Control) -> str:
    """The field that made it so many."""
    if control.n is not None:
        return "quorate.n"
    return "n" if request.n and request.n > 1 else "model"


def _draws(model: Model) -> int:
    """How many answers of single models one answer takes at most, through nested pipelines."""
    if not isinstance(model, Pipeline):
        return 1
    n, aggregator = model.sampler.n, model.aggregator
    drawn = n * max(_draws(inner) for inner in model.sampler.models)
    if not isinstance(aggregator, Calling) or not aggregator.models:
        return drawn
    return drawn + aggregator.calls(n) * max(_draws(inner) for inner in aggregator.models)
