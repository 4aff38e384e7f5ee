"""Structured logs: one line a request, JSON for machines or aligned text for people.

All modules log through the standard library, so that a program with the server inside keeps its own handlers;
`configure` is called by `quorate serve` alone. structlog renders: it gives us JSON and terminal output from
the same records, other libraries' included, in place of two formatters of our own.

Without `log_prompts` nothing is written that a client or a model said: of an error that is not ours only the
type and the place, of a request only names and numbers. Keys are masked in every line on top of that.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from quorate.orchestrator.types import Answer

from .observation import observing
from .settings import ObserveSettings

if TYPE_CHECKING:
    from .observation import Observation

__all__ = ["configure", "for_humans", "log_request", "mask", "secrets_of"]

log = logging.getLogger("quorate.requests")

QUIET = ("/health", "/ready", "/metrics")
"""Routes that machines ask all the time: logged at debug level."""
SECRET_NAMES = ("KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD")
SHORTEST_SECRET = 8
"""Shorter values are placeholders; masking them would garble the log."""

Line = MutableMapping[str, Any]


def log_request(seen: Observation, *, texts: bool) -> None:
    """The line of one request.

    Args:
        texts: whether it may hold what was asked and answered.
    """
    level = logging.DEBUG if seen.route in QUIET else logging.INFO
    if log.isEnabledFor(level):
        message = f"{seen.method} {seen.route or 'unknown route'} {seen.status}"
        log.log(level, message, extra={**_fields(seen), **(_texts(seen) if texts else {})})


def _fields(seen: Observation) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "request": seen.id,
        "route": seen.route,
        "status": seen.status,
        "seconds": round(seen.seconds, 4),
        "first_byte": None if seen.first_byte is None else round(seen.first_byte, 4),
        "key": seen.key or None,
        "queued": None if seen.queued is None else round(seen.queued, 4),
        "error": seen.error.code if seen.error is not None else None,
    }
    if seen.asking is not None:
        usage = seen.usage
        fields |= {
            "model": seen.asking.model.name,
            "pipeline": seen.pipeline,
            "stream": seen.streamed,
            "choices": seen.asking.choices,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "upstream_requests": usage.requests,
            "estimated": usage.estimated or None,
            "cost": usage.cost,
            "stopped": seen.stopped or None,
            "degraded": seen.degraded or None,
        }
    return {name: value for name, value in fields.items() if value is not None}


def _texts(seen: Observation) -> dict[str, Any]:
    answers: list[Answer] = seen.answers
    return {
        **({"question": seen.asking.question(0).text} if seen.asking is not None else {}),
        **({"answer": answers[0].text} if answers else {}),
        **({"detail": str(seen.error)} if seen.error is not None else {}),
    }


def configure(settings: ObserveSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Sends this process's logs to a stream, standard error if not given.

    Args:
        settings: format, level and what may be told.
        secrets: never written, whoever logs them.
    """
    stream = stream or sys.stderr
    human = for_humans(settings, stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(human, stream.isatty(), settings.log_prompts, [*secrets, *secrets_of(os.environ)]))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Of other libraries only what is wrong: some log every URL and header at lower levels.
    root.setLevel(logging.WARNING)
    logging.getLogger("quorate").setLevel(settings.log_level.upper())


def for_humans(settings: ObserveSettings, stream: TextIO) -> bool:
    """Whether people read this stream, as far as we know."""
    return settings.log_format == "human" or (settings.log_format == "auto" and stream.isatty())


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of environment variables that are called a key, a token or a password."""
    named = (value for name, value in environment.items() if name.upper().rpartition("_")[2] in SECRET_NAMES)
    return [part.strip() for value in named for part in value.split(",") if len(part.strip()) >= SHORTEST_SECRET]


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text


def _formatter(human: bool, colors: bool, texts: bool, secrets: list[str]) -> logging.Formatter:
    # The longest first, lest a part of one stays where another one is its beginning.
    secrets = sorted(set(secrets), key=len, reverse=True)
    if human:
        render: Any = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="time")
    else:
        render = structlog.processors.JSONRenderer(ensure_ascii=False)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="time")

    def error(_: Any, __: str, line: Line) -> Line:
        return _with_error(line, texts=texts)

    def masked(logger: Any, name: str, line: Line) -> str:
        return mask(str(render(logger, name, line)), secrets)

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, stamp, structlog.stdlib.ExtraAdder(), _named, error],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, masked],
    )


def _named(_: Any, __: str, line: Line) -> Line:
    """Adds which request a line belongs to, and who wrote it where that was not us."""
    seen = observing()
    if seen is not None:
        line.setdefault("request", seen.id)
    name = line["_record"].name
    if not name.startswith("quorate"):
        # Other libraries put reprs of what they hold into later lines, such as a task's exception.
        line["event"] = str(line["event"]).strip().partition("\n")[0]
        line["logger"] = name
    return line


def _with_error(line: Line, *, texts: bool) -> Line:
    """An exception as its type and the places it went through, with its words where texts are allowed."""
    info = line.pop("exc_info", None)
    if not info or info[1] is None:
        return line
    error: BaseException = info[1]
    line["exception"] = type(error).__name__ + (f": {error}" if texts else "")
    line["trace"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    return line
