"""What can go wrong with a server, as errors of ours that hold no secret."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any

from quorate.orchestrator.errors import (
    BadReply,
    CircuitOpen,
    ModelClosed,
    PromptTooLong,
    RateLimited,
    Rejected,
    RequestsSpent,
    TimedOut,
    UpstreamError,
)
from quorate.orchestrator.json_values import repair_surrogates

from .context import is_too_long

__all__ = ["ErrorFactory", "retry_after"]

LONGEST = 400
"""Characters of a server's own words that go into a message."""
TOO_LONG = (400, 413, 422)
"""Statuses under which servers refuse a prompt that is too long."""
SHORTEST_SECRET = 4
"""Shorter keys are placeholders; hiding them would garble the message."""
BUSY = (429, 503)
"""Statuses of a server that may be asked again later."""
DEEPEST, MOST_LEAVES = 6, 200
"""How far an error's body is looked through."""
_MESSAGES = ("error", "errors", "message", "Message", "detail", "error_message", "error_msg", "msg", "text")
"""Where servers put the words of an error, the most telling first."""
_CODES = {"code", "status", "status_code", "statusCode", "http_code", "error_code"}
_NAMES = ("code", "status", "error_code", "type", "error_type", "name", "reason", "status_msg")
"""Where servers put the name of an error, the most telling first."""
_STATUSES = {
    status: re.compile(words, re.IGNORECASE)
    for status, words in {
        429: r"rate.?limit|too.?many.?requests|throttl|quota|resource.?exhausted|capacity.?exceeded",
        503: r"overload|unavailable|over.?capacity|no.?capacity|server.?(is.?)?busy",
        504: r"time.?out|timed.?out|deadline",
        401: r"unauthenticated|unauthori[sz]ed|authentication|(invalid|incorrect).?api.?key",
        403: r"permission|forbidden|access.?denied",
        404: r"not.?found",
        400: r"invalid|validation|bad.?request|unsupported|context.?length|content.?(filter|policy)",
    }.items()
}
"""Names that OpenAI, Anthropic, Google, AWS, Mistral, Moonshot, DashScope, Groq and others give to errors."""
_AGAIN_IN = re.compile(r"(?:try again|retry) in (?:(\d+)m)?(\d+(?:\.\d+)?) ?(ms|s)", re.IGNORECASE)


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

    def closed(self) -> ModelClosed:
        return ModelClosed(self.line("the model was closed while it answered"))

    def circuit_open(self, reason: str, wait: float) -> CircuitOpen:
        """It is left alone; `reason` is the message of an error made here."""
        last = reason.removeprefix(f"{self.where}: ")
        return CircuitOpen(
            self.line(f"left alone for {wait:.1f} s more; the last of its failures: {last}"), retry_after=wait
        )

    def limit_reached(self, most: int) -> RequestsSpent:
        """It is not asked, since the run has asked as often as it may."""
        return RequestsSpent(self.line(f"not asked: the request has caused all of the {most} that it may"))

    def from_refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        """A reply whose status is not a success."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = repair_surrogates(body.decode(errors="replace"))
        wait = retry_after(headers)
        return self.status(status, _message(found), _read_wait(found) if wait is None and status in BUSY else wait)

    def from_report(self, report: Mapping[str, Any]) -> UpstreamError:
        """An error that the server sent in place of an answer, under a status of 200; its words give the status."""
        status = _read_status(report)
        return self.status(status, _message(report), _read_wait(report) if status in BUSY else None)

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


def _leaves(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What is in a JSON value and is no container, with its key."""
    if depth < DEEPEST and isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else ((key, each) for each in value):
            yield from _leaves(inner, name, depth + 1)
    elif not isinstance(value, dict | list):
        yield key, value


def _read_status(report: Mapping[str, Any]) -> int:
    """The HTTP status that an error in words amounts to."""
    leaves = list(islice(_leaves(report), MOST_LEAVES))
    for key, value in leaves:
        if key in _CODES and str(value).isdecimal():
            code = int(str(value)[:9])
            code = code // 100 if 40_000 <= code < 60_000 else code  # FastChat's 42901
            if 400 <= code <= 599:
                return code
    named = [str(value) for wanted in _NAMES for key, value in leaves if key == wanted and isinstance(value, str)]
    named += [name for name in report if name.endswith("Exception")]  # Bedrock's events
    for name in named:
        for status, words in _STATUSES.items():
            if words.search(name):
                return status
    said = _message(report)
    return next((status for status in BUSY if _STATUSES[status].search(said)), 502)


def _read_wait(report: Any) -> float | None:
    """Seconds that an error's body asks to wait: a field, Gemini's `retryDelay`, OpenAI's "try again in 1m2.5s"."""
    leaves = list(islice(_leaves(report), MOST_LEAVES))
    for key, value in leaves:
        name = re.sub("[^a-z]", "", key.lower())
        if name in ("retryafter", "retryafterseconds", "retrydelay", "retryafterms"):
            seconds = _number(str(value).removesuffix("s"))
            if seconds is not None:
                return seconds / 1000 if name == "retryafterms" else seconds
    texts = (value for _, value in leaves if isinstance(value, str))
    said = next((found for text in texts if (found := _AGAIN_IN.search(text[:1000]))), None)
    if said is None:
        return None
    minutes, number, unit = said.groups()
    return 60 * float(minutes or 0) + float(number) * (0.001 if unit == "ms" else 1)


def _message(value: Any) -> str:
    """`{"error": {"message", "param"}}`, `{"error": text}`, `{"detail": ...}`, `{"message": text}` or anything."""
    if isinstance(value, Mapping):
        for name in _MESSAGES:
            if value.get(name):
                param = value.get("param") if name == "message" else None
                text = _message(value[name])
                named = isinstance(param, str) and param not in text
                return f"{text} (param: {param})" if named else repair_surrogates(text)
    return repair_surrogates(value if isinstance(value, str) else json.dumps(value))
