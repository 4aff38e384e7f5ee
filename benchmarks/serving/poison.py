"""An upstream that answers after 50 ms, but for prompts that it always fails of.

    python -m serving.poison        prints its port

One with the word "poison" gets a 500 at once, one with "later" a 503 with Retry-After: 60.
"""

from __future__ import annotations

import json

from aiohttp import web

from . import upstream
from .processes import announce


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "GET":
        return await upstream.answer(request)
    body = json.loads(await request.content.read())
    said = str(body["messages"])
    if "poison" in said:
        return web.json_response({"error": {"message": "out of luck"}}, status=500)
    if "later" in said:
        return web.json_response({"error": {"message": "not now"}}, status=503, headers={"Retry-After": "60"})
    return await upstream.reply_to(request, body)


if __name__ == "__main__":
    upstream.DELAY = 0.05
    announce(answer, fast=True)
