"""Hedged requests: a second one for a straggler, the first to answer wins (Dean and Barroso, The Tail at Scale, 2013).

The second request starts once the first has been silent for longer than most have lately, or for a fixed time.
Over a `Pool` it goes to another server, since the straggling one has a sample more under way.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.context import Ledger, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.model import Agent, Wrapper
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import fill, gather
from quorate.orchestrator.tokens import Tokenized, TokenModel
from quorate.orchestrator.types import Candidate, Question, TokenLogprob
from quorate.orchestrator.usage import Usage

from .endpoint.breaker import RetryBudget
from .settings import HedgePolicy

REMEMBERED = 128
"""Latencies of which the percentile is taken..."""
FEWEST = 20
"""...and how many of them it takes to speak of one."""


class Hedged(Wrapper, Agent):
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
        HedgePolicy(after=after, percentile=percentile, share=share)  # refuses what is impossible
        super().__init__(model, name=name)
        self.budget = RetryBudget(share, 1)
        self.hedges = 0
        """Second requests so far."""
        self._after, self._percentile = after, percentile
        self._waits: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def identity(self) -> Identity:
        """That of the model, which goes on with no bare text here."""
        identity = self.model.identity
        return identity.model_copy(update={"capabilities": identity.capabilities - {"completions"}})

    @property
    def max_requests(self) -> int:
        """Two races' worth."""
        return 2 * requests_of(self.model)

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

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.start(self.name, self.name)
        await gather([_Race(self, question, slot, run).decide() for slot in slots])

    def note_wait(self, seconds: float) -> None:
        """A request gave its first sign of life."""
        self._waits.append(seconds)

    def __repr__(self) -> str:
        return f"Hedged({self.model!r})"


class _Racer:
    """One of the two requests, with accounts and a slot of its own."""

    def __init__(self, race: _Race) -> None:
        self._race = race
        self.ledger = Ledger(race.run.ledger)
        run = replace(race.run, ledger=self.ledger)
        self.slot = PartialCandidate(race.slot.index, run, quiet=True, on_end=lambda _: race.note_end(self))
        self.slot.on_write = self._pass_on
        self.task = asyncio.create_task(fill(race.hedged.model, race.question, [self.slot], run))

    def _pass_on(self, text: str, reasoning: bool, logprobs: Sequence[TokenLogprob]) -> None:
        if self._race.lead is None:
            self._race.let_win(self)
        if self._race.lead is self:
            self._race.slot.write(text, reasoning=reasoning, logprobs=logprobs)


class _Race:
    """One sample, asked for once or twice."""

    def __init__(self, hedged: Hedged, question: Question, slot: PartialCandidate, run: RunContext) -> None:
        self.hedged, self.question, self.slot, self.run = hedged, question, slot, run
        self.runners: list[_Racer] = []
        self.lead: _Racer | None = None
        """The one that decides."""
        self._begun = time.monotonic()
        self._decided, self._ended = asyncio.Event(), asyncio.Event()

    async def decide(self) -> None:
        """Ends the slot as the one that has won, with what both have cost."""
        self.hedged.budget.note_request()
        try:
            self.runners.append(_Racer(self))
            await self._wait_for_sign()
            await self._ended.wait()
        except asyncio.CancelledError:
            await self._stop()
            self.slot.leave_as(self._whole(self._best()))
            raise
        await self._stop()
        self.slot.adopt(self._whole(self._best()))

    def let_win(self, runner: _Racer) -> None:
        """This one has said something first; the other one is of no use any more."""
        self.hedged.note_wait(time.monotonic() - self._begun)
        self.lead = runner
        for other in self.runners:
            if other is not runner:
                other.task.cancel()
        self._decided.set()

    def note_end(self, runner: _Racer) -> None:
        """A failure does not decide while the other request runs or has been good."""
        candidate = runner.slot.result
        assert candidate is not None
        others = [other.slot.result for other in self.runners if other is not runner]
        waits = candidate.error is not None and any(other is None or other.ok for other in others)
        if self.lead is None and not waits and candidate.finish_reason != "cancelled":
            self.let_win(runner)
        if self.lead is runner:
            self._ended.set()

    async def _wait_for_sign(self) -> None:
        """Until one has won, or so long that a second one starts."""
        patience = self.hedged.patience
        if patience is None:
            return
        try:
            async with asyncio.timeout_at(self._begun + patience):
                await self._decided.wait()
        except TimeoutError:
            if self.hedged.budget.take():
                self.hedged.hedges += 1
                self.runners.append(_Racer(self))

    async def _stop(self) -> None:
        """Ends what runs, so that it is known what it has cost."""
        tasks = [runner.task for runner in self.runners if not runner.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
        for runner in self.runners:
            runner.slot.cancel()

    def _best(self) -> _Racer:
        """The one that decided, else one that is good, else the first."""

        def rank(runner: _Racer) -> tuple[bool, bool]:
            return runner is not self.lead, runner.slot.result is None or not runner.slot.result.ok

        return min(self.runners, key=rank)

    def _whole(self, best: _Racer) -> Candidate:
        """Its candidate with what the other request has cost."""
        candidate = best.slot.result
        assert candidate is not None
        others = [runner.ledger.usage for runner in self.runners if runner is not best]
        return candidate.model_copy(update={"usage": Usage.total([candidate.usage, *others])}) if others else candidate
