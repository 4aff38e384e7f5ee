"""What can go wrong with a server, as errors of ours that hold no secret."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from quorate.orchestrator.errors import (
    BadReply,
    CircuitOpen,
    PromptTooLong,
    RateLimited,
    Rejected,
    TimedOut,
    UpstreamError,
)

from .context import is_too_long

__all__ = ["ErrorFactory", "repair_surrogates", "retry_after"]

LONGEST = 400
"""Characters of a server's own words that go into a message."""
TOO_LONG = (400, 413, 422)
"""Statuses under which servers refuse a prompt that is too long."""
SHORTEST_SECRET = 4
"""Shorter keys are placeholders; hiding them would garble the message."""


def repair_surrogates(text: str) -> str:
    """Text that UTF-8 can hold: halves of surrogate pairs are joined, lone ones replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class ErrorFactory:
    """Makes the errors of one server.

    Args:
        where: how messages call the server.
        secrets: what must never be read in a message, even if the server sends it back.
    """

    def __init__(self, where: str, secrets: Iterable[str]) -> None:
        self.where = where
        self._given_secrets = tuple(secrets)

    def secrets(self) -> Iterable[str]:
        """What must not be read in a message as of now."""
        return self._given_secrets

    def bad_reply(self, text: str) -> BadReply:
        return BadReply(self.line(text))

    def timed_out(self, text: str) -> TimedOut:
        return TimedOut(self.line(text))

    def circuit_open(self, reason: str, wait: float) -> CircuitOpen:
        """It is left alone; `reason` is the message of an error made here."""
        last = reason.removeprefix(f"{self.where}: ")
        return CircuitOpen(
            self.line(f"left alone for {wait:.1f} s more; the last of its failures: {last}"), retry_after=wait
        )

    def from_refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A reply whose status is not a success."""
        return self.status(status, _words(body), retry_after(headers))

    def from_report(self, error: object) -> UpstreamError:
        """An error that the server sent in place of an answer, under a status of 200."""
        code = error.get("code") if isinstance(error, Mapping) else None
        code = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 502
        return self.status(code if 400 <= code <= 599 else 502, _message(error))

    def status(self, code: int, words: str, wait: float | None = None) -> UpstreamError:
        text = self.line(f"HTTP {code}" + (f": {words}" if words else ""))
        if code == 429:
            return RateLimited(text, retry_after=wait)
        if code in (408, 504):
            return TimedOut(text, status=code, retry_after=wait)
        if code in TOO_LONG and is_too_long(words):
            return PromptTooLong(text, status=code, retry_after=wait)
        if 400 <= code < 500:
            return Rejected(text, status=code, retry_after=wait)
        return BadReply(text, status=code if code >= 500 else None, retry_after=wait)

    def line(self, text: str) -> str:
        """One line without secrets; they go before the text is cut, lest half of one stays."""
        for secret in sorted(self.secrets(), key=len, reverse=True):
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "***")
        text = " ".join(text.split())
        return f"{self.where}: {text if len(text) <= LONGEST else text[:LONGEST] + '...'}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, given as seconds, milliseconds or a date."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None or (seconds := _number(value)) is not None:
        return seconds if value is not None else None
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _words(body: bytes) -> str:
    """The message in an error's body, whichever way the server wraps it."""
    try:
        return _message(json.loads(body))
    except (ValueError, RecursionError):
        return repair_surrogates(body.decode(errors="replace"))


def _message(value: Any) -> str:
    """`{"error": {"message", "param"}}`, `{"error": text}`, `{"detail": ...}`, `{"message": text}` or anything."""
    if isinstance(value, Mapping):
        for name in ("error", "message", "detail"):
            if value.get(name):
                param = value.get("param") if name == "message" else None
                text = _message(value[name])
                named = isinstance(param, str) and param not in text
                return f"{text} (param: {param})" if named else repair_surrogates(text)
    return repair_surrogates(value if isinstance(value, str) else json.dumps(value))
