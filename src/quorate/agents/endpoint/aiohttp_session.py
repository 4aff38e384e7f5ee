"""HTTP through aiohttp: for proxies, and where httptools is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from urllib.request import getproxies
from weakref import WeakSet

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from quorate.orchestrator.errors import ConnectionDropped, Unreachable, UpstreamError

from ..settings import Timeouts
from .errors import ErrorFactory
from .request import HttpReply

__all__ = ["AiohttpSession"]


class AiohttpSession:
    """See `HttpSession`.

    Args:
        headers: of every request.
        tls: how the server is spoken to over TLS; None for plain HTTP.
        timeouts: how long to wait.
        errors: makes its errors.
        idle: seconds that an unused connection is kept.
    """

    def __init__(
        self,
        headers: CIMultiDict[str],
        *,
        tls: SSLContext | None,
        timeouts: Timeouts,
        errors: ErrorFactory,
        idle: float,
    ) -> None:
        self._headers, self._timeouts, self._errors = headers, timeouts, errors
        # The number of connections is left to the endpoint's limit.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=idle, ssl=tls or True)
        # Looking proxies up costs aiohttp two threads a request, so only where there are any.
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=bool(getproxies())
        )
        self._reading: WeakSet[aiohttp.ClientResponse] = WeakSet()

    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        deadline: float,
        silence: float,
    ) -> HttpReply:
        """See `HttpSession`."""
        every = self._headers
        if headers:
            every = every.copy()
            every.update(headers)
        left = max(deadline - asyncio.get_running_loop().time(), 1e-3)
        limits = aiohttp.ClientTimeout(total=left, sock_connect=self._timeouts.connect, sock_read=silence)
        try:
            response = await self._session.request(
                method, url, headers=every, data=content, allow_redirects=False, timeout=limits
            )
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise (self._errors.closed() if self._session.closed else self._not_sent(error)) from None
        self._reading.add(response)
        return _AiohttpReply(response, self._session, self._timeouts, self._errors)

    def _not_sent(self, error: Exception) -> UpstreamError:
        errors = self._errors
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Unreachable(errors.line("no connection in time"))
        if isinstance(error, aiohttp.ServerTimeoutError):
            return errors.timed_out("no reply in time")
        if isinstance(error, TimeoutError):
            return errors.timed_out(f"no reply within {self._timeouts.total:g} s")
        if isinstance(error, aiohttp.ClientConnectorError):
            return Unreachable(errors.line(f"no connection ({error.os_error.strerror or error.os_error})"))
        if isinstance(error, aiohttp.ClientConnectionError):
            return ConnectionDropped(errors.line("the connection was closed before a reply"))
        return errors.bad_reply(f"not an HTTP reply ({type(error).__name__})")

    async def close(self) -> None:
        """See `HttpSession`."""
        for response in self._reading:  # aiohttp itself would let whoever reads a body wait for ever
            if not response.content.is_eof():
                response.content.set_exception(aiohttp.ClientConnectionError())
        await self._session.close()


class _AiohttpReply(HttpReply):
    def __init__(
        self,
        response: aiohttp.ClientResponse,
        session: aiohttp.ClientSession,
        timeouts: Timeouts,
        errors: ErrorFactory,
    ) -> None:
        super().__init__(errors, response.status, response.headers)
        self._response, self._session = response, session
        self._timeouts = timeouts

    async def _receive(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise self._broken_off(error) from None

    def _broken_off(self, error: Exception) -> UpstreamError:
        if self._session.closed:
            return self._errors.closed()
        if isinstance(error, aiohttp.ServerTimeoutError):
            return self._errors.timed_out("the reply stopped coming")
        if isinstance(error, TimeoutError):
            return self._errors.timed_out(f"no complete reply within {self._timeouts.total:g} s")
        if isinstance(error, ContentEncodingError) or isinstance(error.__cause__, ContentEncodingError):
            return self._errors.bad_reply("the reply's compression is broken")
        return self._errors.bad_reply("the connection broke off in the middle of the reply")

    async def release(self) -> None:
        self._response.release()
