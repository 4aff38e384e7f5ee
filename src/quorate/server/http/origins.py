"""What keeps web pages out, and what tells browsers not to make anything of our replies.

A page that a user happens to visit can post to an address on the user's own machine; that it may not read the
reply does not stop it from spending tokens. Browsers name the page in `Origin`, other clients send none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from ..access.errors import NotAllowed
from .errors import send_error

__all__ = ["SECURITY_HEADERS", "OriginMiddleware", "cors_options"]

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""On every reply."""
REFUSAL = "web pages may not ask this server; its setting 'origins' lists those that may"


class OriginMiddleware:
    """Refuses pages of other origins than the configured ones with a 403."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = {origin.rstrip("/").encode() for origin in origins}
        self._any = b"*" in self._origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._any:
            for name, value in scope["headers"]:
                if name == b"origin" and value not in self._origins:
                    await send_error(send, scope, NotAllowed(REFUSAL))
                    return
        await self._app(scope, receive, send)


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """How starlette's middleware answers browsers that ask before they let a page of these origins in (CORS)."""
    return {
        "allow_origins": [origin.rstrip("/") for origin in origins],
        "allow_methods": ["GET", "POST"],
        "allow_headers": ["*"],
        "expose_headers": ["x-request-id", "retry-after"],
    }
