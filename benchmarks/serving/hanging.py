"""An upstream that never answers.

python -m serving.hanging        prints its port
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from . import upstream
from .processes import announce

__all__: list[str] = []


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    if request.method == "POST":
        await asyncio.sleep(3600)
    return await upstream.answer(request)


if __name__ == "__main__":
    announce(answer, fast=True)
