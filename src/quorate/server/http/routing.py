"""Which page may ask, and which path and method leads where.

A page that a user happens to visit can post to an address on the user's own machine; that it may not read the
reply does not stop it from spending tokens. Browsers name the page in `Origin`, other clients send none.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from ..access.errors import NotAllowed
from ..telemetry.record import RECORD, RequestRecord
from .errors import Envelope, MethodNotAllowed, UnknownRoute, make_envelope, send_error

__all__ = [
    "SECURITY_HEADERS",
    "HostMiddleware",
    "OriginMiddleware",
    "Route",
    "RouteTable",
    "cors_options",
    "read_authorization",
    "read_header",
]

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""On every reply."""
FOREIGN = (
    "this server has no keys and is this machine's alone, so it answers to localhost and not to {!r}; give it keys "
    "(server.keys) or say --open"
)
REFUSAL = "web pages may not ask this server; its setting 'origins' lists those that may"
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """One path with one method."""

    path: str
    """May hold `{name}`, a part without slashes, or end in `{name:path}`; the scope then has it as `name`."""
    handler: Handler
    name: str
    """In the OpenAPI document."""
    about: str
    """What it is for, in a sentence."""
    method: str = "GET"
    form: type[BaseModel] | None = None
    """What its body holds, where it has one."""
    media: str = "application/json"
    """Of that body."""
    envelope: Envelope = make_envelope
    """The form of its errors."""


class RouteTable:
    """An ASGI application of routes.

    Args:
        routes: a path and a method each; of those that fit, the first counts.
        lifespan: is open while the application runs.

    Raises:
        UnknownRoute: there is no such path.
        MethodNotAllowed: it has other methods.
    """

    def __init__(self, routes: Sequence[Route], lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        self.routes = routes
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        self._exact = {path: methods for path, methods in by_path.items() if "{" not in path}
        self._open = [(_compile(path), methods) for path, methods in by_path.items() if "{" in path]
        self._lifespan = lifespan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            methods = self._find(scope)
            route = methods.get(scope["method"])
            told = route or next(iter(methods.values()))
            record: RequestRecord = scope[RECORD]
            record.route, scope["envelope"] = told.path, told.envelope
            if route is None:
                raise MethodNotAllowed(_describe(scope, 405), ", ".join(methods))
            await route.handler(scope, receive, send)
        else:
            raise UnknownRoute("this server speaks HTTP only")

    def _find(self, scope: Scope) -> dict[str, Route]:
        """What stands under the path, by method."""
        path: str = scope["path"]
        path = path.removeprefix(scope.get("root_path", ""))
        methods = self._exact.get(path) or self._exact.get(path.rstrip("/"))
        if methods is not None:
            return methods
        for pattern, methods in self._open:
            if (found := pattern.fullmatch(path)) is not None:
                scope["name"] = found["name"]
                return methods
        raise UnknownRoute(_describe(scope, 404))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        started = False
        try:
            async with self._lifespan():
                started = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BaseException as error:
            kind = "shutdown" if started else "startup"
            await send({"type": f"lifespan.{kind}.failed", "message": f"{type(error).__name__}: {error}"})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _compile(path: str) -> re.Pattern[str]:
    """A path with a name in it, as a pattern."""
    wild = {"{name}": "(?P<name>[^/]+)", "{name:path}": "(?P<name>.*)"}
    return re.compile("(?s)" + "".join(wild.get(part) or re.escape(part) for part in re.split(r"(\{.*?\})", path)))


def read_header(scope: Scope, name: bytes) -> str:
    """The value of a request's header, the first where there are several; empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def read_authorization(scope: Scope) -> str:
    """The header `Authorization`; Anthropic's clients send the bare key in `x-api-key`."""
    given, key = read_header(scope, b"authorization"), read_header(scope, b"x-api-key")
    return given or (f"Bearer {key}" if key else "")


def _describe(scope: Scope, status: int) -> str:
    return f"{scope['method']} {scope['path']}: {HTTPStatus(status).phrase.lower()}"


class OriginMiddleware:
    """Refuses pages of other origins than the configured ones with a 403.

    Args:
        app: the application.
        origins: of the pages that may ask; `*` is any.
        own: the server's own page may ask, too, which is known by the name that the request calls the server by. Where
            nobody needs a key that is an address or a name of this machine: any other name could lead here by its
            owner's will (DNS rebinding).
        named: names will do as well.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], *, own: bool = False, named: bool = False) -> None:
        self._app = app
        self._origins = {origin.rstrip("/").encode() for origin in origins}
        self._any = b"*" in self._origins
        self._own, self._named = own, named

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._any:
            for name, value in scope["headers"]:
                if name == b"origin" and value not in self._origins and not self._is_own(scope, value):
                    await send_error(send, scope, NotAllowed(REFUSAL))
                    return
        await self._app(scope, receive, send)

    def _is_own(self, scope: Scope, origin: bytes) -> bool:
        host = read_header(scope, b"host")
        if not self._own or not host or origin.decode("latin-1").partition("://")[2].lower() != host.lower():
            return False
        return self._named or _is_address(host)


class HostMiddleware:
    """Refuses requests that call a server of this machine alone by a name that is not this machine's, with a 403.

    The owner of a web page can let the page's own name lead to 127.0.0.1 (DNS rebinding): then its requests have the
    page's own origin for the browser, and only the name in `Host` tells.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (named := read_header(scope, b"host")) and not _is_local(named, self._host):
            await send_error(send, scope, NotAllowed(FOREIGN.format(named)))
            return
        await self._app(scope, receive, send)


@lru_cache(maxsize=64)
def _is_local(named: str, host: str) -> bool:
    """Whether the name, maybe with a port, leads to this machine for everybody; `host` does, too."""
    try:
        name = (urlsplit(f"//{named}").hostname or "").rstrip(".")
        return name in ("localhost", host) or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _is_address(named: str) -> bool:
    """Whether this is an IP address or a name of this machine, maybe with a port: what no owner of a name decides."""
    try:
        ip_address(urlsplit(f"//{named}").hostname or "")
    except ValueError:
        return _is_local(named, "localhost")
    return True


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """How starlette's middleware answers browsers that ask before they let a page of these origins in (CORS)."""
    return {
        "allow_origins": [origin.rstrip("/") for origin in origins],
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": ["*"],
        "expose_headers": ["x-request-id", "retry-after"],
    }
