"""`quorate serve`, as somebody at a terminal sees it."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys

import httpx
import pytest

from quorate.testing import Reply, ScriptedUpstream

MAIN = "from quorate.cli import main; main()"


@pytest.mark.skipif(sys.platform == "win32", reason="workers need Unix sockets")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_request_that_the_greeting_shows_is_answered(workers: str) -> None:
    """As it stands there: its address, its header, its model."""
    options = ("--port", "0", "--workers", workers, "--log-format", "human")
    async with ScriptedUpstream(Reply("408", usage=(5, 5)), models=["some/model"]) as upstream:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAIN, "serve", "--upstream", upstream.url, *options), stderr=asyncio.subprocess.PIPE
        )
        assert server.stderr is not None
        try:
            said = [(await server.stderr.readline()).decode() for _ in range(3)]
            assert said[0].startswith("quorate serves 1 model "), said
            assert said[2].startswith("try: curl "), said
            [_, _, url, _, header, _, body] = shlex.split(said[2])
            assert json.loads(body)["model"] == "majority@16/some/model"
            async with httpx.AsyncClient(timeout=30) as client:
                reply = await client.post(url, content=body, headers=dict([header.split(": ")]))
            assert reply.status_code == 200, reply.text
            assert reply.json()["choices"][0]["message"]["content"] == "408"
        finally:
            server.terminate()
            await server.communicate()
