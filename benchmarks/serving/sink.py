"""Takes whatever is posted to it, as a collector of traces does."""

from __future__ import annotations

from aiohttp import web

from .processes import announce

__all__: list[str] = []


async def taken(request: web.BaseRequest) -> web.StreamResponse:
    await request.read()
    return web.Response(content_type="application/x-protobuf")


if __name__ == "__main__":
    announce(taken)
