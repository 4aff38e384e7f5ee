"""A model behind an OpenAI-compatible chat server: vLLM, OpenAI, any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from quorate.orchestrator.checks import check_value
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, UpstreamError
from quorate.orchestrator.identity import Identity, Price
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Question, SamplingParams

from ..settings import BreakerPolicy, Rate, RetryPolicy, Timeouts
from .chat_call import ChatCall, ServedModel
from .completions_call import CompletionsCall
from .context import context_in_listing
from .dialect import Dialect, named_limit
from .framing import Malformed
from .http import Http
from .shapes import list_models
from .token_model import EndpointTokens
from .transport import JsonExchange
from .usage import Counts

__all__ = ["ChatAgent", "Endpoint", "discover"]

PATIENCE = 5.0
"""Seconds that a server has to say how long its context is, while a prompt waits."""
LISTING = 15.0
"""Seconds that a server has to list its models, tries again included: somebody waits for a first sign of life."""


class ChatAgent(Agent):
    """Base of models behind chat servers, however these are reached.

    Several samples travel in one request (`n`) where the server can do that, else in concurrent
    ones; what a server does not understand is found out by trying and remembered (`dialect`). The same seed gives
    the same samples before and after that: a plan in which samples were drawn is kept to.

    Args:
        served: the model and its server.
        sampling: settings where the question has none.
    """

    def __init__(self, served: ServedModel, sampling: SamplingParams | None) -> None:
        self.served = served
        self.name = served.name
        check_value("sampling", sampling, SamplingParams)
        self.sampling = sampling or SamplingParams()
        self._listed = False
        self._listing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @property
    def identity(self) -> Identity:
        """See `protocols.Model`."""
        return Identity(
            kind="endpoint",
            model=self.served.model,
            context=self.served.dialect.context,
            price=self.served.price,
            sampling=self.sampling,
            capabilities=frozenset({"samples", "tools", "images"}),
        )

    @property
    def max_requests(self) -> int:
        """As often as one is tried."""
        return self.served.transport.attempts

    @property
    def available(self) -> bool:
        """False while its circuit breaker is open."""
        return self.served.transport.breaker.state != "open"

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`. One request for several samples has one seed (`RunContext.request_seed`)."""
        settings = question.sampling.over(self.sampling)
        if settings is not question.sampling:
            question = question.model_copy(update={"sampling": settings})
        if run.seed is None and settings.seed is not None:
            run = run.replace(seed=settings.seed)
        for slot in slots:
            slot.start(self.served.model, self.name)
        await self._ask(question, slots, run)

    async def _ask(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """In as few requests as the server is known to need."""
        dialect = self.served.dialect
        most = dialect.most_n or len(slots)
        if len(slots) == 1:
            await self._ask_singly(question, slots, run)
        elif dialect.takes_n(greedy=_is_greedy(question)) is False:
            await self._ask_singly(question, slots, run, seeds=self._kept_seeds(slots, run))
        elif len(slots) > most:
            parts = [slots[start : start + most] for start in range(0, len(slots), most)]
            await gather([self._ask(question, part, run) for part in parts])
        else:
            await self._ask_together(question, slots, run)

    async def _ask_together(
        self,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        *,
        tries: int = 0,
        doubts_n: bool = True,
    ) -> None:
        """All in one request, and again what that leaves out; what is learnt of the server is kept."""
        dialect, greedy = self.served.dialect, _is_greedy(question)
        call = ChatCall(self.served, question, slots, run, tries=tries, doubts_n=doubts_n)
        await call.write_slots()
        rest, known = call.open_slots, dialect.takes_n(greedy=greedy)
        if call.was_muddled:
            dialect.note_muddle()
            seeds = dict(zip(slots, self._kept_seeds(slots, run), strict=True))
            # Their pieces have been told; they come once more only as a whole.
            await self._ask_singly(question, rest, run.replace(live=False), seeds=[seeds[slot] for slot in rest])
        elif call.refusal is not None:
            await (self._ask_fewer if doubts_n else self._ask_one_first)(call, question, slots, run)
        elif known is None and len(rest) == len(slots) - 1 and _count_good(slots):
            dialect.ignores_n = True
            dialect.note_n(False, greedy=True)
            dialect.note_n(False, greedy=False)
            await self._ask_singly(question, rest, run)
        else:
            if _count_good(slots) > 1:
                dialect.note_n(True, greedy=greedy)
            if rest:
                await self._ask(question, rest, run)

    async def _ask_fewer(
        self, refused: ChatCall, question: Question, slots: Sequence[PartialCandidate], run: RunContext
    ) -> None:
        """After a refusal that may be due to their number: as many as it names, or one."""
        dialect = self.served.dialect
        limit = named_limit(refused.words, len(slots))
        if limit is None:
            await self._ask_one_first(refused, question, slots, run, only_named=True)
            return
        head, rest = slots[:limit], slots[limit:]
        await self._ask_together(question, head, run, tries=refused.untaken)
        if dialect.takes_n(greedy=_is_greedy(question)):
            dialect.most_n = limit
        if not _fail_alike(head, rest):
            await self._ask(question, rest, run)

    async def _ask_one_first(
        self,
        refused: ChatCall,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        *,
        only_named: bool = False,
    ) -> None:
        """Shows by one sample whether their number was the reason; without that one the others are not asked for."""
        dialect, greedy = self.served.dialect, _is_greedy(question)
        one = ChatCall(self.served, question, slots[:1], run, tries=refused.untaken, only_named=only_named)
        await one.write_slots()
        if one.refusal is not None and one.has_suspects:
            await self._ask_together(question, slots, run, tries=one.untaken, doubts_n=False)
            return
        if one.refusal is not None:
            one.give_up()
        if not _fail_alike(slots[:1], slots[1:]):
            if dialect.takes_n(greedy=greedy) is None:
                dialect.note_n(False, greedy=greedy)
            await self._ask_singly(question, slots[1:], run)

    async def _ask_singly(
        self,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        *,
        tries: int = 0,
        seeds: Sequence[int | None] = (),
    ) -> None:
        """One request each; the first candidate answers for the tries before.

        Args:
            seeds: of the requests, where they are not those of their candidates.
        """
        if len(slots) > 1 or self.served.dialect.takes_n(greedy=_is_greedy(question)) is False:
            for slot in slots:
                slot.start(self.served.model, self.name, prompt_counted=True)
        calls = [
            ChatCall(self.served, question, [slot], run, tries=0 if place else tries, seed=seed)
            for place, (slot, seed) in enumerate(zip_longest(slots, seeds))
        ]
        await gather([call.write_slots() for call in calls])

    async def learn_context(self) -> None:
        """Asks the server's list of models, once, how long the context is; one that does not tell is left alone."""
        # All who ask at the same time wait for the one reply.
        async with self._listing.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._listed or self.served.dialect.context is not None:
                return
            self._listed = True
            with suppress(UpstreamError, TimeoutError, Malformed):
                async with asyncio.timeout(PATIENCE):
                    listing = await JsonExchange(self.served.transport, "/models").value()
                self.served.dialect.context = context_in_listing(list_models(listing), self.served.model)

    def _kept_seeds(self, slots: Sequence[PartialCandidate], run: RunContext) -> list[int | None]:
        """Seeds by which one request for all of these was answered, where a server has been asked so; else None."""
        dialect, base = self.served.dialect, run.request_seed([slot.index for slot in slots])
        if base is None or not (dialect.ignores_n or dialect.muddles_n):
            return [None] * len(slots)
        # One that ignores `n` gives the first sample; others (vLLM, llama.cpp) count on from the seed.
        return [base, *(base + place if dialect.muddles_n else None for place in range(1, len(slots)))]

    async def models(self) -> list[str]:
        """Names of the models that the server offers.

        Raises:
            UpstreamError: it cannot be asked, or does not answer as it should.
        """
        transport = self.served.transport
        try:
            return [entry["id"] for entry in list_models(await JsonExchange(transport, "/models").value())]
        except Malformed as error:
            raise transport.errors.bad_reply(f"/models is {error}") from None

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; the next question opens them again."""
        await self.served.transport.aclose()


class Endpoint(ChatAgent):
    """A model on a chat server.

    Usable from any number of event loops; each has connections of its own, which `aclose` closes
    for the running one (`asyncio.run` does so at its end by itself).

    Args:
        model: as the server names it.
        base_url: the server's address: with or without `/v1`, with a path of its own (`/inference`, Azure's
            `/openai/deployments/NAME?api-version=...`), or down to `/chat/completions`.
        api_key: sent as a bearer token; never shown in messages, logs or reprs.
        name: how answers call this agent; the model's name if not given.
        sampling: settings where the question has none.
        concurrency: most requests at once, in each event loop; without it, as many as the server is found to
            bear (`limit`). Further ones wait.
        rate: how many requests may start in a time; further ones wait.
        timeouts: how long to wait.
        retries: when to try again.
        breaker: when to leave the server alone for a while.
        price: makes usage carry its cost.
        headers: sent with every request.
        n_supported: whether the server answers several samples in one request; None finds out.
        tokenizer: folder or hub name of the model's tokenizer, for token-level ensembling; where the server says
            that the model lies (vLLM's `root`) if not given.

    Raises:
        BadInput: a setting is impossible.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key: str | None = None,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        concurrency: int | None = None,
        rate: Rate | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        price: Price | None = None,
        headers: Mapping[str, str] | None = None,
        n_supported: bool | None = None,
        tokenizer: str | Path | None = None,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise BadInput("Endpoint(model) is empty: give the model's name as its server lists it")
        self.http = Http(
            base_url,
            name=name or model,
            api_key=api_key,
            headers=headers,
            concurrency=concurrency,
            rate=rate,
            timeouts=timeouts,
            retries=retries,
            breaker=breaker,
        )
        super().__init__(ServedModel(self.http, model, name or model, price, Dialect(n=n_supported)), sampling)
        where = None if tokenizer is None else str(tokenizer)
        self._tokens = EndpointTokens(self.http, model, self.name, tokenizer=where, price=price)

    @property
    def identity(self) -> Identity:
        """See `protocols.Model`; the context is known once the server has told it (`learn_context`)."""
        identity = super().identity
        return identity.model_copy(
            update={
                "context": self._tokens.known_context or identity.context,
                "capabilities": identity.capabilities | {"completions", "tokens"},
            }
        )

    def complete(self, body: Mapping[str, Any], run: RunContext) -> AsyncGenerator[dict[str, Any], None]:
        """See `protocols.Completing`."""
        return CompletionsCall(self.served, self.sampling, body, run).replies()

    async def forward(self, path: str, body: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
        """See `protocols.Forwarding`."""
        served = self.served
        watch = served.watch(run)
        request = JsonExchange(
            self.http,
            path,
            {**body, "model": served.model},
            watch=watch,
            run=run,
            rng=partial(run.rng, f"retry:{self.name}:{path}"),
        )
        counts, outcome = Counts(0, 0), "ok"
        try:
            async with run.time_limit():
                reply = await request.reply()
            counts = Counts.of_prompt(reply)
            return reply
        except TimeoutError:
            outcome = "budget_exhausted"
            raise NoAnswer(f"{self.name}: out of time", status=504, code=outcome) from None
        except UpstreamError as error:
            outcome = error.code
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            usage = counts.to_usage(served.price, requests=request.tries)
            run.record(served.model, usage)
            watch.ended(outcome, usage)

    def token_model(self) -> EndpointTokens:
        """The same model asked token by token, see `tokens.TokenModel`; needs a vLLM-compatible server."""
        return self._tokens


def _is_greedy(question: Question) -> bool:
    return question.sampling.temperature == 0


def _fail_alike(first: Sequence[PartialCandidate], rest: Sequence[PartialCandidate]) -> bool:
    """Whether all of the first have failed; then the rest fails with them."""
    failed = [slot.result.error for slot in first if slot.result is not None and slot.result.error is not None]
    if not failed or len(failed) < len(first):
        return False
    for slot in rest:
        slot.fail(failed[0], finish_reason="error")
    return True


def _count_good(slots: Sequence[PartialCandidate]) -> int:
    return sum(slot.result is not None and slot.result.ok for slot in slots)


async def discover(base_url: str, api_key: str | None = None, **settings: Any) -> list[Endpoint]:
    """An endpoint for every model that a server offers, in its order.

    Args:
        base_url: with or without `/v1`.
        api_key: sent as a bearer token.
        settings: of all endpoints, as for `Endpoint`; without timeouts of its own the list has `LISTING` seconds.

    Raises:
        BadInput: the address or a setting is impossible.
        UpstreamError: the server cannot be asked.
    """
    patience = settings.get("timeouts") or Timeouts(total=LISTING)
    async with Endpoint("models", base_url=base_url, api_key=api_key, **{**settings, "timeouts": patience}) as server:
        names = await server.models()
    return [Endpoint(name, base_url=base_url, api_key=api_key, **settings) for name in names]
