"""Hedged requests: a second one for a straggler, the first to answer wins (Dean and Barroso, The Tail at Scale, 2013).

The second request starts once the first has been silent for longer than most have lately, or for a fixed time.
Over a `Pool` it goes to another server, since the straggling one has a sample more under way.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from quorate.orchestrator.context import Ledger, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    Event,
)
from quorate.orchestrator.merging import merge
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import proposals
from quorate.orchestrator.tokens import Tokenized, TokenModel
from quorate.orchestrator.types import Candidate, Question, Usage

from .agent import Agent
from .endpoint.breaker import Allowance

__all__ = ["Hedged"]

REMEMBERED = 128
"""Latencies of which the percentile is taken..."""
FEWEST = 20
"""...and how many of them it takes to speak of one."""


class Hedged(Agent):
    """Asks a second time where the first request is slow to begin; the loser is cancelled, and its tokens count.

    Each sample is a request of its own, since samples of one request come together. What a request has said
    first, be it a token or a failure when nobody else runs, decides.

    Args:
        model: who is asked, both times; an endpoint or a pool.
        after: seconds of silence; where not given, the percentile of the last 128 decides.
        percentile: of the time to the first sign of life, between 0 and 1.
        share: of all samples that may be asked for twice.
        name: how answers call it; the model's name if not given.

    Raises:
        BadInput: a number is impossible.
    """

    def __init__(
        self,
        model: Model,
        *,
        after: float | None = None,
        percentile: float = 0.95,
        share: float = 0.1,
        name: str | None = None,
    ) -> None:
        if after is not None and not 0 < after < math.inf:
            raise BadInput(f"Hedged(after={after!r}): give a number of seconds above 0")
        if not 0 < percentile < 1:
            raise BadInput(f"Hedged(percentile={percentile!r}): give a number between 0 and 1, such as 0.95")
        if not 0 < share <= 1:
            raise BadInput(f"Hedged(share={share!r}): give a share of all samples, such as 0.1")
        self.model = model
        self.name = name or model.name
        self.kind = str(getattr(model, "kind", type(model).__name__.lower()))
        self.allowance = Allowance(share, 1)
        self.hedges = 0
        """Second requests so far."""
        self._after, self._percentile = after, percentile
        self._waits: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def available(self) -> bool:
        return bool(getattr(self.model, "available", True))

    @property
    def patience(self) -> float | None:
        """Seconds of silence after which a second request starts; None where too little is known."""
        if self._after is not None or len(self._waits) < FEWEST:
            return self._after
        return sorted(self._waits)[math.ceil(self._percentile * len(self._waits)) - 1]

    def token_model(self) -> TokenModel:
        """The model's own: where it is asked token by token, nothing is hedged.

        Raises:
            BadInput: it cannot be.
        """
        if not isinstance(self.model, Tokenized):
            raise BadInput(f"{self.name} cannot be asked token by token")
        return self.model.token_model()

    def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`."""
        races = [self._raced(question, index, run) for index in indices]
        return races[0] if len(races) == 1 else merge(races)

    async def _raced(self, question: Question, index: int, run: RunContext) -> AsyncGenerator[Event, None]:
        yield CandidateStarted(index=index, model=self.name)
        self.allowance.asked()
        race = _Race(self, question, index, run)
        try:
            async with aclosing(race.events()) as events:
                async for event in events:
                    yield event
        finally:
            await race.stop()

    def answered(self, seconds: float) -> None:
        """A request gave its first sign of life."""
        self._waits.append(seconds)

    async def aclose(self) -> None:
        """Closes the model."""
        close = getattr(self.model, "aclose", None)
        if close is not None:
            await close()

    def __repr__(self) -> str:
        return f"Hedged({self.model!r})"


@dataclass(eq=False)
class _Runner:
    """One of the two requests, with accounts of its own."""

    run: RunContext
    task: asyncio.Task[None] | None = None
    ended: Candidate | None = None


@dataclass
class _Race:
    """One sample, asked for once or twice."""

    hedged: Hedged
    question: Question
    index: int
    run: RunContext
    runners: list[_Runner] = field(default_factory=list)
    lead: _Runner | None = None
    """The one that decides."""
    told: bool = False
    """How the sample ended."""
    begun: float = field(default_factory=time.monotonic)
    queue: asyncio.Queue[tuple[_Runner, Event]] = field(default_factory=asyncio.Queue)

    async def events(self) -> AsyncGenerator[Event, None]:
        self._start()
        while True:
            runner, event = await self._next()
            if self.lead is None and not self._waits_for_another(runner, event):
                self.hedged.answered(time.monotonic() - self.begun)
                self.lead = runner
                await self._cancel(other for other in self.runners if other is not runner)
            if runner is not self.lead:
                continue
            if isinstance(event, CandidateFinished | CandidateFailed | CandidateCancelled):
                self.told = True
                yield event.model_copy(update={"candidate": self._whole(event.candidate)})
                return
            yield event

    async def stop(self) -> None:
        """Ends what runs; without an end of the sample, what there is of it is left to the run."""
        await self._cancel(self.runners)
        if self.told:
            return
        parts = {id(runner): runner.ended or next(iter(runner.run.cut), None) for runner in self.runners}
        best = sorted(self.runners, key=lambda r: (r is not self.lead, r.ended is None or not r.ended.ok))
        for runner in best:
            if (part := parts[id(runner)]) is not None:
                self.run.cut.append(self._whole(part, runner))
                return

    def _start(self) -> None:
        runner = _Runner(replace(self.run, cut=[], ledger=Ledger(self.run.ledger)))
        self.runners.append(runner)
        runner.task = asyncio.create_task(self._pump(runner))

    async def _pump(self, runner: _Runner) -> None:
        async with aclosing(proposals(self.hedged.model, self.question, [self.index], runner.run)) as events:
            async for event in events:
                if isinstance(event, CandidateFinished | CandidateFailed | CandidateCancelled):
                    runner.ended = event.candidate
                if not isinstance(event, CandidateStarted):
                    self.queue.put_nowait((runner, event))

    async def _next(self) -> tuple[_Runner, Event]:
        patience = self.hedged.patience if self.lead is None and len(self.runners) == 1 else None
        if patience is None:
            return await self.queue.get()
        try:
            async with asyncio.timeout_at(self.begun + patience):
                return await self.queue.get()
        except TimeoutError:
            if self.hedged.allowance.take():
                self.hedged.hedges += 1
                self._start()
        return await self.queue.get()

    def _waits_for_another(self, runner: _Runner, event: Event) -> bool:
        """A failure does not decide while the other request runs."""
        others = (other for other in self.runners if other is not runner)
        return isinstance(event, CandidateFailed) and any(o.ended is None or o.ended.ok for o in others)

    async def _cancel(self, runners: Iterable[_Runner]) -> None:
        tasks = [runner.task for runner in runners if runner.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _whole(self, candidate: Candidate, lead: _Runner | None = None) -> Candidate:
        """The candidate with what the other request has cost."""
        others = [runner.run.ledger.usage for runner in self.runners if runner is not (lead or self.lead)]
        return candidate.model_copy(update={"usage": Usage.total([candidate.usage, *others])}) if others else candidate
