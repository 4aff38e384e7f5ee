"""What a scripted upstream does with one request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any


def error_body(code: int, message: str, param: str | None = None) -> bytes:
    """An error as OpenAI-compatible servers send it."""
    kind = "invalid_request_error" if code < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def pieces_of(text: str) -> list[str]:
    """A text as a stream sends it, a word at a time; joined, they are the text."""
    return re.findall(r"\S+\s*|\s+", text)


class Step:
    """What happens to one request: a `Reply`, a `Raw` or a `Fault`."""


@dataclass(frozen=True)
class Reply(Step):
    """A good answer. Each piece of it counts as one token."""

    text: str | Sequence[str] = ""
    """Of the choices in turn, around again where `n` is larger; one text serves all."""
    _: KW_ONLY
    pieces: Sequence[str] | None = None
    """How every text is cut when streamed; at words if not given."""
    reasoning: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = None
    """Prompt and generated tokens of the request; words are counted if not given."""
    delay: float = 0.0
    """Seconds before anything is sent."""
    gap: float = 0.0
    """Seconds before each further chunk."""
    hold: asyncio.Event | None = None
    """Where set, a stream waits for it after its first piece."""

    def text_of(self, choice: int) -> str:
        if self.pieces is not None:
            return "".join(self.pieces)
        return self.text if isinstance(self.text, str) else self.text[choice % len(self.text)]

    def pieces_of(self, choice: int) -> list[str]:
        return list(self.pieces) if self.pieces is not None else pieces_of(self.text_of(choice))


@dataclass(frozen=True)
class Raw(Step):
    """Bytes sent as they are, each of them a chunk of its own."""

    chunks: Sequence[bytes]
    _: KW_ONLY
    content_type: str = "text/event-stream"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fault(Step):
    """A reply that goes wrong; made by the methods below."""

    reply: Reply = Reply("one two three four")
    """What is sent up to the fault."""
    after: int | None = None
    """Chunks of text sent before it; None: not even the status."""
    then: str = "close"
    """`close`, `reset`, `hang` or `error`."""

    @staticmethod
    def status(
        code: int,
        message: str = "scripted failure",
        *,
        retry_after: float | str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Raw:
        """An error as OpenAI-compatible servers send it."""
        given = {**(headers or {}), **({} if retry_after is None else {"Retry-After": str(retry_after)})}
        return Raw(
            [error_body(code, message) if body is None else body],
            content_type="application/json",
            status=code,
            headers=given,
        )

    @staticmethod
    def bad_body(body: bytes, *, content_type: str = "application/json") -> Raw:
        """A success by its status, whose body is anything."""
        return Raw([body], content_type=content_type)

    @staticmethod
    def hang(*, after_chunks: int | None = None, reply: Reply | None = None) -> Fault:
        """Sends nothing (further) and keeps the connection open."""
        return Fault(then="hang", after=after_chunks, reply=reply or Fault.reply)

    @staticmethod
    def close() -> Fault:
        """Closes the connection without a reply."""
        return Fault()

    @staticmethod
    def close_midway(*, after_chunks: int = 1, reply: Reply | None = None) -> Fault:
        """Closes the connection after some chunks, or in the middle of a plain reply."""
        return Fault(after=after_chunks, reply=reply or Fault.reply)

    @staticmethod
    def reset_midway(*, after_chunks: int = 1, reply: Reply | None = None) -> Fault:
        """Resets the connection (RST) after some chunks, or before a plain reply."""
        return Fault(then="reset", after=after_chunks, reply=reply or Fault.reply)

    @staticmethod
    def error_midway(*, after_chunks: int = 1, reply: Reply | None = None) -> Fault:
        """An error event in a stream that began well, as vLLM sends it; a plain reply is a 500."""
        return Fault(then="error", after=after_chunks, reply=reply or Fault.reply)
