"""`/v1/traces`: what was asked, shown again to the key that asked it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from quorate.config.server_settings import ApiKey, hash_key

from .conftest import Serving, Start, asked
from .scripted import Echo

ANN, BOB = {"authorization": "Bearer a"}, {"authorization": "Bearer b"}
KEYS = (ApiKey(name="ann", hash=hash_key("a")), ApiKey(name="bob", hash=hash_key("b")))


async def _list(served: Serving, headers: dict[str, str] | None = None) -> list[str]:
    reply = await served.http.get("/v1/traces", headers=headers)
    return [line["id"] for line in reply.json()["data"]]


async def test_a_watched_run_is_kept_in_memory_for_its_own_key(start: Start) -> None:
    async with start(Echo(), keys=KEYS) as served:
        watched = await served.http.post("/v1/events", json={**asked(), "model": "majority@3/echo"}, headers=ANN)
        identity = watched.headers["x-request-id"]
        assert await _list(served, ANN) == [identity]
        assert await _list(served, BOB) == []
        trace = (await served.http.get(f"/v1/traces/{identity}", headers=ANN)).json()
        assert trace["question"]["messages"][0]["content"] == "hello there"
        assert [candidate["text"] for candidate in trace["choices"][0]["candidates"]] == ["hello there"] * 3
        again = await served.http.get(f"/v1/events/{identity}", headers=ANN)
        assert again.text == watched.text
        for path in (f"/v1/traces/{identity}", f"/v1/events/{identity}"):
            assert (await served.http.get(path)).status_code == 401
            refused = await served.http.get(path, headers=BOB)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_trace")


async def test_only_so_many_are_kept_and_none_where_none_are_wanted(start: Start) -> None:
    async with start(Echo(), watched_runs=2) as served:
        ids = [(await served.http.post("/v1/events", json=asked())).headers["x-request-id"] for _ in range(3)]
        assert await _list(served) == ids[:0:-1]
        await served.post()
        assert len(await _list(served)) == 2
    async with start(Echo(), watched_runs=0) as served:
        await served.http.post("/v1/events", json=asked())
        assert await _list(served) == []


async def test_the_trace_store_is_read_too(start: Start, tmp_path: Path) -> None:
    """Without texts there are none here either."""
    async with start(Echo(), keys=KEYS, traces=tmp_path / "t.sqlite", watched_runs=0) as served:
        reply = await served.http.post("/v1/chat/completions", json=asked(), headers=ANN)
        identity = reply.headers["x-request-id"]
        async with asyncio.timeout(10):
            while await _list(served, ANN) != [identity]:  # noqa: ASYNC110 - another thread writes it
                await asyncio.sleep(0.02)
        assert await _list(served, BOB) == []
        trace = (await served.http.get(f"/v1/traces/{identity}", headers=ANN)).json()
        assert (trace["question"], trace["watched"]) == (None, False)
        gone = (await served.http.get("/v1/traces/gone", headers=ANN)).json()["error"]["message"]
        assert "7 days in the trace store" in gone


@pytest.mark.parametrize("limit", ["0", "501", "many", "-1", "9" * 40])
async def test_a_wrong_limit_is_named(start: Start, limit: str) -> None:
    async with start(Echo()) as served:
        reply = await served.http.get("/v1/traces", params={"limit": limit})
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "limit"
