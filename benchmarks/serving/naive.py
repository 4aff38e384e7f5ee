"""What one would write in an afternoon: an aiohttp proxy, and one that asks five times and counts.

    python -m serving.naive UPSTREAM        prints its port

No validation, no equivalence, no usage, no errors handled: the least that the work can cost in Python.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from .processes import announce

FIVE = 5


class Naive:
    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=4)
        async with aiohttp.ClientSession(connector=connector) as self._session:
            yield

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        if body["model"] == "m":
            return await self._streamed(request, body) if body.get("stream") else await self._passed(body)
        if body["model"] == "vote-n":
            reply = await self._asked("many", {**body, "model": "m", "n": FIVE})
            return _voted([choice["message"]["content"] for choice in reply["choices"]])
        calls = [self._asked("single", {**body, "model": "m"}) for _ in range(FIVE)]
        return _voted([reply["choices"][0]["message"]["content"] for reply in await asyncio.gather(*calls)])

    async def _asked(self, kind: str, body: dict[str, Any]) -> Any:
        async with self._session.post(f"{self._upstream}/{kind}/v1/chat/completions", json=body) as reply:
            return await reply.json()

    async def _passed(self, body: dict[str, Any]) -> web.Response:
        return web.json_response(await self._asked("many", body))

    async def _streamed(self, request: web.BaseRequest, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        async with self._session.post(f"{self._upstream}/many/v1/chat/completions", json=body) as reply:
            await response.prepare(request)
            async for piece in reply.content.iter_any():
                await response.write(piece)
        await response.write_eof()
        return response


def _voted(texts: list[str]) -> web.Response:
    answers = [re.findall(r"-?\d+", text)[-1] for text in texts]
    winner, _ = Counter(answers).most_common(1)[0]
    text = texts[answers.index(winner)]
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return web.json_response({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


if __name__ == "__main__":
    naive = Naive(sys.argv[1])
    announce(naive, around=naive.session)
