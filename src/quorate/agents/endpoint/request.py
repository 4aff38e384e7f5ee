"""What is sent to a server, and the reply whose body is still to come, whatever client brings them there."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from pydantic_core import to_json

from quorate.orchestrator.errors import BadInput, UpstreamError
from quorate.orchestrator.upstream import UpstreamCall

from .errors import ErrorFactory

__all__ = ["REFUSALS", "HttpReply", "UpstreamRequest", "encode_body"]

REFUSALS = {400, 405, 406, 412, 415, 417, 422, 501}
"""Statuses of requests that a server may bear in another form; it has done nothing for them."""
LARGEST_REPLY = 64 * 2**20
"""Bytes after which a reply is cut off as broken."""


class UpstreamRequest:
    """What is sent; hears how it goes, so that it can count its tries and adapt to refusals.

    Args:
        path: below the API's root; `/../` begins one that lies beside the API's version.
        watch: the call that it belongs to.
    """

    method = "POST"
    is_answer = False
    """It asks a model for answers, so that it counts for the limit of its run (`RunContext.requests`)."""

    def __init__(self, path: str, watch: UpstreamCall | None = None) -> None:
        self.path = path
        self.watch = watch
        self.tries = 0
        """Sent so far."""

    def body(self) -> Mapping[str, Any] | None:
        """The body of the next try, to be sent as JSON."""
        return None

    def subject(self) -> str:
        """A hash of what it says, whatever its seed and number of samples: those that say the same fail alike."""
        body = {name: value for name, value in (self.body() or {}).items() if name not in ("n", "seed")}
        return sha256(encode_body({"path": self.path, **body})).hexdigest()

    def headers(self) -> Mapping[str, str]:
        """Headers of the next try, beside those of all requests."""
        return {} if self.watch is None else self.watch.headers()

    def note_sent(self) -> None:
        """A try begins."""
        self.tries += 1
        if self.watch is not None:
            self.watch.sent()

    def note_refusal(self, error: UpstreamError) -> bool:
        """A try failed before its reply began; True if another body may do better."""
        if self.watch is not None:
            self.watch.failed(error.code, error.status)
        return False

    def note_reply(self) -> None:
        """A good reply begins."""
        if self.watch is not None:
            self.watch.answered()


class HttpReply(ABC):
    """A reply whose status is known and whose body is still to come. Release it."""

    def __init__(self, errors: ErrorFactory, status: int, headers: Mapping[str, str]) -> None:
        self._errors = errors
        self._size = 0
        self.status = status
        self.headers = headers
        self.on_body: Callable[[], None] | None = None
        """Is told once, when the body begins."""
        self.patient = False
        """Nobody needs the pieces of its body before it ends, so several may come as one."""

    @abstractmethod
    async def _receive(self) -> bytes:
        """The next bytes; none at the end."""

    @abstractmethod
    async def release(self) -> None:
        """Gives its connection back, or closes it where something is still to come."""

    def take_rest(self) -> bytes:
        """What has come and was not read, for who reads no more."""
        return b""

    async def next_piece(self) -> bytes:
        """The next bytes of the body; none at its end.

        Raises:
            TimedOut: the deadline passed or nothing came for too long.
            BadReply: the connection broke, or the body is larger than any answer.
        """
        piece = await self._receive()
        if self.on_body is not None:
            self.on_body()
            self.on_body = None
        self._size += len(piece)
        if self._size > LARGEST_REPLY:
            raise self._errors.bad_reply(f"the reply is larger than {LARGEST_REPLY} bytes")
        return piece

    async def read(self, most: float = math.inf) -> bytes:
        """The body, or its beginning where it is larger than `most` bytes.

        Raises:
            UpstreamError: as for `next_piece`.
        """
        pieces, size = [], 0
        while size < most and (piece := await self.next_piece()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)


def encode_body(body: Mapping[str, Any]) -> bytes:
    """The body as JSON.

    Raises:
        BadInput: it holds something that JSON cannot.
    """
    try:
        written = to_json(body)
        if b"NaN" not in written and b"Infinity" not in written:  # a text may hold them, a number must not
            return written
    except ValueError:
        pass  # what it cannot write, Python's own encoder can (halves of surrogate pairs), or says why not
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"the request cannot be written as JSON ({error}): look at sampling.extra, tools") from None
