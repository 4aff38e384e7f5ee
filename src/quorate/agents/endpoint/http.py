"""A server over HTTP: on a lean client of our own, or through aiohttp where there is a proxy.

docs/http-clients.md has the measurements behind that.
"""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Any, Protocol
from urllib.request import getproxies

from multidict import CIMultiDict
from yarl import URL

from quorate.orchestrator.errors import BadInput

from .errors import ErrorFactory
from .request import HttpReply, UpstreamRequest, encode_body
from .transport import Transport

try:
    from .http1 import LeanSession
except ImportError:  # httptools is missing, as on PyPy and Windows
    LeanSession = None  # type: ignore[assignment, misc]

__all__ = ["Connections", "Http", "HttpSession", "api_root", "common_headers"]

IDLE = 4.0
"""Seconds to keep an unused connection: less than the five after which uvicorn (so vLLM) closes it."""
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Http(Transport):
    """A server at one address.

    Args:
        base_url: see `api_root`.
        name: of the model, for errors.
        api_key: sent as a bearer token.
        headers: sent with every request.
        settings: see `Transport`.

    Raises:
        BadInput: the address, the key, a header or a setting is impossible.
    """

    def __init__(
        self, base_url: str, *, name: str, api_key: str | None, headers: Mapping[str, str] | None, **settings: Any
    ) -> None:
        self.root = api_root(base_url)
        self.headers = common_headers(api_key, headers)
        """Of every request."""
        hidden = (*(headers or {}).values(), *self.root.query.values(), api_key or "")
        secrets = [part for value in hidden for part in (value, *value.split()[1:])]
        server = str(self.root.with_query(None))
        super().__init__(server, ErrorFactory(f"{name} at {server}", secrets), **settings)
        self._targets: dict[str, URL] = {}
        self._connections = Connections(self)

    async def aclose(self) -> None:
        """See `Transport`."""
        await self._connections.aclose()

    async def _send(self, request: UpstreamRequest, deadline: float, *, live: bool) -> HttpReply:
        session = await self._connections.session()
        headers, body = request.headers(), request.body()
        content = None if body is None else encode_body(body)
        request.note_sent()
        # Whether one of its requests is a stream decides how long a server may be silent.
        silence = self.timeouts.first_byte if live else self.timeouts.total
        return await session.request(
            request.method, self._url(request.path), headers, content, deadline=deadline, silence=silence
        )

    def new_session(self) -> HttpSession:
        """Connections for the running event loop."""
        tls = _ssl() if self.root.scheme == "https" else None
        if LeanSession is None or getproxies():
            from .aiohttp_session import AiohttpSession  # takes a tenth of a second to import

            return AiohttpSession(self.headers, tls=tls, timeouts=self.timeouts, errors=self.errors, idle=IDLE)
        return LeanSession(self.root, self.headers, tls=tls, timeouts=self.timeouts, errors=self.errors, idle=IDLE)

    def _url(self, path: str) -> URL:
        if path not in self._targets:
            root, rest = self.root.path, path
            if path.startswith("/../"):
                root, rest = re.sub(r"/v\d+$", "", root), path.removeprefix("/..")
            self._targets[path] = self.root.with_path(root + rest, keep_query=True)
        return self._targets[path]


class HttpSession(Protocol):
    """The connections of one event loop to one server."""

    async def request(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        deadline: float,
        silence: float,
    ) -> HttpReply:
        """The reply, its body still to come.

        Args:
            method: such as POST.
            url: of the server.
            headers: of this request alone.
            content: its body.
            deadline: for all of it, on the loop's clock.
            silence: seconds that the server may say nothing.

        Raises:
            UpstreamError: there is none.
        """
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


@dataclass
class LoopSession:
    """The connections of one event loop."""

    session: HttpSession
    keeper: AsyncGenerator[None, None]
    finalizer: weakref.finalize[..., Any]


class Connections:
    """The connections to one server, in each event loop its own; closed with it, with their owner, or when asked.

    Args:
        http: makes them.
    """

    def __init__(self, http: Http) -> None:
        self._new_session = weakref.WeakMethod(http.new_session)
        self._open: dict[asyncio.AbstractEventLoop, LoopSession] = {}

    async def session(self) -> HttpSession:
        """Those of the running event loop; made at its first request."""
        loop = asyncio.get_running_loop()
        opened = self._open.get(loop)
        if opened is None:
            make = self._new_session()
            assert make is not None
            session = make()
            keeper = _keep_open(self._open, loop, session)
            # Whoever drops an endpoint without closing it leaves no open connection behind.
            finalizer = weakref.finalize(self, _close_soon, loop, keeper)
            finalizer.atexit = False
            opened = self._open[loop] = LoopSession(session, keeper, finalizer)
            await anext(keeper)
        return opened.session

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        opened = self._open.get(asyncio.get_running_loop())
        if opened is not None:
            await opened.keeper.aclose()


async def _keep_open(
    sessions: dict[asyncio.AbstractEventLoop, LoopSession], loop: asyncio.AbstractEventLoop, session: HttpSession
) -> AsyncGenerator[None, None]:
    """Holds connections open. A generator, because `asyncio.run` closes those that are left at its end."""
    try:
        yield
    finally:
        sessions.pop(loop).finalizer.detach()
        await session.close()


def _close_soon(loop: asyncio.AbstractEventLoop, keeper: AsyncGenerator[None, None]) -> None:
    async def close() -> None:
        await keeper.aclose()

    if not loop.is_closed():
        asyncio.run_coroutine_threadsafe(close(), loop)


@cache
def _ssl() -> SSLContext:
    import httpx  # knows where certificates are on every system; heavy, and most servers of models speak plain HTTP

    return httpx.create_ssl_context()


def api_root(base_url: str) -> URL:
    """The address below which the API lies: its path as it is, without what calls add to it, and `/v1` if it has none.

    Raises:
        BadInput: not an http(s) URL, or one that holds a password.
    """
    try:
        url = URL(base_url.strip())
    except (ValueError, AttributeError, TypeError):
        url = URL("")
    if url.raw_user is not None or url.raw_password is not None:
        raise BadInput("base_url holds a user name or password: give the key as api_key, or in headers")
    if url.scheme not in ("http", "https") or not url.host:
        shown = "" if "@" in str(base_url) else f" {base_url!r}"
        raise BadInput(f"base_url{shown} is not the URL of a server, such as 'http://localhost:8000/v1'")
    path = re.sub(r"(/chat)?/completions$|/models$", "", url.path.rstrip("/"))
    return url.with_path(path or "/v1", keep_query=True).with_fragment(None)


def common_headers(api_key: str | None, headers: Mapping[str, str] | None) -> CIMultiDict[str]:
    """The headers of every request, the caller's over ours.

    Checked here because HTTP libraries quote a bad one, key and all.

    Raises:
        BadInput: a key or header that HTTP cannot carry, named without its value.
    """
    ours = {"Accept-Encoding": "gzip, deflate", "Content-Type": "application/json", "User-Agent": "quorate"}
    if api_key:
        _check_header("api_key", api_key)
        ours["Authorization"] = f"Bearer {api_key}"
    for name, value in (headers or {}).items():
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name!r} is not the name of an HTTP header")
        _check_header(f"header {name}", value)
    merged = CIMultiDict(ours)
    merged.update(headers or {})
    return merged


def _check_header(what: str, value: object) -> None:
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()) or value != value.strip():
        raise BadInput(f"{what} must be plain ASCII text without line breaks or spaces around it")
