"""How one server is asked: how many requests at once, how fast, when again, and when not at all.

What sends a request is left to subclasses: `http.Http` over aiohttp, `client.ClientTransport` over a client of the
user's own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from asyncio_throttle import Throttler

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, CircuitOpen, Unreachable, UpstreamError
from quorate.orchestrator.upstream import UpstreamCall

from .breaker import Breaker, RetryBudget
from .errors import ErrorFactory
from .framing import Malformed, describe_kind, parse_json
from .limit import Places, Ticket
from .request import HttpReply, UpstreamRequest
from .settings import BreakerPolicy, Rate, RetryPolicy, Timeouts

__all__ = ["JsonExchange", "Place", "Transport"]

LARGEST_ERROR = 2**16
AGAIN = {408, 409, 429}
OVERLOADED = {429, 503, 504}
"""What a server with too much to do answers, or what becomes of it."""

log = logging.getLogger("quorate.agents")


class Place:
    """`async with`: a place among the requests at once, when the rate allows.

    How its request ends is told to the circuit breaker. Waiting for it takes nothing of the request's time.
    """

    def __init__(self, transport: Transport, caller: str, priority: float) -> None:
        self._transport, self._caller, self._priority = transport, caller, priority
        self._ticket: Ticket | None = None
        self.deadline = 0.0
        """Until when its request has time, on the loop's clock."""

    async def __aenter__(self) -> Place:
        """Waits for it.

        Raises:
            CircuitOpen: there is no point in waiting.
        """
        transport = self._transport
        transport.check_circuit()
        limits = transport.limits()
        await limits.places.acquire(self._caller, self._priority)
        try:
            await transport.pace(limits)
        except BaseException:
            limits.places.release()
            raise
        self._limits = limits
        self.deadline = asyncio.get_running_loop().time() + transport.timeouts.total
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticket is not None:
            self.note_failure(error)
        self._limits.places.release()
        if error is None:
            self._transport.breaker.note_end(None)
        elif isinstance(error, UpstreamError) and not isinstance(error, CircuitOpen):
            self._transport.breaker.note_end(error)

    def note_sent(self) -> None:
        """A try begins: from here on its latency counts."""
        places = self._limits.places
        self._ticket, self._sent = places.limit.admit(places.taken), time.monotonic()

    def note_body(self, kind: tuple[str, bool]) -> None:
        """The body of a good reply begins."""
        if self._ticket is not None:
            self._ticket.note_reply(kind, time.monotonic() - self._sent)
            self._ticket = None

    def note_failure(self, error: BaseException | None) -> None:
        """A try came to nothing, or its reply to no body."""
        if self._ticket is not None:
            if isinstance(error, UpstreamError) and error.status in OVERLOADED:
                self._ticket.note_refusal(self._limits.places.taken)
            else:
                self._ticket.drop()
            self._ticket = None


class LoopLimits:
    """What bounds the requests of one event loop."""

    def __init__(self, ceiling: int | None) -> None:
        self.places = Places(ceiling)
        self.turn = asyncio.Lock()
        """Of who waits for the rate: one at a time, first come, first served."""


class Transport(ABC):
    """A server at one address, used from any number of event loops.

    Args:
        server: its address, without what may be secret in it.
        errors: makes its errors.
        concurrency: most requests at once, in each event loop; less where the server can do less, see `limit`.
        rate: how many may start in a time.
        timeouts: how long to wait.
        retries: when to try again.
        breaker: when to leave it alone.

    Raises:
        BadInput: the concurrency is no number above 0.
    """

    def __init__(
        self,
        server: str,
        errors: ErrorFactory,
        *,
        concurrency: int | None = None,
        rate: Rate | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
    ) -> None:
        if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
            raise BadInput(f"concurrency must be a whole number of at least 1, not {concurrency!r}")
        self.server = server
        self.errors = errors
        self.timeouts = timeouts or Timeouts()
        self.breaker = Breaker(breaker or BreakerPolicy())
        self._retries = retries or RetryPolicy()
        self._retry_budget = RetryBudget(self._retries.share, self._retries.reserve)
        self._held = 0.0
        """Until when the server has asked to be left alone, on the monotonic clock."""
        self._throttle = Throttler(rate.requests, rate.seconds) if rate else None
        self._concurrency = concurrency
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopLimits] = WeakKeyDictionary()

    @abstractmethod
    async def _send(self, request: UpstreamRequest, deadline: float, *, live: bool) -> HttpReply:
        """One try, told to the request once its body is ready.

        Raises:
            BadInput: the body cannot be written as JSON.
            UpstreamError: it came to nothing before a reply began.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""

    def place(self, caller: str = "", priority: float = 0.0) -> Place:
        """To be entered before a request is sent.

        Args:
            caller: whose request it is; those who wait are served in turn.
            priority: among the requests of one caller, the lower, the sooner.
        """
        return Place(self, caller, priority)

    async def open(
        self, request: UpstreamRequest, place: Place, *, rng: Callable[[], random.Random], live: bool = False
    ) -> HttpReply:
        """The reply, its body still to come; tries again as the settings say. Release it.

        Args:
            request: what is sent.
            place: that it has.
            rng: makes the generator of the pauses' jitter, where there are any.
            live: whether it is read piece by piece as it comes, so that silence counts.

        Raises:
            UpstreamError: no success.
        """
        last: UpstreamError | None = None
        self._retry_budget.note_request()
        while True:
            if (wait := self.breaker.admit()) is not None:
                raise last or self._circuit_open(wait)
            if self._held:
                await self._wait_retry_after(place.deadline)
            place.note_sent()
            try:
                reply = await self._send(request, place.deadline, live=live)
                if 200 <= reply.status <= 299:
                    self.breaker.note_reply()
                    request.note_reply()
                    reply.on_body = partial(place.note_body, (request.path, live))
                    return reply
                error = await self._refusal(reply)
            except Unreachable as lost:
                error = lost
            place.note_failure(error)
            last = error
            if not request.note_refusal(error):
                await self.wait_to_retry(error, place, request.tries, rng)
            await self.pace(self.limits())

    async def wait_to_retry(
        self, error: UpstreamError, place: Place, tried: int, rng: Callable[[], random.Random]
    ) -> None:
        """The pause before the same request is sent once more.

        Args:
            error: that it came to.
            place: that it has.
            tried: how often it has been sent.
            rng: see `open`.

        Raises:
            UpstreamError: the error, where there is no further try.
        """
        self._note_retry_after(error)
        again = error.status in AGAIN or error.status >= 500
        pause = self._retries.pause(error, tried, rng()) if again else None
        late = pause is not None and asyncio.get_running_loop().time() + pause >= place.deadline
        if pause is None or late or not self._may_retry(error):
            raise error
        self.breaker.note_end(error)
        # Without the server's words, which may quote the prompt.
        log.info("%s: %s (HTTP %d); trying again in %.1f s", self.errors.where, error.code, error.status, pause)
        await asyncio.sleep(pause)

    def check_circuit(self) -> None:
        """Raises CircuitOpen where there is no point in waiting for a place."""
        if (wait := self.breaker.wait()) is not None:
            raise self._circuit_open(wait)

    def limits(self) -> LoopLimits:
        """Of the running event loop."""
        loop = asyncio.get_running_loop()
        limits = self._limits.get(loop)
        if limits is None:
            limits = self._limits[loop] = LoopLimits(self._concurrency)
        return limits

    async def pace(self, limits: LoopLimits) -> None:
        """Waits until the rate allows another request, one after the other: the throttle polls."""
        if self._throttle is not None:
            async with limits.turn:
                await self._throttle.acquire()

    def _may_retry(self, error: UpstreamError) -> bool:
        """Whether to try again: where the server does not ask for it, only as often as the budget has it."""
        return error.retry_after is not None or self._retry_budget.take()

    def _note_retry_after(self, error: UpstreamError) -> None:
        """Takes note of when the server wants to be asked again; who never tries again does not wait either."""
        if self._retries.attempts > 1 and error.retry_after is not None and error.retry_after <= self._retries.longest:
            self._held = max(self._held, time.monotonic() + error.retry_after)

    async def _wait_retry_after(self, deadline: float) -> None:
        """Waits as long as the server has asked for.

        Raises:
            RateLimited: that is longer than this request has.
        """
        while (wait := self._held - time.monotonic()) > 0:
            if asyncio.get_running_loop().time() + wait >= deadline:
                raise self.errors.status(429, f"asked to be left alone for {wait:.1f} s more; not sent", wait)
            await asyncio.sleep(wait)

    def _circuit_open(self, wait: float) -> CircuitOpen:
        return self.errors.circuit_open(self.breaker.reason, wait)

    async def _refusal(self, reply: HttpReply) -> UpstreamError:
        """The error in a reply, which may itself be broken or endless."""
        try:
            words = await reply.read(LARGEST_ERROR)
        except UpstreamError:
            words = b"(no reason given)"
        finally:
            await reply.release()
        return self.errors.from_refusal(reply.status, reply.headers, words[:LARGEST_ERROR])


class JsonExchange(UpstreamRequest):
    """An object in JSON there, an object in JSON back: a POST, or a GET where there is no body."""

    def __init__(
        self,
        transport: Transport,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        watch: UpstreamCall | None = None,
        run: RunContext | None = None,
        rng: Callable[[], random.Random] | None = None,
    ) -> None:
        super().__init__(path, watch)
        self._transport = transport
        self._caller, self._priority = ("", 0.0) if run is None else (run.caller, run.priority)
        self._body = body
        self._rng = rng or (lambda: random.Random(path))
        self.method = "GET" if body is None else "POST"

    def body(self) -> Mapping[str, Any] | None:
        """See `UpstreamRequest`."""
        return self._body

    async def reply(self) -> dict[str, Any]:
        """The object in the reply.

        Raises:
            UpstreamError: the server failed or refused, or its reply is no object.
        """
        found = await self.value()
        if isinstance(found, dict):
            return found
        raise self._bad_reply(f"{describe_kind(found)} where an object belongs")

    async def value(self) -> Any:
        """Whatever is in the reply.

        Raises:
            UpstreamError: the server failed or refused, or its reply is no JSON.
        """
        async with self._transport.place(self._caller, self._priority) as place:
            reply = await self._transport.open(self, place, rng=self._rng)
            try:
                found = parse_json(await reply.read())
            except Malformed as error:
                raise self._bad_reply(str(error)) from None
            finally:
                await reply.release()
            if isinstance(found, dict) and found.get("error"):
                raise self._transport.errors.from_report(found)
            return found

    def _bad_reply(self, words: str) -> UpstreamError:
        return self._transport.errors.bad_reply(f"{self.path.removeprefix('/..')}: {words}")
