"""HTTP/1.1 over asyncio's transports and httptools' parser: one request at a time on a connection that is kept.

A fifth of what aiohttp's client costs a request (docs/http-clients.md), because it does a fifth of it: no cookies,
redirects, proxies, middlewares, URLs and header maps made anew each time. `http.Http` takes aiohttp where one of
these is needed or httptools is missing.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from socket import SOCK_STREAM
from ssl import SSLContext
from typing import Any

import httptools
from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from quorate.orchestrator.errors import ConnectionDropped, Unreachable, UpstreamError

from ..settings import Timeouts
from .errors import ErrorFactory
from .request import HttpReply

__all__ = ["LeanSession"]

MOST_BUFFERED = 2**20
"""Bytes of a body that wait to be read; then the server is made to wait."""
GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
KNOWN = 10.0
"""Seconds that an address is taken from memory."""
SECOND_ADDRESS = 0.25
"""Seconds after which another address of the server is tried beside a silent one (RFC 8305)."""
TURNS = 10
"""Of the event loop, in which connections may close by themselves."""


class LeanSession:
    """The connections of one event loop to one server.

    Args:
        root: the server's address.
        headers: of every request.
        tls: how the server is spoken to over TLS; None for plain HTTP.
        timeouts: how long to wait.
        errors: makes its errors.
        idle: seconds that an unused connection is kept.
    """

    def __init__(
        self,
        root: URL,
        headers: Mapping[str, str],
        *,
        tls: SSLContext | None,
        timeouts: Timeouts,
        errors: ErrorFactory,
        idle: float,
    ) -> None:
        self.errors, self.timeouts = errors, timeouts
        self.loop = asyncio.get_running_loop()
        self._host, self._port, self._tls = root.host or "", root.port or 80, tls
        self._idle = idle
        self._free: deque[tuple[float, _Connection]] = deque()
        """With the time from which on each is idle, the longest idle first."""
        self._open: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        """Closes those that have been idle for too long."""
        self._looking_up = asyncio.Lock()
        self._known: Sequence[AddrInfoType] = ()
        self._known_until = -math.inf
        named = {name.lower() for name in headers}
        host = f"[{self._host}]" if ":" in self._host else self._host
        ours = {"Host": host if root.is_default_port() else f"{host}:{self._port}", "Accept": "*/*"}
        every = [*((n, v) for n, v in ours.items() if n.lower() not in named), *headers.items()]
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in every)
        self._heads: dict[tuple[str, URL], bytes] = {}

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
        """See `http.HttpSession`."""
        head = self._heads.get((method, url))
        if head is None:
            head = f"{method} {url.raw_path_qs} HTTP/1.1\r\n{self._headers}".encode("latin-1")
            self._heads[method, url] = head
        if headers:
            head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
        if content is not None:
            head += b"Content-Length: %d\r\n" % len(content)
        connection = self._take() or await self._connect(deadline)
        reply = _LeanReply(self, connection, deadline, silence)
        connection.send(b"%b\r\n%b" % (head, content or b""), reply)
        try:
            await reply.begun
        except BaseException:
            await reply.release()
            raise
        return reply

    def put(self, connection: _Connection) -> None:
        """Keeps it for the next request."""
        self._free.append((self.loop.time(), connection))
        if self._sweep is None:
            self._sweep = self.loop.call_later(self._idle, self._close_stale)

    def forget(self, connection: _Connection) -> None:
        """It is closed."""
        self._open.discard(connection)

    async def close(self) -> None:
        """Closes all connections; whoever waits for a reply is told."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._open):
            connection.close()
        self._free.clear()
        for _ in range(TURNS):
            if not self._open:
                return
            await asyncio.sleep(0)
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)

    def _take(self) -> _Connection | None:
        """The connection that was used last, since it is the likeliest to be open."""
        while self._free and self._free[-1][0] > self.loop.time() - self._idle:
            _, connection = self._free.pop()
            if not connection.is_closing:
                return connection
        return None

    def _close_stale(self) -> None:
        oldest = self.loop.time() - self._idle
        while self._free and (self._free[0][0] <= oldest or self._free[0][1].is_closing):
            self._free.popleft()[1].close()
        self._sweep = self.loop.call_at(self._free[0][0] + self._idle, self._close_stale) if self._free else None

    async def _connect(self, deadline: float) -> _Connection:
        until = min(self.loop.time() + self.timeouts.connect, deadline)
        try:
            async with asyncio.timeout_at(until):
                socket = await start_connection(
                    await self._addresses(), happy_eyeballs_delay=SECOND_ADDRESS, interleave=1, loop=self.loop
                )
                name = None if self._tls is None else self._host
                _, connection = await self.loop.create_connection(
                    lambda: _Connection(self), sock=socket, ssl=self._tls, server_hostname=name
                )
        except TimeoutError:
            raise Unreachable(self.errors.line("no connection in time")) from None
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that can be none
            reason = getattr(error, "strerror", None) or error
            raise Unreachable(self.errors.line(f"no connection ({reason})")) from None
        self._open.add(connection)
        return connection

    async def _addresses(self) -> Sequence[AddrInfoType]:
        """Of the server, looked up anew after a while."""
        async with self._looking_up:
            if self.loop.time() >= self._known_until:
                self._known = await self.loop.getaddrinfo(self._host, self._port, type=SOCK_STREAM)
                self._known_until = self.loop.time() + KNOWN
        return self._known


class _Connection(asyncio.Protocol):
    """One connection, as asyncio and the parser call it."""

    def __init__(self, session: LeanSession) -> None:
        self._session = session
        self._parser = httptools.HttpResponseParser(self)
        self._reply: _LeanReply | None = None
        self._transport: asyncio.Transport
        self._headers: dict[str, str] = {}

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def send(self, request: bytes, reply: _LeanReply) -> None:
        self._reply = reply
        self._transport.write(request)

    def close(self) -> None:
        reply, self._reply = self._reply, None
        self._transport.close()
        if reply is not None:
            reply.end_by_us()

    def abort(self) -> None:
        self._transport.abort()

    def free(self) -> None:
        """The reply has been read; the next request may come."""
        self._reply = None
        self._session.put(self)

    def pause(self) -> None:
        self._transport.pause_reading()

    def resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or reply.ended:  # nobody has asked for anything
            self._transport.close()
            return
        reply.last = self._session.loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reply.fail(reply.errors.bad_reply(f"not an HTTP reply ({type(error).__name__})"))

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - lost is lost
        self._session.forget(self)
        del self._parser  # which knows the connection, too
        if self._reply is not None:
            self._reply.end_of_connection()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._reply is not None and status >= 200:
            self._reply.begin(status, self._headers)

    def on_body(self, data: bytes) -> None:
        if self._reply is not None:
            self._reply.add(data)

    def on_message_complete(self) -> None:
        if self._reply is not None and self._parser.get_status_code() >= 200:
            self._reply.complete(keep=self._parser.should_keep_alive())


class _LeanReply(HttpReply):
    """One reply, as it comes."""

    def __init__(self, session: LeanSession, connection: _Connection, deadline: float, silence: float) -> None:
        super().__init__(session.errors, 0, {})
        self.errors = session.errors
        self.begun: asyncio.Future[None] = session.loop.create_future()
        self.last = session.loop.time()
        """When something came."""
        self._loop, self._total = session.loop, session.timeouts.total
        self._connection: _Connection | None = connection
        self._deadline, self._silence = deadline, silence
        self._timer = self._loop.call_at(min(deadline, self.last + silence), self._check_time)
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.ended = self._keep = False
        self._error: UpstreamError | None = None
        self._decoder: Any = None

    async def _receive(self) -> bytes:
        while True:
            if self._pieces:
                piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces.clear()
                self._buffered = 0
                if self._paused and self._connection is not None:
                    self._paused = False
                    self._connection.resume()
                if self._decoder is not None:
                    piece = self._decode(piece)
                if piece:
                    return piece
            elif self._error is not None:
                raise self._error
            elif self.ended:
                if self._decoder is not None and not self._decoder.eof:
                    raise self.errors.bad_reply("the reply's compression is broken")
                return b""
            else:
                self._waiter = self._loop.create_future()
                await self._waiter

    def take_rest(self) -> bytes:
        """See `HttpReply`."""
        piece = b"".join(self._pieces)
        self._pieces.clear()
        return piece if self._decoder is None else self._decode(piece)

    async def release(self) -> None:
        """See `HttpReply`."""
        self._timer.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            if self.ended and self._keep and not connection.is_closing:
                connection.free()
            else:
                connection.close()

    # What the connection calls.

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.status, self.headers = status, headers
        if headers.get("content-encoding", "identity").lower() in ("gzip", "x-gzip", "deflate"):
            self._decoder = zlib.decompressobj(GZIP_OR_ZLIB)
        if not self.begun.done():
            self.begun.set_result(None)

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._buffered += len(data)
        if self.on_body is not None:
            self.on_body()
            self.on_body = None
        if self._buffered > MOST_BUFFERED and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause()
        if not self.patient or self._paused or _may_be_the_last(data):
            self._wake()

    def complete(self, *, keep: bool) -> None:
        self.ended, self._keep = True, keep
        self._timer.cancel()
        self._wake()

    def end_of_connection(self) -> None:
        if self.ended:
            return
        if not self.begun.done():
            self.fail(ConnectionDropped(self.errors.line("the connection was closed before a reply")))
        elif self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.fail(self.errors.bad_reply("the connection broke off in the middle of the reply"))
        else:
            self.complete(keep=False)  # the end of the connection is that of the body

    def end_by_us(self) -> None:
        """Somebody closed the connections, and not the one who reads this."""
        if self._connection is not None and not self.ended:
            self.fail(self.errors.closed())

    def fail(self, error: UpstreamError) -> None:
        self._timer.cancel()
        self._error = error
        if not self.begun.done():
            self.begun.set_exception(error)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _check_time(self) -> None:
        now = self._loop.time()
        if self._paused:  # it is the reader who is slow
            self.last = now
        due = min(self._deadline, self.last + self._silence)
        if now < due:
            self._timer = self._loop.call_at(due, self._check_time)
        elif now >= self._deadline:
            what = "complete reply" if self.begun.done() else "reply"
            self.fail(self.errors.timed_out(f"no {what} within {self._total:g} s"))
        else:
            self.fail(self.errors.timed_out("the reply stopped coming" if self.begun.done() else "no reply in time"))

    def _decode(self, piece: bytes) -> bytes:
        try:
            return bytes(self._decoder.decompress(piece))
        except zlib.error:
            raise self.errors.bad_reply("the reply's compression is broken") from None


def _may_be_the_last(data: bytes) -> bool:
    """Whether a stream may stay open and silent after this: its last event, or an error, which holds no choices."""
    return b"[DONE]" in data or b'"error"' in data or data.count(b'"choices"') < max(1, data.count(b"data:"))
