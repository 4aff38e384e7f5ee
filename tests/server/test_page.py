"""`/`: the page's files, with the strictest policy, for browsers that may ask."""

from __future__ import annotations

import gzip

import pytest

from quorate.config.server_settings import ApiKey, hash_key
from quorate.server.http.routing import OriginMiddleware

from .conftest import Start, asked
from .scripted import Echo


async def test_the_page_and_its_files(start: Start) -> None:
    """Compressed where the browser takes it, once as long as they do not change, under one policy and no other."""
    async with start(Echo(), keys=(ApiKey(name="ann", hash=hash_key("a")),)) as served:
        page = await served.http.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        (policy,) = page.headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        script = await served.http.get("/web/page/app.js", headers={"accept-encoding": "gzip"})
        assert script.headers["content-encoding"] == "gzip"
        plain = await served.http.get("/web/page/app.js", headers={"accept-encoding": "identity"})
        assert plain.text == script.text
        assert len(gzip.compress(plain.content)) < len(plain.content)
        unchanged = await served.http.get("/web/page/app.js", headers={"if-none-match": script.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert (await served.http.get("/web/page/../../app.py")).status_code == 404
        assert (await served.http.get("/web/assets.py")).status_code == 404


async def test_the_page_can_be_switched_off(start: Start) -> None:
    async with start(Echo(), page=False) as served:
        assert (await served.http.get("/")).status_code == 404
        assert (await served.http.get("/web/page/app.js")).status_code == 404


@pytest.mark.parametrize(
    ("host", "named", "own"),
    [
        ("127.0.0.1:8000", False, True),
        ("[::1]:8000", False, True),
        ("localhost:8000", False, True),
        ("10.1.2.3", False, True),
        ("rebound.example:8000", False, False),
        ("rebound.example:8000", True, True),
        ("", True, False),
    ],
)
def test_whose_page_is_the_servers_own(host: str, named: bool, own: bool) -> None:
    """A name that its owner can lead anywhere is enough only where a key is needed besides."""
    middleware = OriginMiddleware(lambda *_: None, (), own=True, named=named)  # type: ignore[arg-type]
    scope = {"headers": [(b"host", host.encode())]}
    assert middleware._is_own(scope, f"http://{host}".encode()) is own
    assert not middleware._is_own(scope, b"https://elsewhere.example")


async def test_the_servers_own_page_may_ask_and_no_other(start: Start) -> None:
    async with start(Echo()) as served:
        own = await served.http.post("/v1/chat/completions", json=asked(), headers={"origin": served.url})
        assert own.status_code == 200
        other = await served.http.post("/v1/chat/completions", json=asked(), headers={"origin": "http://localhost:1"})
        assert other.status_code == 403
    async with start(Echo(), page=False) as served:
        none = await served.http.post("/v1/chat/completions", json=asked(), headers={"origin": served.url})
        assert none.status_code == 403
