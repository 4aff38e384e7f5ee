"""One server over HTTP: its connections, how many requests at once, how fast, and when to try again.

aiohttp alone; docs/http-clients.md has the measurements behind that choice.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from itertools import count
from typing import Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from asyncio_throttle import Throttler
from yarl import URL

from quorate.orchestrator.errors import BadInput, CircuitOpen, Unreachable, UpstreamError

from .address import api_root, common_headers
from .breaker import Allowance, Breaker
from .connections import Connections, Lane
from .faults import Faults
from .settings import Breaking, Rate, Retries, Timeouts

__all__ = ["Http", "Request"]

LARGEST_REPLY = 64 * 2**20
"""Bytes after which a reply is cut off as broken."""
LARGEST_ERROR = 2**16
AGAIN = {408, 409, 429}

log = logging.getLogger("quorate.agents")


class Request(Protocol):
    """What is sent; told how it goes, so that it can count its tries and adapt to refusals."""

    def content(self) -> bytes | None:
        """The body for the next try."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Headers of the next try, beside those of all requests."""
        ...

    def sent(self) -> None:
        """A try begins."""
        ...

    def refused(self, error: UpstreamError) -> bool:
        """A try failed before its reply began; True if another body may do better."""
        ...


class Http:
    """A server at one address, used from any number of event loops."""

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        concurrency: int,
        rate: Rate | None,
        timeouts: Timeouts,
        retries: Retries,
        breaking: Breaking | None = None,
    ) -> None:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise BadInput(f"concurrency must be a whole number of at least 1, not {concurrency!r}")
        self.root = api_root(base_url)
        self._urls: dict[str, URL] = {}
        self._headers = common_headers(api_key, headers)
        hidden = (*(headers or {}).values(), *self.root.query.values(), api_key or "")
        secrets = [part for value in hidden for part in (value, *value.split()[1:])]
        self.server = str(self.root.with_query(None))
        """The address without what may be secret in it."""
        self.faults = Faults(f"{name} at {self.server}", secrets)
        self.timeouts = timeouts
        self.breaker = Breaker(breaking or Breaking())
        self._retries = retries
        self._allowance = Allowance(retries.share, retries.reserve)
        self._held = 0.0
        """Until when the server has asked to be left alone, on the monotonic clock."""
        self._throttle = Throttler(rate.requests, rate.seconds) if rate else None
        self._connections = Connections(concurrency, tls=self.root.scheme == "https")
        # Whether one of its requests is a stream decides how long a server may be silent.
        self._limits = {
            live: aiohttp.ClientTimeout(sock_connect=timeouts.connect, sock_read=silence)
            for live, silence in ((True, timeouts.first_byte), (False, timeouts.total))
        }

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[float]:
        """A free place among the concurrent requests, when the rate allows; yields the time its request has until.

        How the request ends is told to the circuit breaker.

        Raises:
            CircuitOpen: there is no point in waiting.
        """
        if (wait := self.breaker.wait()) is not None:
            raise self._open_circuit(wait)
        lane = await self._connections.lane()
        async with lane.slots:
            await self._paced(lane)
            try:
                yield asyncio.get_running_loop().time() + self.timeouts.total
            except UpstreamError as error:
                if not isinstance(error, CircuitOpen):
                    self.breaker.ended(error)
                raise
            else:
                self.breaker.ended(None)

    async def open(
        self,
        method: str,
        path: str,
        request: Request,
        rng: Callable[[], random.Random],
        *,
        deadline: float,
        live: bool = False,
    ) -> aiohttp.ClientResponse:
        """The reply, its body still to come; tries again as the settings say. Release it.

        Args:
            rng: makes the generator of the pauses' jitter, where there are any.

        Raises:
            UpstreamError: no success.
        """
        last: UpstreamError | None = None
        self._allowance.asked()
        for tried in count(1):
            if (wait := self.breaker.admit()) is not None:
                raise last or self._open_circuit(wait)
            await self._left_alone(deadline)
            try:
                response = await self._sent(method, path, request, deadline, live)
                if 200 <= response.status <= 299:
                    self.breaker.alive()
                    return response
                again = response.status in AGAIN or response.status >= 500
                error = await self._refusal(response, deadline)
            except Unreachable as lost:
                error, again = lost, True
            last = error
            if not request.refused(error):
                self._hold(error)
                pause = self._retries.pause(error, tried, rng()) if again else None
                if pause is None or asyncio.get_running_loop().time() + pause >= deadline or not self._may(error):
                    raise error
                self.breaker.ended(error)
                # Without the server's words, which may quote the prompt.
                log.info("%s: %s (HTTP %d); trying again in %.1f s", self.faults.where, error.code, error.status, pause)
                await asyncio.sleep(pause)
            await self._paced(await self._connections.lane())
        raise AssertionError("endless")

    def _may(self, error: UpstreamError) -> bool:
        """Whether to try again: where the server does not ask for it, only as often as there is an allowance for."""
        return error.retry_after is not None or self._allowance.take()

    def _hold(self, error: UpstreamError) -> None:
        """Takes note of when the server wants to be asked again; who never tries again does not wait either."""
        if self._retries.attempts > 1 and error.retry_after is not None and error.retry_after <= self._retries.longest:
            self._held = max(self._held, time.monotonic() + error.retry_after)

    async def _left_alone(self, deadline: float) -> None:
        """Waits as long as the server has asked for.

        Raises:
            RateLimited: that is longer than this request has.
        """
        while (wait := self._held - time.monotonic()) > 0:
            if asyncio.get_running_loop().time() + wait >= deadline:
                raise self.faults.status(429, f"asked to be left alone for {wait:.1f} s more; not sent", wait)
            await asyncio.sleep(wait)

    def _open_circuit(self, wait: float) -> CircuitOpen:
        return self.faults.circuit_open(self.breaker.reason, wait)

    async def body(self, response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[bytes, None]:
        """The reply's body as it comes.

        Raises:
            TimedOut: the deadline passed or nothing came for too long.
            BadReply: the connection broke, or the body is larger than any answer.
        """
        size = 0
        while True:
            with self._reading():
                async with asyncio.timeout_at(deadline):
                    piece = await response.content.readany()
            if not piece:
                return
            size += len(piece)
            self._check(size)
            yield piece

    async def whole(self, response: aiohttp.ClientResponse, deadline: float) -> bytes:
        """The reply's body in one piece.

        Raises:
            UpstreamError: as for `body`.
        """
        reply = bytearray()
        with self._reading():
            async with asyncio.timeout_at(deadline):
                while piece := await response.content.readany():
                    reply += piece
                    self._check(len(reply))
        return bytes(reply)

    def _check(self, size: int) -> None:
        if size > LARGEST_REPLY:
            raise self.faults.bad_reply(f"the reply is larger than {LARGEST_REPLY} bytes")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:  # a TimeoutError is an OSError
            late = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)
            if late:
                raise self.faults.timed_out(f"no complete reply within {self.timeouts.total:g} s") from None
            raise self.faults.broken_off(error) from None

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        await self._connections.aclose()

    async def _sent(
        self, method: str, path: str, request: Request, deadline: float, live: bool
    ) -> aiohttp.ClientResponse:
        """One try."""
        lane = await self._connections.lane()
        headers = self._headers
        if more := request.headers():
            headers = headers.copy()
            headers.update(more)
        body = request.content()
        request.sent()
        try:
            async with asyncio.timeout_at(deadline):
                return await lane.session.request(
                    method,
                    self._url(path),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    timeout=self._limits[live],
                )
        except TimeoutError as error:
            if isinstance(error, aiohttp.ServerTimeoutError):
                raise self.faults.not_sent(error) from None
            raise self.faults.timed_out(f"no reply within {self.timeouts.total:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise self.faults.not_sent(error) from None

    async def _paced(self, lane: Lane) -> None:
        """Waits until the rate allows another request, one after the other: the throttle polls."""
        if self._throttle is not None:
            async with lane.turn:
                await self._throttle.acquire()

    def _url(self, path: str) -> URL:
        """Of a path below the API's root; one that begins with `/..` lies beside the version."""
        if path not in self._urls:
            root, rest = self.root.path, path
            if path.startswith("/../"):
                root, rest = root.rpartition("/")[0], path.removeprefix("/..")
            self._urls[path] = self.root.with_path(root + rest, keep_query=True)
        return self._urls[path]

    async def _refusal(self, response: aiohttp.ClientResponse, deadline: float) -> UpstreamError:
        """The error in a reply, which may itself be broken or endless."""
        words = b""
        try:
            async with aclosing(self.body(response, deadline)) as pieces:
                async for piece in pieces:
                    words += piece
                    if len(words) >= LARGEST_ERROR:
                        break
        except UpstreamError:
            words = words or b"(no reason given)"
        finally:
            response.release()
        return self.faults.refused(response, words[:LARGEST_ERROR])
