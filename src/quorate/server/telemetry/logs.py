"""Structured logs: one line a request, JSON for machines or aligned text for people.

All modules log through the standard library, so that a program with the server inside keeps its own handlers;
`configure` is called by `quorate serve` alone. structlog renders lines for terminals.

Without `log_prompts` nothing is written that a client or a model said: of an error that is not ours only the
type and the place, of a request only names and numbers. Keys are masked in every line on top of that.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TextIO

from pydantic_core import to_json

from quorate.aggregators.markup import strip_controls
from quorate.config.server_settings import TelemetrySettings

from .record import RequestRecord, current_record

__all__ = ["configure", "find_secrets", "is_for_humans", "log_request", "mask", "take_turns"]

log = logging.getLogger("quorate.requests")

QUIET = ("/health", "/ready", "/metrics")
"""Routes that machines ask all the time: logged at debug level."""
SECRET_NAMES = ("KEY", "KEYS", "TOKEN", "SECRET", "PASSWORD")
SHORTEST_SECRET = 8
"""Shorter values are placeholders; masking them would garble the log."""

Line = dict[str, Any]
OF_EVERY_LINE = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
"""Fields of a log record that the standard library gives; what is beside them, our code has told."""


def log_request(record: RequestRecord, *, texts: bool) -> None:
    """The line of one request.

    Args:
        texts: whether it may hold what was asked and answered.
    """
    level = logging.DEBUG if record.route in QUIET else logging.INFO
    if log.isEnabledFor(level):
        message = f"{record.method} {record.route or 'unknown route'} {record.status}"
        fields = {**_fields(record), **(_texts(record) if texts else {})}
        # Not through `log.log`, which would walk the stack to find out where this is.
        log.handle(log.makeRecord(log.name, level, __file__, 0, message, (), None, extra=fields))


def _fields(record: RequestRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "request": record.id,
        "route": record.route,
        "status": record.status,
        "seconds": round(record.seconds, 4),
        "first_byte": None if record.first_byte is None else round(record.first_byte, 4),
        "key": record.key or None,
        "queued": None if record.queued is None else round(record.queued, 4),
        "error": record.error.code if record.error is not None else None,
    }
    if record.understood:
        usage = record.usage
        fields |= {
            "model": record.model,
            "pipeline": record.pipeline,
            "stream": record.streamed,
            "choices": record.asked_choices,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens or None,
            "upstream_requests": usage.requests,
            "estimated": usage.estimated or None,
            "cost": usage.cost,
            "stopped": record.stopped or None,
            "degraded": record.degraded or None,
        }
    return {name: value for name, value in fields.items() if value is not None}


def _texts(record: RequestRecord) -> dict[str, Any]:
    answers = record.answers
    return {
        **({"question": record.question.text} if record.question is not None else {}),
        **({"answer": answers[0].text} if answers else {}),
        **({"detail": str(record.error)} if record.error is not None else {}),
    }


def configure(
    settings: TelemetrySettings,
    *,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Sends this process's logs to a stream, standard error if not given.

    Args:
        settings: format, level and what may be told.
        secrets: never written, whoever logs them.
        worker: which one of several this is; stands in every line.
    """
    stream = stream or sys.stderr
    human = is_for_humans(settings, stream)
    render = _make_terminal_renderer(colors=stream.isatty()) if human else _render_json
    handler = _StreamHandler(stream)
    own = {} if worker is None else {"worker": worker}
    hidden = [*secrets, *find_secrets(os.environ)]
    handler.setFormatter(_Formatter(render, texts=settings.log_prompts, secrets=hidden, own=own))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    # Of other libraries only what is wrong: some log every URL and header at lower levels.
    root.setLevel(logging.WARNING)
    logging.getLogger("quorate").setLevel(settings.log_level.upper())
    # No line shows them, and finding them out takes longer than to write it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def take_turns(lock: Path) -> None:
    """Lets this process write lines when no other one does.

    Args:
        lock: a file of all that write to the stream that `configure` was given.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _StreamHandler):
            handler.lock_file = lock.open("ab")


def is_for_humans(settings: TelemetrySettings, stream: TextIO) -> bool:
    """Whether people read this stream, as far as we know."""
    return settings.log_format == "human" or (settings.log_format == "auto" and stream.isatty())


def find_secrets(environment: Mapping[str, str]) -> list[str]:
    """Values of environment variables that are called a key, a token or a password."""
    named = (value for name, value in environment.items() if name.upper().rpartition("_")[2] in SECRET_NAMES)
    return [part.strip() for value in named for part in value.split(",") if len(part.strip()) >= SHORTEST_SECRET]


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text


class _StreamHandler(logging.StreamHandler[TextIO]):
    """Writes whole lines to a stream that others may write to: a pipe takes 4 KiB in one piece, and no more."""

    lock_file: IO[bytes] | None = None
    """By which they take turns."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. A process that is killed while it writes gives the lock back."""
        if self.lock_file is None:
            super().emit(record)
            return
        import fcntl

        fcntl.lockf(self.lock_file, fcntl.LOCK_EX)
        try:
            super().emit(record)
        finally:
            fcntl.lockf(self.lock_file, fcntl.LOCK_UN)


class _Formatter(logging.Formatter):
    """A record as one line: what happened, of which request, and all fields that were told beside it.

    Args:
        render: makes text of a line's fields.
        texts: whether the words of exceptions may be written.
        secrets: never written.
        own: fields of every line.
    """

    def __init__(self, render: Callable[[Line], str], *, texts: bool, secrets: Iterable[str], own: Line) -> None:
        super().__init__()
        self._own = own
        self._render = render
        self._texts = texts
        # The longest first, lest a part of one stays where another one is its beginning.
        self._secrets = sorted(set(secrets), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: Line = {"event": record.getMessage(), "level": record.levelname.lower(), "time": record.created}
        line |= self._own
        line |= {name: value for name, value in record.__dict__.items() if name not in OF_EVERY_LINE}
        request = current_record()
        if request is not None:
            line.setdefault("request", request.id)
        if not record.name.startswith("quorate"):
            # Other libraries put reprs of what they hold into later lines, such as a task's exception.
            line["event"] = line["event"].strip().partition("\n")[0]
            line["logger"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            line |= _describe_error(record.exc_info[1], texts=self._texts)
        return mask(self._render(line), self._secrets)


def _describe_error(error: BaseException, *, texts: bool) -> Line:
    """An exception as its type and the places it went through, with its words where texts are allowed."""
    return {
        "exception": type(error).__name__ + (f": {error}" if texts else ""),
        "trace": [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)],
    }


_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def _render_json(line: Line) -> str:
    seconds, rest = divmod(line["time"], 1)
    line["time"] = f"{_format_second(seconds)}.{int(1e6 * rest):06d}Z"
    try:
        return to_json(line, serialize_unknown=True).decode()
    except ValueError:  # half a surrogate pair
        return _encode(line)


@lru_cache(1)
def _format_second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _make_terminal_renderer(*, colors: bool) -> Callable[[Line], str]:
    from structlog.dev import ConsoleRenderer  # a server whose lines machines read starts sooner

    renderer = ConsoleRenderer(colors=colors, pad_event_to=0, timestamp_key="time")

    def render(line: Line) -> str:
        line["time"] = datetime.fromtimestamp(line["time"]).strftime("%H:%M:%S")
        # What an upstream or a client says stands in lines as it is.
        return str(renderer(None, "", {key: _harmless(value) for key, value in line.items()}))

    return render


def _harmless(value: Any) -> Any:
    return strip_controls(value) if isinstance(value, str) else value
