"""How one server is asked: how many requests at once, how fast, when again, and when not at all.

What sends a request is left to subclasses: `http.Http` over aiohttp, `client.ClientTransport` over a client of the
user's own.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from asyncio_throttle import Throttler

from quorate.orchestrator.checks import check_value
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import (
    BadInput,
    CircuitOpen,
    ModelClosed,
    RateLimited,
    Rejected,
    Unreachable,
    UpstreamError,
)
from quorate.orchestrator.turns import Turns
from quorate.orchestrator.upstream import UpstreamCall

from ..settings import BreakerPolicy, Rate, RetryPolicy, Timeouts
from .breaker import EVERYBODY, Breaker, RetryBudget
from .errors import BUSY, ErrorFactory
from .framing import Malformed, describe_kind, parse_json
from .hold import Hold, find_hold
from .limit import Ticket
from .places import Places
from .request import REFUSALS, HttpReply, UpstreamRequest

__all__ = ["JsonExchange", "Place", "Transport"]

LARGEST_ERROR = 2**16
AGAIN = {408, 409, 429}
OVERLOADED = {429, 503, 504}
"""What a server with too much to do answers, or what becomes of it."""

SHORT = 1.0
"""Seconds of a pause in which a request keeps its place."""
NO_RUN = RunContext()
"""Of requests that belong to none, such as for a list of models."""

log = logging.getLogger("quorate.agents")


class Place:
    """`async with`: a place among the requests at once, when the rate allows.

    How its request ends is told to the circuit breaker and the limit. Waiting for it takes nothing of the request's
    time.
    """

    def __init__(self, transport: Transport, run: RunContext, samples: int) -> None:
        self.run = run
        self.deadline = 0.0
        """Until when its request has time, on the loop's clock."""
        self.held_back = ""
        """By what, in words; empty if by nothing."""
        self._transport, self._samples = transport, samples
        self._taken = self._probing = self._begun = False
        self._request: UpstreamRequest | None = None
        """The one that is under way."""
        self._ticket: Ticket | None = None
        """Its latency is not known yet."""

    async def __aenter__(self) -> Place:
        """Waits for it.

        Raises:
            CircuitOpen: there is no point in waiting.
        """
        transport = self._transport
        if (wait := transport.breaker.wait(self.run.caller)) is not None:
            raise transport.circuit_open(wait)
        self._limits = transport.limits()
        await self._acquire()
        self.deadline = asyncio.get_running_loop().time() + transport.timeouts.total
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_try(error)
        self._release()

    async def pause(self, seconds: float, *, counted: bool = True) -> None:
        """A pause in which others may have the place, unless it is so short that the server had better be asked less.

        Args:
            seconds: of the pause.
            counted: whether it takes of the request's time.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        if seconds > SHORT:
            self._release()
        await asyncio.sleep(seconds)
        back = loop.time() if counted else begun
        if self._taken:
            await self._transport.pace(self._limits)
        else:
            await self._acquire()
        self.deadline += loop.time() - back

    async def _acquire(self) -> None:
        run, limits = self.run, self._limits
        await limits.places.acquire(run.caller, weight=run.weight, samples=self._samples, priority=run.priority)
        self._taken = True
        try:
            await self._transport.pace(limits)
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._taken:
            self._taken = False
            self._limits.places.release(self.run.caller)

    def begin_try(self, request: UpstreamRequest) -> None:
        """From here on its latency counts."""
        self.end_try(None)  # one whose reply was an error under a good status: the server answers
        places = self._limits.places
        self._request, self._begun = request, False
        self._probing = self._transport.breaker.admit(self.run.caller)
        self._ticket, self._sent = places.limit.admit(places.taken), time.monotonic()
        self._cuts = places.limit.cuts

    def note_body(self, kind: tuple[str, bool]) -> None:
        """The body of a good reply begins."""
        self._begun = True
        if self._ticket is not None:
            self._ticket.note_reply(kind, time.monotonic() - self._sent)
            self._ticket = None
            if (refused := self._limits.places.limit.refused) and self._request is not None:
                refused.pop(self._culprit(self._request), None)
        if self._probing:
            self._transport.breaker.note_success()

    def end_try(self, error: BaseException | None) -> None:
        """A try came to its end, or to nothing."""
        request, breaker, run = self._request, self._transport.breaker, self.run
        if request is None:
            return
        self._request = None
        if self._ticket is not None:
            if isinstance(error, UpstreamError) and error.status in OVERLOADED:
                self._ticket.note_refusal(self._limits.places.taken, self._culprit(request))
            else:
                self._ticket.drop()
            self._ticket = None
        elif isinstance(error, UpstreamError) and error.status in BUSY and self._cuts == self._limits.places.limit.cuts:
            self._limits.places.limit.refuse(self._limits.places.taken, self._culprit(request))  # under a good status
        if error is None or isinstance(error, Rejected) or (self._begun and not isinstance(error, UpstreamError)):
            breaker.note_success()
        elif isinstance(error, UpstreamError) and not isinstance(error, RateLimited | ModelClosed):
            # What no request can be the cause of counts for everybody, and once a run.
            unmade = type(error) is Unreachable
            subject, caller = (run.started, EVERYBODY) if unmade else (request.subject(), run.caller)
            breaker.note_failure(str(error), run.started, subject, caller, probe=self._probing)
        elif self._probing:
            breaker.drop_probe()

    def _culprit(self, request: UpstreamRequest) -> str:
        """Whom a refusal tells of: the caller, or, where there is only one, the prompt."""
        return self.run.caller or request.subject()


class LoopLimits:
    """What bounds the requests of one event loop."""

    def __init__(self, ceiling: int | None) -> None:
        self.places = Places(ceiling)
        self.turn = asyncio.Lock()
        """Of who waits for the rate: one at a time, first come, first served."""
        self.replies = Turns()
        """In which whole replies are read, since many come at once."""


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
        check_value("rate", rate, Rate)
        check_value("timeouts", timeouts, Timeouts)
        check_value("retries", retries, RetryPolicy)
        check_value("breaker", breaker, BreakerPolicy)
        self.server = server
        self.errors = errors
        self.timeouts = timeouts or Timeouts()
        self.breaker = Breaker(breaker or BreakerPolicy())
        self._retries = retries or RetryPolicy()
        self._retry_budgets = defaultdict[str, RetryBudget](
            lambda: RetryBudget(self._retries.share, self._retries.reserve)
        )
        self._hold, self._server_hold = Hold(), find_hold(server)
        self._rate = rate
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the connections to {self.server} cannot be pickled: make the model in the process that asks it"
        )

    @abstractmethod
    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""

    def take_share(self, index: int, count: int) -> bool:
        """Leaves this process its part of the concurrency and the rate, before the first request.

        Args:
            index: of the process, from 0.
            count: of all processes that ask the server.

        Returns:
            False where there are fewer places than processes, so that they have more together than was allowed.
        """
        if (rate := self._rate) is not None:
            self._throttle = Throttler(rate.requests, rate.seconds * count)
        if self._concurrency is None:
            return True
        whole, rest = divmod(self._concurrency, count)
        self._concurrency = max(1, whole + (index < rest))
        return whole > 0

    def place(self, run: RunContext | None = None, samples: int = 1) -> Place:
        """To be entered before a request is sent.

        Args:
            run: whose request it is, with what priority.
            samples: that it asks for.
        """
        return Place(self, run or NO_RUN, samples)

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
        caller = place.run.caller
        last: UpstreamError | None = None
        self._retry_budgets[caller].note_request()
        if self._hold.until or self._server_hold.until:
            await self._wait_held_back(place)
        while True:
            if (wait := self.breaker.wait(caller)) is not None:
                raise last or self.circuit_open(wait)
            limit = place.run.requests if request.is_answer else None
            if limit is not None and not limit.take():
                raise last or self.errors.limit_reached(limit.most)
            place.begin_try(request)
            try:
                reply = await self._send(request, place.deadline, live=live)
                if 200 <= reply.status <= 299:
                    request.note_reply()
                    reply.on_body = partial(place.note_body, (request.path, live))
                    return reply
                error = await self._refusal(reply)
            except Unreachable as lost:
                error = lost
            last = error
            if limit is not None and error.status in REFUSALS:
                limit.give_back()
            if request.note_refusal(error):
                place.end_try(error)
                await self.pace(self.limits())
            else:
                await self.wait_to_retry(error, place, request.tries, rng)

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
        if pause is None or asyncio.get_running_loop().time() + pause >= place.deadline:
            raise error
        # Where the server does not ask for it, only as often as the budget has it.
        if error.retry_after is None and not self._retry_budgets[place.run.caller].take():
            raise error
        place.end_try(error)
        # Without the server's words, which may quote the prompt.
        log.info("%s: %s (HTTP %d); trying again in %.1f s", self.errors.where, error.code, error.status, pause)
        await place.pause(pause)

    @property
    def attempts(self) -> int:
        """How often a request is sent at most."""
        return self._retries.attempts

    def circuit_open(self, wait: float) -> CircuitOpen:
        """What is raised where a request is not sent because others have failed."""
        return self.errors.circuit_open(self.breaker.reason, wait)

    def limits(self) -> LoopLimits:
        """Of the running event loop."""
        loop = asyncio.get_running_loop()
        limits = self._limits.get(loop)
        if limits is None:
            limits = self._limits[loop] = LoopLimits(self._concurrency)
        return limits

    def all_places(self) -> list[Places]:
        """Those of every event loop."""
        return [limits.places for limits in self._limits.values()]

    async def pace(self, limits: LoopLimits) -> None:
        """Waits until the rate allows another request, one after the other: the throttle polls."""
        if self._throttle is not None:
            async with limits.turn:
                await self._throttle.acquire()

    def _note_retry_after(self, error: UpstreamError) -> None:
        """Takes note of when the server wants to be asked again; who never tries again does not wait either."""
        if error.retry_after is not None and self._retries.attempts > 1:
            if error.status == 429:
                self._hold.note(error.retry_after, self._retries.hold, error.status)
            elif error.status >= 500:
                self._server_hold.note(error.retry_after, self._retries.hold, error.status)

    async def _wait_held_back(self, place: Place) -> None:
        """Waits, once, as long as the server has asked for.

        Raises:
            UpstreamError: that is longer than the request has.
        """
        hold = max(self._hold, self._server_hold, key=lambda each: each.left)
        if (wait := hold.left) <= 0:
            return
        left = place.run.seconds_left
        if wait >= min(self.timeouts.total, math.inf if left is None else left):
            raise self.errors.status(hold.status, f"held back for {wait:.1f} s more; not sent: {hold}", wait)
        place.held_back = f"{self.errors.where}: held back for {wait:.1f} s: {hold}"
        await place.pause(wait, counted=False)

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
        self._run = run
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
        async with self._transport.place(self._run) as place:
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
