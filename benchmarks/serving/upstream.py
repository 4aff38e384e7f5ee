"""The mock upstream: every chat request is answered after 200 ms, a stream's first token comes after 200 ms.

    python -m serving.upstream        prints its port

`/many/v1` takes several samples in one request (`n`), `/single/v1` refuses that with a 400 as some servers do.
Every text is different, so that no cache helps anybody; one sample in five gives a wrong answer.
"""

from __future__ import annotations

import asyncio
import json
from itertools import count
from typing import Any

from aiohttp import web

from .processes import announce

__all__ = ["DELAY", "RIGHT", "TOKENS", "answer", "reply_to"]

DELAY = 0.2
TOKENS = 20
"""Pieces of a streamed answer."""
GAP = 0.005
"""Seconds between them."""
RIGHT = "Answer: 54"
HEAD = (
    b'data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": '
    b'[{"index": %d, "delta": {"content": %b}, "finish_reason": null}]}\n\n'
)

_numbers = count()


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})
    body = json.loads(await request.content.read())  # of any size
    return await reply_to(request, body)


async def reply_to(request: web.BaseRequest, body: dict[str, Any]) -> web.StreamResponse:
    n = body.get("n") or 1
    if n > 1 and request.path.startswith("/single"):
        return web.json_response({"error": {"message": "n must be 1", "param": "n"}}, status=400)
    await asyncio.sleep(DELAY)
    if body.get("stream"):
        return await _streamed(request, n)
    choices = [
        {"index": i, "message": {"role": "assistant", "content": _text()}, "finish_reason": "stop"} for i in range(n)
    ]
    return web.json_response(_common("chat.completion") | {"choices": choices, "usage": _usage(n)})


async def _streamed(request: web.BaseRequest, n: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    texts = [_text() for _ in range(n)]
    for position in range(TOKENS):
        for index, text in enumerate(texts):
            size = -(-len(text) // TOKENS)
            piece = text[position * size : (position + 1) * size]
            await response.write(HEAD % (index, json.dumps(piece).encode()))
        await asyncio.sleep(GAP)
    for index in range(n):
        await response.write(_event({"index": index, "delta": {}, "finish_reason": "stop"}))
    usage = _common("chat.completion.chunk") | {"choices": [], "usage": _usage(n)}
    await response.write(b"data: " + json.dumps(usage).encode() + b"\n\ndata: [DONE]\n\n")
    await response.write_eof()
    return response


def _text() -> str:
    number = next(_numbers)
    result = 54 if number % 5 else 53
    return (
        f"Working {number}. The bakery bakes 7 trays of 12 rolls each, so it has 7 * 12 = 84 rolls at first. "
        f"It sells 30 of them, so 84 - 30 = {result} rolls are left over at the end of the day. Answer: {result}"
    )


def _event(choice: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(_common("chat.completion.chunk") | {"choices": [choice]}).encode() + b"\n\n"


def _common(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "m"}


def _usage(n: int) -> dict[str, Any]:
    return {"prompt_tokens": 25, "completion_tokens": TOKENS * n, "total_tokens": 25 + TOKENS * n}


if __name__ == "__main__":
    announce(answer, fast=True)
