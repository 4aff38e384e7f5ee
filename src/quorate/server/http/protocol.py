"""uvicorn's protocol, with bounds on what somebody may send before we know who it is, and a system call less.

uvicorn waits for ever for a request's head, of any length. Here a connection has a time for each head and a size;
what a request has sent of its body when it has its reply is read and thrown away for a moment, so that the client
gets to read why, and then the connection is closed. uvicorn writes the head of a reply and its body one after the
other, and each event of a stream by itself; every write of a socket is a system call, which costs as much as a good
part of our own work on a request: what one turn of the event loop writes goes out in one piece.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .connection_limits import ConnectionLimits
from .errors import encode_json

__all__ = ["HEAD_BYTES", "HEAD_LINES", "GuardedProtocol"]

HEAD_BYTES = 32 * 2**10
"""Of a request's line and headers together; h11, which uvicorn speaks where httptools is missing, has its own."""
HEAD_LINES = 100
"""Headers of one request."""
HEAD_SECONDS = 10.0
"""In which a head has to be there, from when the connection is made or its first byte has come."""
LINGERING = 2.0
"""Seconds that the client has to read a reply that came before all was read that it sent."""
LAST_CALL = 0.5
"""Seconds in which requests may still come that were on their way when the server began to end."""
PIPELINED = 16
"""Requests that one connection may send ahead of their replies."""


class _JoiningTransport:
    """A transport that sends at the end of a turn what was written in it."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """See `asyncio.WriteTransport`."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class _RequestRefused(Exception):
    """What the parser is stopped with."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's fast protocol, within bounds.

    Args:
        limits: of the connections of the server.
        settings: uvicorn's.
    """

    _address = ""
    _patience: asyncio.TimerHandle | None = None
    """Closes the connection."""
    _in_head = True
    _ending = _refused = False
    _pending = 0
    """Bytes that have come since the parser last made something of what came."""
    _refusal = (400, "this is no HTTP request")

    def __init__(self, limits: ConnectionLimits, **settings: Any) -> None:
        super().__init__(**settings)
        self._limits = limits

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._address = self.client[0] if self.client else ""
        if (reason := self._limits.admit(self._address)) is not None:
            self._refuse(503, reason)
            self.transport.close()
        else:
            self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._limits.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._pending += len(data)
        super().data_received(data)
        if self._pending > HEAD_BYTES and not self._refused:
            self._refuse(431, f"the head of a request may have {HEAD_BYTES} bytes")
        elif self._in_head and self._pending and self._patience is None:
            self._wait(HEAD_SECONDS)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._pending = False, 0
        self._wait(None)
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > HEAD_LINES:
            self._refusal = 431, f"the head of a request may have {HEAD_BYTES} bytes and {HEAD_LINES} lines"
            raise _RequestRefused
        if len(self.pipeline) >= PIPELINED:
            self._refusal = 429, f"{PIPELINED} requests on one connection wait for their replies already"
            raise _RequestRefused
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        self._pending = 0

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._pending = True, 0
        super().on_message_complete()
        self.cycle.more_body = False
        self._wait(HEAD_SECONDS if self.cycle.response_complete else None)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._wait(LINGERING)

    def shutdown(self) -> None:
        """The server ends; a request that is on its way to it gets its answer all the same."""
        self._ending = True
        if self.cycle is None or self.cycle.response_complete:
            self._wait(LAST_CALL)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's words
        self._refuse(*self._refusal)

    def _wait(self, seconds: float | None) -> None:
        """Closes the connection after so many seconds; None: does not."""
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self._in_head and self._pending and not self._refused:
            self._refuse(408, f"the head of a request has {HEAD_SECONDS:g} s")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """An answer, and the end; after a moment, since closing with something unread takes the answer back."""
        self._refused = True
        self.flow.pause_reading()
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "connection_refused"}
        body = encode_json({"error": error})
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode() + body)
        self._wait(LINGERING)
