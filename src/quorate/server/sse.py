"""Server-sent events: one frame a chunk, comments while it is quiet, an end to all work when the client leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import QuorateError

from .errors import envelope
from .observe.observation import observing
from .wire import ClientGone, request_id, while_connected

if TYPE_CHECKING:
    from .api import Exchange

__all__ = ["DONE", "EventStream", "frame"]

DONE = b"data: [DONE]\n\n"

log = logging.getLogger("quorate.server")


def frame(value: dict[str, Any], event: str | None = None) -> bytes:
    """One event; text that UTF-8 cannot hold is replaced."""
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return b"".join([f"event: {event}\n".encode() if event else b"", b"data: ", data, b"\n\n"])


class EventStream(StreamingResponse):
    """Sends an exchange's frames as they come.

    An error before the first frame is raised, so that it gets its HTTP status; a later one becomes the
    stream's last frame.
    """

    def __init__(self, exchange: Exchange, *, keep_alive: float) -> None:
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__((), headers=headers, media_type="text/event-stream")
        self._exchange = exchange
        self._keep_alive = keep_alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        frames = _Frames(self, send)
        try:
            await while_connected(receive, self._send(frames, request_id(scope)))
        except ClientGone:
            if not frames.started:
                raise

    async def _send(self, frames: _Frames, request: str) -> None:
        beat = asyncio.create_task(frames.beat(self._keep_alive))
        try:
            async with aclosing(self._exchange.frames()) as coming:
                async for each in coming:
                    await frames.send(each)
        except Exception as error:
            if not frames.started:
                raise
            if not isinstance(error, QuorateError):
                log.exception("request %s failed while it was streamed", request)
            if (seen := observing()) is not None:
                seen.failed(error)
            await frames.send(self._exchange.broken(envelope(error)))
        finally:
            beat.cancel()
        await frames.end()


class _Frames:
    """The response's body; begins the response with the first frame."""

    def __init__(self, response: StreamingResponse, send: Send) -> None:
        self._response = response
        self._send = send
        self.started = False
        self._last = asyncio.get_running_loop().time()

    async def send(self, frame: bytes) -> None:
        self._last = asyncio.get_running_loop().time()
        if not self.started:
            self.started = True
            response = self._response
            start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
            await self._send(start)
        await self._send({"type": "http.response.body", "body": frame, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def beat(self, seconds: float) -> None:
        """A comment whenever nothing was sent for so long."""
        loop = asyncio.get_running_loop()
        while True:
            quiet = loop.time() - self._last
            if quiet >= seconds:
                await self.send(b": keep-alive\n\n")
            else:
                await asyncio.sleep(seconds - quiet)
