"""Errors as OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}` with the right status.

The status, code and Retry-After are the exception's own (`orchestrator.errors`); nothing is told of an
exception that is not ours but the id of its request, under which the log has the rest.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import to_json
from starlette.types import ASGIApp, Receive, Scope, Send

from quorate.orchestrator.errors import BadInput, QuorateError, UnknownModel

from ..access.errors import Unauthorized
from ..telemetry.record import CLIENT_GONE, RECORD, RequestRecord

__all__ = [
    "BadField",
    "ClientGone",
    "Envelope",
    "ErrorMiddleware",
    "MethodNotAllowed",
    "UnknownRoute",
    "encode_json",
    "make_envelope",
    "send_error",
    "send_json",
    "send_reply",
    "status_of",
]

log = logging.getLogger("quorate.server")

Headers = Iterable[tuple[bytes, bytes]]
Envelope = Callable[[Exception], dict[str, Any]]
"""What a client is told of an error, in the form that its API has for them."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""For what pydantic's encoder, which is several times as fast, cannot write."""


class BadField(BadInput):
    """One field of the request cannot be used; `param` is its path."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param


class ClientGone(Exception):
    """The client closed the connection before it had its reply."""


class UnknownRoute(BadInput):
    """There is nothing under this path."""

    status = 404
    code = "unknown_url"


class MethodNotAllowed(BadInput):
    """There is something under this path, but not with this method."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


def make_envelope(error: Exception) -> dict[str, Any]:
    """What a client is told of an error."""
    if not isinstance(error, QuorateError):
        return _envelope("the server failed; its log has the cause", 500, code="internal_error")
    param = "model" if isinstance(error, UnknownModel) else error.param if isinstance(error, BadField) else None
    return _envelope(str(error), status_of(error), param=param, code=error.code)


def encode_json(content: Any) -> bytes:
    """JSON without spaces; text that UTF-8 cannot hold is replaced, since models can write half a surrogate pair.

    Numbers that JSON does not have, such as those of a broken embedding, are null.
    """
    try:
        return to_json(content, inf_nan_mode="null")
    except ValueError:
        return _encode(content).encode(errors="replace")


async def send_reply(send: Send, body: bytes, content_type: bytes, status: int = 200, headers: Headers = ()) -> None:
    """A whole reply."""
    head = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, content: Any, status: int = 200, headers: Headers = ()) -> None:
    """A JSON reply."""
    await send_reply(send, encode_json(content), b"application/json", status, headers)


async def send_error(send: Send, scope: Scope, error: QuorateError) -> None:
    """The envelope of an error, with its status and the headers that go with it; the request's record has it too."""
    record: RequestRecord = scope[RECORD]
    record.fail(error)
    headers = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after)))
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    await send_json(send, _envelope_of(scope)(error), status_of(error), headers)


class ErrorMiddleware:
    """Makes every exception of the application a reply; one that comes after a reply began is logged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientGone:
            await send_reply(send, b"", b"text/plain", CLIENT_GONE)
        except QuorateError as error:
            await send_error(send, scope, error)
        except Exception as error:
            record: RequestRecord = scope[RECORD]
            record.fail(error)
            log.exception("request %s failed", record.id)
            envelope = _envelope_of(scope)(error)
            envelope["error"]["message"] += f" (request {record.id})"
            await send_json(send, envelope, 500)


def status_of(error: Exception) -> int:
    """The error's status, where it is one of an error at all."""
    if not isinstance(error, QuorateError):
        return 500
    return error.status if 400 <= error.status <= 599 else 502


def _envelope_of(scope: Scope) -> Envelope:
    """The form that errors of the request's route have; OpenAI's where it came to none."""
    envelope: Envelope = scope.get("envelope", make_envelope)
    return envelope


def _envelope(message: str, status: int, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
