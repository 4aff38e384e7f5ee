"""Several models as one: what one of them fails to give, the next one is asked for.

`Fallback` asks in a fixed order and says when it had to; `pool.Pool` shares the load among servers of one model.
Both hide a failure only before its first token: what somebody has read cannot be taken back.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce

from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.checks import check_model
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import fill
from quorate.orchestrator.types import Candidate, Degradation, Failure, Question


class Chain(Agent):
    """Base: asks its models one after the other for the candidates that are still missing.

    The usage of a candidate holds what was spent on it in vain, so candidates sum to the ledger.

    Args:
        models: two or more; pipelines will do.
        name: how answers call it.

    Raises:
        BadInput: there are too few, or one is no model.
    """

    kind: str

    def __init__(self, models: Sequence[Model], *, name: str | None = None) -> None:
        if not isinstance(models, Sequence) or len(models) < 2:
            raise BadInput(f"{type(self).__name__}: give two or more models")
        for model in models:
            check_model(type(self).__name__, model)
        self.models = tuple(models)
        self.name = name or models[0].name

    @property
    def identity(self) -> Identity:
        """That of the first model where nothing else is said, with all of them as members."""
        members = tuple(model.identity for model in self.models)
        contexts = [member.context for member in members if member.context is not None]
        same = len({member.family for member in members}) == 1
        return Identity(
            kind=self.kind,
            model=members[0].model,
            family=members[0].family if same else None,
            context=min(contexts, default=None),
            price=members[0].price,
            sampling=members[0].sampling,
            capabilities=reduce(frozenset.intersection, (m.capabilities for m in members)) - {"completions", "tokens"},
            members=members,
        )

    @property
    def parts(self) -> tuple[Model, ...]:
        return self.models

    @property
    def calls(self) -> int:
        """Those of the model that takes most."""
        return max(model.calls for model in self.models)

    @property
    def max_requests(self) -> int:
        """Those of all models: each may fail after all of its own."""
        return sum(map(requests_of, self.models))

    @property
    def available(self) -> bool:
        """Whether any of them is."""
        return any(model.available for model in self.models)

    @abstractmethod
    def order(self) -> Sequence[Model]:
        """Who is asked first, second, ..."""

    @abstractmethod
    def should_fall_back(self, failure: Failure) -> bool:
        """Whether another model may do better."""

    def note(self, failed: Candidate, run: RunContext) -> tuple[Degradation, ...]:  # noqa: ARG002 - for those who tell
        """What is told of a candidate that another model has failed to give."""
        return ()

    async def attempt(
        self, model: Model, question: Question, slots: Sequence[PartialCandidate], run: RunContext
    ) -> None:
        """Has one model write some slots."""
        await fill(model, question, slots, run)

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.start(self.name, self.name)
        order, missing = self.order(), [_Leg(self, slot, run) for slot in slots]
        for model in order:
            inner = [leg.open(last=model is order[-1]) for leg in missing]
            try:
                await self.attempt(model, question, inner, run)
            except asyncio.CancelledError:
                for leg in missing:
                    leg.leave()
                raise
            missing = [leg for leg in missing if not leg.slot.done]
            if not missing:
                return


class _Leg:
    """One candidate of a chain: the slot that is wanted, and one for each model that tries to write it."""

    def __init__(self, chain: Chain, slot: PartialCandidate, run: RunContext) -> None:
        self.slot = slot
        self._chain, self._run = chain, run
        self._inner: PartialCandidate | None = None
        self._failed: list[Candidate] = []
        """What models before have failed to give."""
        self._last = False

    def open(self, *, last: bool) -> PartialCandidate:
        """A slot for the next model; nobody is left to hand on to after the last one."""
        self._last = last
        self._inner = PartialCandidate(self.slot.index, self._run, quiet=True, on_end=self._note_end)
        self._inner.on_write = lambda text, reasoning, logprobs: self.slot.write(
            text, reasoning=reasoning, logprobs=logprobs
        )
        return self._inner

    def leave(self) -> None:
        """The call is cancelled: the wanted slot takes what all models have written and spent."""
        assert self._inner is not None
        self._inner.cancel()
        if not self.slot.done and self._inner.result is not None:
            self.slot.leave_as(self._whole(self._inner.result))

    def _note_end(self, inner: PartialCandidate) -> None:
        candidate = inner.result
        assert candidate is not None
        if candidate.finish_reason == "cancelled":
            return
        if candidate.error is not None and self._hands_on(inner, candidate.error):
            self._failed.append(candidate)
        else:
            self.slot.adopt(self._whole(candidate))

    def _hands_on(self, inner: PartialCandidate, failure: Failure) -> bool:
        return not self._last and not inner.pieces and self._chain.should_fall_back(failure)

    def _whole(self, candidate: Candidate) -> Candidate:
        """The candidate with all that was spent on it."""
        usage, notes = candidate.usage, candidate.degraded
        for failed in reversed(self._failed):
            if failed is not candidate:
                usage, notes = failed.usage + usage, (*self._chain.note(failed, self._run), *notes)
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
        return self.models

    def should_fall_back(self, failure: Failure) -> bool:
        return failure.code != "bad_input"

    def note(self, failed: Candidate, run: RunContext) -> tuple[Degradation, ...]:
        detail = failed.error.message if failed.error else ""
        where = f"{run.node}: {failed.agent or failed.model} #{failed.index}"
        return (Degradation(code="fallback_used", where=where, detail=detail),)

    def __repr__(self) -> str:
        return f"<Fallback {' > '.join(model.name for model in self.models)}>"
