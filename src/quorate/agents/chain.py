"""Several models as one: what one of them fails to give, the next one is asked for.

`Fallback` asks in a fixed order and says when it had to; `Pool` shares the load among servers of one model.
Both hide a failure only before its first token: what somebody has read cannot be taken back.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Event,
)
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import proposals
from quorate.orchestrator.tokens import Tokenized, TokenModel
from quorate.orchestrator.types import Candidate, Degradation, Failure, Question

from .agent import Agent

__all__ = ["Chain", "Fallback", "Pool", "RoundRobin"]

OF_THE_REQUEST = (400, 413, 422)
"""A server of the same model would refuse it for the same reason."""


class Chain(Agent):
    """Base: asks its models one after the other for the candidates that are still missing.

    The usage of a candidate holds what was spent on it in vain, so candidates sum to the ledger.

    Args:
        models: two or more; pipelines will do.
        name: how answers call it.

    Raises:
        BadInput: there are too few, or one is no model.
    """

    def __init__(self, models: Sequence[Model], *, name: str | None = None) -> None:
        if len(models) < 2 or not all(isinstance(model, Model) for model in models):
            raise BadInput(f"{type(self).__name__}: give two or more models")
        self.models = tuple(models)
        self.name = name or models[0].name

    @abstractmethod
    def order(self) -> Sequence[Model]:
        """Who is asked first, second, ..."""

    @abstractmethod
    def helps(self, failure: Failure) -> bool:
        """Whether another model may do better."""

    def note(self, failed: Candidate, run: RunContext) -> tuple[Degradation, ...]:  # noqa: ARG002 - for those who tell
        """What is told of a candidate that another model has failed to give."""
        return ()

    @property
    def available(self) -> bool:
        return any(_available(model) for model in self.models)

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`."""
        for index in indices:
            yield CandidateStarted(index=index, model=self.name)
        relay = _Relay(self, run)
        missing, order = list(indices), self.order()
        for model in order:
            relay.last = model is order[-1]
            async with aclosing(relay.leg(model, question, missing)) as events:
                async for event in events:
                    yield event
            missing = relay.handed_on()
            if not missing:
                return

    async def asked(
        self, model: Model, question: Question, indices: Sequence[int], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """One model's candidates."""
        async with aclosing(proposals(model, question, indices, run)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        """Closes all of them."""
        for model in self.models:
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()


@dataclass
class _Relay:
    """One call of a chain: what has been tried for each candidate."""

    chain: Chain
    run: RunContext
    last: bool = False
    """Nobody is left to hand on to."""
    told: set[int] = field(default_factory=set)
    """Candidates of which tokens have been passed on."""
    failed: dict[int, Candidate] = field(default_factory=dict)
    """Those that the model of this leg failed to give."""
    vain: dict[int, list[Candidate]] = field(default_factory=dict)
    """What models before it failed to give."""

    async def leg(self, model: Model, question: Question, indices: Sequence[int]) -> AsyncGenerator[Event, None]:
        run = replace(self.run, cut=[])
        try:
            async with aclosing(self.chain.asked(model, question, indices, run)) as events:
                async for event in events:
                    for out in self._passed(event):
                        yield out
        except (asyncio.CancelledError, GeneratorExit):
            self.run.cut.extend(self._whole(candidate) for candidate in (*run.cut, *self.failed.values()))
            raise

    def handed_on(self) -> list[int]:
        """The candidates that the next model is asked for."""
        missing = sorted(self.failed)
        for index, candidate in self.failed.items():
            self.vain.setdefault(index, []).append(candidate)
        self.failed = {}
        return missing

    def _passed(self, event: Event) -> list[Event]:
        match event:
            case CandidateStarted():
                return []
            case CandidateToken(index=index):
                self.told.add(index)
            case CandidateFailed(candidate=candidate) if self._hands_on(candidate):
                self.failed[candidate.index] = candidate
                return []
            case CandidateFinished(candidate=c) | CandidateFailed(candidate=c) | CandidateCancelled(candidate=c):
                if c.index in self.vain:
                    return [event.model_copy(update={"candidate": self._whole(c)})]
        return [event]

    def _hands_on(self, candidate: Candidate) -> bool:
        if self.last or candidate.index in self.told or candidate.error is None:
            return False
        return self.chain.helps(candidate.error)

    def _whole(self, candidate: Candidate) -> Candidate:
        """The candidate with all that was spent on it."""
        usage, notes = candidate.usage, candidate.degraded
        for failed in reversed(self.vain.get(candidate.index, ())):
            usage, notes = failed.usage + usage, (*self.chain.note(failed, self.run), *notes)
        return candidate.model_copy(update={"usage": usage, "degraded": notes})


class Fallback(Chain):
    """A model, and those that stand in for it, in this order; told as `fallback_used`.

    Any failure hands on, after the retries of the model that failed; one whose circuit breaker is open fails
    at once. A model that hangs hands on when its own timeouts say so.

    Args:
        primary: asked first.
        others: stand in.
        name: how answers call it; the first one's name if not given.
    """

    kind = "fallback"

    def __init__(self, primary: Model, *others: Model, name: str | None = None) -> None:
        super().__init__((primary, *others), name=name)

    def order(self) -> Sequence[Model]:
        """See `Chain`."""
        return self.models

    def helps(self, failure: Failure) -> bool:
        """See `Chain`."""
        return failure.code != "bad_input"

    def note(self, failed: Candidate, run: RunContext) -> tuple[Degradation, ...]:
        """See `Chain`."""
        detail = failed.error.message if failed.error else ""
        where = f"{run.node}: {failed.agent or failed.model} #{failed.index}"
        return (Degradation(code="fallback_used", where=where, detail=detail),)

    def __repr__(self) -> str:
        return f"<Fallback {' > '.join(model.name for model in self.models)}>"


class Pool(Chain):
    """Servers of one model: each request goes to the one with the fewest samples under way.

    Those whose circuit breaker is open come last. What fails at one server is asked of the next, unless the
    request itself was refused.

    Args:
        models: endpoints of the same model.
        name: how answers call it; the first one's name if not given.
    """

    kind = "pool"

    def __init__(self, models: Sequence[Model], *, name: str | None = None) -> None:
        super().__init__(models, name=name)
        self.load = [0] * len(self.models)
        """Samples under way at each of them."""
        self._calls = count()

    def order(self) -> Sequence[Model]:
        """See `Chain`; among equals in turn."""
        turn, size = next(self._calls), len(self.models)
        places = sorted(range(size), key=lambda i: (*self.burden(i), (i - turn) % size))
        return [self.models[i] for i in places]

    def burden(self, place: int) -> tuple[int, ...]:
        """What speaks against the server at this place, the weightiest first."""
        return not _available(self.models[place]), self.load[place]

    def helps(self, failure: Failure) -> bool:
        """See `Chain`."""
        return failure.code != "bad_input" and failure.status not in OF_THE_REQUEST

    def token_model(self) -> TokenModel:
        """That of one server, whose cache then holds the text: the first that can be asked so and is healthy.

        Raises:
            BadInput: none can.
        """
        able = [model for model in self.models if isinstance(model, Tokenized)]
        if not able:
            raise BadInput(f"{self.name} cannot be asked token by token: none of its servers can")
        return min(able, key=lambda model: not _available(model)).token_model()

    async def asked(
        self, model: Model, question: Question, indices: Sequence[int], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `Chain`; counted."""
        place, size = self.models.index(model), len(indices)
        self.load[place] += size
        try:
            async with aclosing(super().asked(model, question, indices, run)) as events:
                async for event in events:
                    yield event
        finally:
            self.load[place] -= size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} of {len(self.models)}>"


class RoundRobin(Pool):
    """A pool whose servers are asked in turn, whatever their load."""

    def burden(self, place: int) -> tuple[int, ...]:
        """See `Pool`."""
        return (not _available(self.models[place]),)


def _available(model: object) -> bool:
    return bool(getattr(model, "available", True))
