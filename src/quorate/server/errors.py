"""Errors as OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}` with the right status.

The status, code and Retry-After are the exception's own (`orchestrator.errors`); nothing is told of an
exception that is not ours but the id of its request, under which the log has the rest.
"""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from quorate.orchestrator.errors import BadInput, QuorateError, UnknownName

from .access.faults import Unauthorized
from .observe.observation import observing
from .wire import ClientGone, request_id

__all__ = ["BadField", "envelope", "install", "json_response"]


class BadField(BadInput):
    """One field of the request cannot be used; `param` is its path."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(f"{param}: {message}" if param else message)
        self.param = param


def envelope(error: Exception) -> dict[str, Any]:
    """What a client is told of an error."""
    if not isinstance(error, QuorateError):
        return _envelope("the server failed; its log has the cause", 500, code="internal_error")
    param = "model" if isinstance(error, UnknownName) else getattr(error, "param", None)
    return _envelope(str(error), _status(error), param=param, code=error.code)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON reply; text that UTF-8 cannot hold is replaced, since models can write half a surrogate pair."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Response(body, status, headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Makes every error of the app an envelope."""
    app.add_exception_handler(QuorateError, _ours)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(ClientGone, _nobody)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, QuorateError)
    if (seen := observing()) is not None:
        seen.failed(error)
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    return json_response(envelope(error), _status(error), headers)


async def _routing(request: Request, error: Exception) -> Response:
    """No such route, or not with this method."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {HTTPStatus(error.status_code).phrase.lower()}"
    return json_response(
        _envelope(message, error.status_code, code="unknown_url" if error.status_code == 404 else None),
        error.status_code,
        dict(error.headers or {}),
    )


async def _nobody(_: Request, __: Exception) -> Response:
    """The client has left; 499 is what nginx logs then."""
    return Response(status_code=499)


async def _unexpected(request: Request, error: Exception) -> Response:
    told = envelope(error)
    told["error"]["message"] += f" (request {request_id(request.scope)})"
    return json_response(told, 500, {"x-request-id": request_id(request.scope)})


def _status(error: QuorateError) -> int:
    """The error's status, where it is one of an error at all."""
    return error.status if 400 <= error.status <= 599 else 502


def _envelope(message: str, status: int, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    named = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = named.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
