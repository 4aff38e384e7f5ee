"""An upstream that fails in every way: one request in ten gets an error, half a reply, nonsense or nothing at all.

python -m serving.trouble        prints its port
"""

from __future__ import annotations

import asyncio
import random

from aiohttp import web

from . import upstream
from .processes import announce

SHARE = 0.1
"""Of the requests that go wrong."""

_rng = random.Random(7)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "POST" and _rng.random() < SHARE:
        return await _rng.choice(FAULTS)(request)
    return await upstream.answer(request)


async def _status(_: web.BaseRequest) -> web.StreamResponse:
    status = _rng.choice([429, 500, 503])
    return web.json_response({"error": {"message": "in trouble"}}, status=status, headers={"Retry-After": "0"})


async def _nonsense(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b'{"choices": [{"mess', content_type="application/json")


async def _half(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Work"}}]}\n\n')
    return await _gone(request)


async def _gone(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _silent(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


FAULTS = (_status, _nonsense, _half, _gone, _silent)

if __name__ == "__main__":
    upstream.DELAY = 0.02
    upstream.GAP = 0.001
    announce(answer)
