"""The outermost layer of the application: an id and an observation for every request."""

from __future__ import annotations

import re
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..wire import CALLER, REQUEST_ID
from .observation import CLIENT_GONE, observe
from .observer import Observer

__all__ = ["Observed"]

PREFIX = "/v1"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Observed:
    """Gives every request an id, the client's own where it sent a plain one, and every reply its `x-request-id`."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _identity(scope)
        scope[REQUEST_ID] = identity
        seen = self._observer.begin(identity, scope["method"], scope["path"], scope["headers"])
        observe(seen)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                seen.status = message["status"]
                seen.streamed = any(k == b"content-type" and v.startswith(b"text/event-stream") for k, v in headers)
                message["headers"] = [*headers, (b"x-request-id", identity.encode())]
            elif seen.first_byte is None:
                seen.first_byte = seen.now()
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            seen.status = 500
            seen.failed(error)
            raise
        except BaseException:
            seen.status = CLIENT_GONE
            raise
        finally:
            seen.route = _template(scope)
            seen.key = str(scope.get(CALLER, ""))
            seen.end()


def _identity(scope: Scope) -> str:
    given = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"x-request-id"), "")
    return given if _PLAIN.fullmatch(given) else uuid.uuid4().hex


def _template(scope: Scope) -> str:
    """The route's path as it is declared, so that a client cannot make up routes; empty where there is none."""
    route: Any = scope.get("route")
    declared = str(getattr(route, "path", ""))
    # FastAPI's newer versions leave out the prefix under which a router was included.
    beneath = declared and scope["path"].startswith(f"{PREFIX}/") and not declared.startswith(f"{PREFIX}/")
    return PREFIX + declared if beneath else declared
