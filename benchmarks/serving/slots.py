"""An upstream that works on so many requests at once, each for the same time, and lets the others wait.

python -m serving.slots SLOTS SECONDS        prints its port
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

from .processes import announce

__all__: list[str] = []

SLOTS, SECONDS = int(sys.argv[1]), float(sys.argv[2])
slots = asyncio.Semaphore(SLOTS)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
    body: dict[str, Any] = json.loads(await request.content.read())
    n = body.get("n") or 1
    async with slots:
        await asyncio.sleep(SECONDS)
    message = {"role": "assistant", "content": "The answer is 54."}
    choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(n)]
    usage = {"prompt_tokens": 30, "completion_tokens": 6 * n, "total_tokens": 30 + 6 * n}
    return web.json_response({"id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage})


if __name__ == "__main__":
    announce(answer, fast=True)
