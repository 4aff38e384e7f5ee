"""What comes in: a body with a limit, as a request of one API or a clear word about its faults; clients that leave."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json
from starlette.types import Receive, Scope

from quorate.orchestrator.errors import BadInput

from .errors import BadField, ClientGone
from .routing import read_header

__all__ = ["TooLarge", "TooSlow", "parse_body", "read_body", "while_connected"]

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

LARGE = 2**17
"""Bytes from which on a body is looked through before it is read."""
MOST_VALUES = 100_000
"""Numbers, texts and so on in one body: reading so many takes the event loop some 50 ms."""
REST = 0.005
"""Seconds between the steps of reading a large body."""
MOST_ERRORS = 10
"""Mistakes that one error tells of at most; a list's first wrong item stands for all of them."""
PART = 2**21
_NO_BACKSLASH = re.compile(rb"[^\\]")
_HUGE = re.compile(rb"\d[eE]\+?\d{3}|\d{300}")
"""Where a number may be larger than a float, which JSON cannot say again."""


class TooLarge(BadInput):
    """The body is over the limit."""

    status = 413
    code = "body_too_large"


class TooSlow(BadInput):
    """The body takes too long to arrive."""

    status = 408
    code = "body_too_slow"


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body.

    Args:
        scope: the request's.
        receive: the request's.
        limit: bytes.
        seconds: in which it has to be there.

    Raises:
        TooLarge: it has more than `limit` bytes, or says so; what comes of it then is the server's to throw away.
        TooSlow: it was not there in time.
        ClientGone: it ended before its end.
    """
    declared = read_header(scope, b"content-length")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _join_parts(receive, limit)
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {seconds:g} s") from None


async def _join_parts(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than the {limit} bytes that this server allows")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled at once when the client leaves.

    Raises:
        ClientGone: the client left first; `work` has been cancelled and has cleaned up.
    """
    # `work` runs in this very task: each task more is a turn of the loop more, in which every other request
    # under way gets its turn first, so that under load all replies would wait for the slowest.
    here = asyncio.current_task()
    assert here is not None
    leaving = asyncio.create_task(_cancel_when_gone(receive, here))
    try:
        return await work
    except asyncio.CancelledError:
        if leaving.done() and here.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        leaving.cancel()


async def _cancel_when_gone(receive: Receive, task: asyncio.Task[Any]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


async def parse_body(body: bytes, form: type[M]) -> M:
    """The request in a body.

    Raises:
        BadField: not JSON (with line and column), of too many values, or a field that cannot be used (with its path).
    """
    bare = body if len(body) <= LARGE else await _drop_strings(body)
    try:
        data = from_json(body, allow_inf_nan=False)
        if _HUGE.search(bare):
            json.dumps(data, allow_nan=False)
    except ValueError as error:
        raise BadField(f"the body is not valid JSON: {error}", None) from None
    if not isinstance(data, dict):
        raise BadField(f"the body must be a JSON object, not {_kind(data)}", None)
    if len(body) > LARGE:
        await asyncio.sleep(REST)
    try:
        request = form.model_validate(data)
    except ValidationError as error:
        raise _explain(error, data, form) from None
    if len(body) > LARGE:
        await asyncio.sleep(REST)
    return request


async def _drop_strings(body: bytes) -> bytes:
    """A JSON text without what its strings hold.

    Reading JSON lets no other thread run, so that its time has to be bounded by the number of its values. Each step
    here and after it takes some 20 ms for 16 MiB; in the rest after it others get more than one turn of the loop,
    since that is what a request takes that is quick.

    Raises:
        BadField: it holds more than MOST_VALUES.
    """
    for escaped in (rb"\\", rb"\""):
        if escaped in body:
            body = b"".join([part.replace(escaped, b"") async for part in _cut(body)])
    if body.count(b'"') <= 4 * MOST_VALUES:
        bare = b"".join(body.split(b'"')[::2])
        await asyncio.sleep(REST)
        if bare.count(b",") + bare.count(b":") <= MOST_VALUES:
            return bare
    raise BadField(f"the body holds more than {MOST_VALUES} values", None)


async def _cut(body: bytes) -> AsyncIterator[bytes]:
    """The body in parts of some megabytes, none of which ends within an escape, with a rest after each."""
    start = 0
    while start < len(body):
        after = _NO_BACKSLASH.search(body, start + PART)
        end = after.end() if after else len(body)
        yield body[start:end]
        start = end
        await asyncio.sleep(REST)


def _explain(error: ValidationError, data: dict[str, Any], form: type[BaseModel]) -> BadField:
    """The fields that are wrong, each once, in one line."""
    wrong: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False)[:MOST_ERRORS]:
        wrong.setdefault(_path(detail, data), []).append(_message(detail, form))
    # Of a union that could be read in several ways, the way that got furthest was meant.
    meant = [path for path in wrong if not any(other.startswith((f"{path}.", f"{path}[")) for other in wrong)]
    messages = [" or ".join(dict.fromkeys(wrong[path])) for path in meant]
    others = [f"{path}: {message}" for path, message in zip(meant, messages, strict=True)][1:]
    return BadField("; ".join([messages[0], *others]), meant[0])


def _path(detail: ErrorDetails, data: Any) -> str:
    """Where in the body, as in `messages[0].content`; pydantic's names for branches of a union are left out."""
    path = ""
    for part in detail["loc"]:
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            data, path = data[part], f"{path}[{part}]"
        elif isinstance(data, dict) and part in data:
            data, path = data[part], f"{path}.{part}"
        elif isinstance(data, dict) and detail["type"] == "missing" and part == detail["loc"][-1]:
            path = f"{path}.{part}"
    return path.removeprefix(".")


def _message(detail: ErrorDetails, form: type[BaseModel]) -> str:
    """Pydantic's words, in those of JSON."""
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        return f"unknown field; there is: {', '.join(sorted(_fields(form, detail['loc'][:-1])))}"
    message = detail["msg"].removeprefix("Value error, ")
    for theirs, ours in (("dictionary", "object"), ("mapping", "object"), ("tuple", "array"), ("list", "array")):
        message = message.replace(f"a valid {theirs}", f"an {ours}")
    message = message.replace("valid string", "string")
    return message[0].lower() + message[1:]


def _fields(form: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    """Fields of the object at this place."""
    for part in loc:
        if part in form.model_fields:
            inner = form.model_fields[str(part)].annotation
            branches = [inner, *get_args(inner)]
            form = next((b for b in branches if isinstance(b, type) and issubclass(b, BaseModel)), form)
    return set(form.model_fields)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
