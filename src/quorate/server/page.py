"""`GET /`: the page on which people watch a pipeline answer, and its files under `/web/`.

The files are the same for everybody and hold nothing of this server, so they need no key. All that the page shows it
asks of the API, with the key that its user types in. Nothing on it may run, be embedded or be asked for that does not
come from here: its content security policy is the strictest that a page with scripts can have.
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from quorate.web import Asset, find_asset

from .http.errors import UnknownRoute, send_reply
from .http.routing import Route, read_header

__all__ = ["make_page_routes"]

POLICY = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"img-src 'self'",
        b"connect-src 'self'",
        b"base-uri 'none'",
        b"form-action 'none'",
        b"frame-ancestors 'none'",
        b"require-trusted-types-for 'script'",
        b"trusted-types dompurify",
    )
)
HEADERS = ((b"content-security-policy", POLICY), (b"cache-control", b"no-cache"), (b"vary", b"accept-encoding"))


def make_page_routes() -> list[Route]:
    """The page and its files."""

    async def show_page(scope: Scope, _: Receive, send: Send) -> None:
        await _send_asset(scope, send, find_asset("page/index.html"))

    async def send_file(scope: Scope, _: Receive, send: Send) -> None:
        await _send_asset(scope, send, find_asset(scope["name"]))

    return [
        Route("/", show_page, "page", "The page for people: a race of answers, their cost, traces."),
        Route("/web/{name:path}", send_file, "page_file", "A file of the page."),
    ]


async def _send_asset(scope: Scope, send: Send, asset: Asset | None) -> None:
    if asset is None:
        raise UnknownRoute(f"GET {scope['path']}: there is no such file")
    headers = [*HEADERS, (b"etag", asset.etag)]
    if read_header(scope, b"if-none-match").encode() == asset.etag:
        await send_reply(send, b"", asset.content_type, 304, headers)
    elif "gzip" in read_header(scope, b"accept-encoding"):
        headers.append((b"content-encoding", b"gzip"))
        await send_reply(send, asset.compressed, asset.content_type, 200, headers)
    else:
        await send_reply(send, asset.body, asset.content_type, 200, headers)
