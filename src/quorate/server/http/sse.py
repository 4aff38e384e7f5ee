"""Server-sent events: what is written goes out at once, with comments while it is quiet."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from starlette.types import Send

from .errors import encode_json

__all__ = ["DONE", "EventStream", "encode_event"]

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def encode_event(value: dict[str, Any], kind: str | None = None) -> bytes:
    """One event, of a kind where its API names them."""
    head = b"event: %s\n" % kind.encode() if kind else b""
    return b"%sdata: %s\n\n" % (head, encode_json(value))


class EventStream:
    """`async with`: the body of a streamed reply. Whoever has something to tell writes it, and never waits.

    A task of its own sends it: what was written meanwhile goes out in one piece. The reply begins with the first
    frame, so that an error before it can still be a status.

    Args:
        send: the request's.
        keep_alive: seconds of quiet after which a comment is sent.
    """

    def __init__(self, send: Send, *, keep_alive: float) -> None:
        self.started = False
        """Something was written, so the status is decided."""
        self._send = send
        self._keep_alive = keep_alive
        self._frames: list[bytes] = []
        self._wake = asyncio.Event()
        self._begun = self._ending = False

    def write(self, frame: bytes) -> None:
        """Sends a frame soon."""
        self.started = True
        self._frames.append(frame)
        self._wake.set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(self._keep_alive, self._beat)
        self._sender = asyncio.create_task(self._send_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if error is None:
            self._ending = True
            self._wake.set()
            await self._sender
        else:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send_all(self) -> None:
        ending = False
        while not ending:
            await self._wake.wait()
            self._wake.clear()
            ending = self._ending
            await self._flush(more=not ending)

    async def _flush(self, *, more: bool) -> None:
        frames, self._frames = self._frames, []
        self._last = self._loop.time()
        if not self._begun:
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await self._send({"type": "http.response.body", "body": b"".join(frames), "more_body": more})

    def _beat(self) -> None:
        """Writes a comment whenever nothing was sent for so long."""
        quiet = self._loop.time() - self._last
        if quiet >= self._keep_alive:
            self.write(KEEP_ALIVE)
            quiet = 0.0
        self._timer = self._loop.call_later(self._keep_alive - quiet, self._beat)
