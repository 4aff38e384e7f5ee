"""The models that a server lists."""

from __future__ import annotations

import socket

import pytest
from aiohttp import web

from quorate import Endpoint
from quorate.agents import discover
from quorate.agents.endpoint import agent as agent_module
from quorate.orchestrator.errors import BadReply, Rejected, TimedOut
from quorate.testing import ScriptedUpstream

from .test_endpoint import serving


async def test_discover_finds_every_model() -> None:
    """An endpoint for each, with the same settings."""
    async with ScriptedUpstream(models=("org/a", "b"), api_key="sk-1234") as up:
        found = await discover(up.url, "sk-1234", concurrency=3)
        assert [e.name for e in found] == ["org/a", "b"]
        assert (await found[1].answer("?")).model == "b"
        await found[1].aclose()


async def test_discover_tells_what_is_wrong() -> None:
    """The same errors as for a question."""
    async with ScriptedUpstream(api_key="sk-1234") as up:
        with pytest.raises(Rejected, match="401") as caught:
            await discover(up.url, "wrong-key")
        assert caught.value.status == 401
    for listing in (b'{"data": [{}]}', b'{"data": [3, null]}', b'{"data": 3}', b'"x"'):
        with pytest.raises(BadReply, match="/models"):
            await _listing(listing)
    with pytest.raises(BadReply, match="not JSON"):
        await _listing(b"<html>")


@pytest.mark.parametrize(
    ("listing", "names"),
    [
        (b'[{"id": "org/a", "type": "chat"}, {"id": "b"}]', ["org/a", "b"]),
        (b'["a", "b"]', ["a", "b"]),
        (b'{"object": "list", "data": null}', []),
        (b'{"data": []}', []),
        (b'{"data": [{"object": "model"}, {"id": ""}, {"id": 7}, null, {"id": "a"}]}', ["a"]),
        (b'{"models": [{"name": "llama3:8b", "size": 3}, {"model": "qwen"}]}', ["llama3:8b", "qwen"]),
        (b'\xef\xbb\xbf{"data": [{"id": "a"}]}', ["a"]),
    ],
)
async def test_lists_of_models_come_in_all_shapes(listing: bytes, names: list[str]) -> None:
    """Bare (Together), null (Ollama without a model), under another name, with entries that name no model."""
    assert await _listing(listing) == names


async def test_discover_gives_up_on_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a server or asks a first question must not wait for the ten minutes of an answer."""
    assert agent_module.LISTING <= 30
    monkeypatch.setattr(agent_module, "LISTING", 0.2)

    # The system accepts the connection, and nobody ever reads from it.
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimedOut, match=r"within 0\.2 s"):
        await discover(f"http://127.0.0.1:{silent.getsockname()[1]}")


async def _listing(body: bytes) -> list[str]:
    """The models of a server that lists them like this."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with serving(answer, "GET") as url, Endpoint("m", base_url=url) as agent:
        return await agent.models()
