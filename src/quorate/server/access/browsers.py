"""What keeps web pages out, and what tells browsers not to make anything of our replies.

A page that a user happens to visit can post to an address on the user's own machine; that it may not read the
reply does not stop it from spending tokens. Browsers name the page in `Origin`, other clients send none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import envelope, json_response
from .faults import NotAllowed

__all__ = ["Browsers", "cross_origin"]

SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
]


class Browsers:
    """Security headers on every reply, and a 403 for pages of other origins than the configured ones."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = {origin.rstrip("/").encode() for origin in origins}
        self._any = b"*" in self._origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SECURITY]
            await send(message)

        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or self._any or origin in self._origins:
            await self._app(scope, receive, guarded)
        else:
            refusal = NotAllowed("web pages may not ask this server; its setting 'origins' lists those that may")
            await json_response(envelope(refusal), refusal.status)(scope, receive, guarded)


def cross_origin(origins: Sequence[str]) -> dict[str, Any]:
    """How starlette's middleware answers browsers that ask before they let a page of these origins in (CORS)."""
    return {
        "allow_origins": [origin.rstrip("/") for origin in origins],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["*"],
        "expose_headers": ["x-request-id", "retry-after"],
    }
