"""uvicorn's protocol, with a system call less: what one turn of the event loop writes goes out in one piece.

uvicorn writes the head of a reply and its body one after the other, and each event of a stream by itself; every
write of a socket is a system call, which costs as much as a good part of our own work on a request.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["find_protocol"]


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


def find_protocol() -> Any:
    """What uvicorn shall speak HTTP with: its fast protocol, writing less often; its own choice where it is missing."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:  # Windows, PyPy
        return "auto"

    class JoiningProtocol(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(_JoiningTransport(transport, self.loop))  # type: ignore[arg-type]

    return JoiningProtocol
