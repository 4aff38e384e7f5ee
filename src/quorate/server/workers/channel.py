"""Calls between two of our processes over a socket that only they hold, many at a time, either way.

A frame is its length and a pickle: nobody but the two can write into the socket. What one turn of the event loop has
to say goes out in one piece, so that under load a call costs neither of them a system call.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import pickle
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, cast

from quorate.orchestrator.errors import QuorateError

__all__ = ["Channel", "ChannelClosed", "open_channel"]

log = logging.getLogger("quorate.server")

_HEAD = struct.Struct("<I")
_CALL, _TELL, _REPLY, _FAILURE = range(4)

Handlers = Mapping[str, Callable[..., Any]]


class ChannelClosed(Exception):
    """The other process has ended."""


class Channel(asyncio.Protocol):
    """One end.

    Args:
        handlers: what the other end may call, by name; what gives an awaitable is answered once that is done.
        on_close: is called when the other process has ended.
    """

    def __init__(self, handlers: Handlers, on_close: Callable[[], object]) -> None:
        self._handlers, self._on_close = handlers, on_close
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Future[Any]] = set()
        self._received = bytearray()
        self._unsent: list[bytes] = []
        self.closed = False

    async def call(self, method: str, *values: Any) -> Any:
        """What the other end's handler gives.

        Raises:
            QuorateError: as the handler does.
            ChannelClosed: nobody is there.
        """
        if self.closed:
            raise ChannelClosed
        number, reply = next(self._numbers), self._loop.create_future()
        self._waiting[number] = reply
        self._send(_CALL, number, method, values)
        try:
            return await reply
        finally:
            self._waiting.pop(number, None)

    def tell(self, method: str, *values: Any) -> None:
        """Calls the other end's handler and wants no reply; nothing where nobody is there."""
        if not self.closed:
            self._send(_TELL, 0, method, values)

    def close(self) -> None:
        """Sends what is left, and nothing more."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += data
        start, end = 0, len(self._received)
        while end - start >= _HEAD.size:
            begin = start + _HEAD.size
            (size,) = _HEAD.unpack_from(self._received, start)
            if end - begin < size:
                break
            start = begin + size
            self._take(*pickle.loads(self._received[begin:start]))
        del self._received[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """See `asyncio.Protocol`."""
        self.closed = True
        for reply in self._waiting.values():
            if not reply.done():
                reply.set_exception(ChannelClosed())
        self._on_close()

    def _send(self, *frame: Any) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        data = pickle.dumps(frame, pickle.HIGHEST_PROTOCOL)
        self._unsent += (_HEAD.pack(len(data)), data)

    def _flush(self) -> None:
        if self._unsent and self._transport is not None:
            self._transport.write(b"".join(self._unsent))
            self._unsent.clear()

    def _take(self, kind: int, number: int, method: Any, values: Any) -> None:
        if kind in (_REPLY, _FAILURE):
            reply = self._waiting.get(number)
            if reply is not None and not reply.done():
                reply.set_result(method) if kind == _REPLY else reply.set_exception(method)
            return
        try:
            given = self._handlers[method](*values)
        except Exception as error:
            self._fail(number, method, error)
            return
        if not asyncio.isfuture(given) and not asyncio.iscoroutine(given):
            self._answer(number, given)
            return
        task = asyncio.ensure_future(given)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(number, method, done))

    def _finish(self, number: int, method: str, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            self._answer(number, task.result()) if error is None else self._fail(number, method, error)

    def _answer(self, number: int, given: Any) -> None:
        if number and not self.closed:
            self._send(_REPLY, number, given, None)

    def _fail(self, number: int, method: str, error: BaseException) -> None:
        if not isinstance(error, QuorateError):
            log.error("%s failed between processes", method, exc_info=error)
            error = QuorateError(type(error).__name__)
        if number and not self.closed:
            self._send(_FAILURE, number, error, None)


async def open_channel(
    connection: socket.socket, handlers: Handlers, on_close: Callable[[], object] = lambda: None
) -> Channel:
    """This process's end of a connected pair of sockets."""
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_unix_connection(lambda: Channel(handlers, on_close), sock=connection)
    return channel
