"""A server on a real socket, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from quorate.config.catalog import Catalog
from quorate.orchestrator.protocols import Model
from quorate.server import ServerSettings, run_server

__all__ = ["Serving", "asked", "wait_until", "wait_until_queued"]


class Serving:
    """A running server with a client of each kind."""

    def __init__(self, url: str, http: httpx.AsyncClient, openai: AsyncOpenAI) -> None:
        self.url = url
        self.http = http
        self.openai = openai

    async def post(self, **body: Any) -> httpx.Response:
        return await self.http.post("/v1/chat/completions", json={**asked(), **body})


def asked(text: str = "hello there") -> dict[str, Any]:
    """The smallest body."""
    return {"model": "echo", "messages": [{"role": "user", "content": text}]}


async def wait_until(check: Callable[[], bool | Awaitable[bool]]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(30):
        while not (await found if isinstance(found := check(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def wait_until_queued(http: httpx.AsyncClient, requests: int) -> None:
    """Returns when so many wait for their turn."""

    async def are_queued() -> bool:
        return f"quorate_queue_length {requests}.0" in (await http.get("/metrics")).text

    await wait_until(are_queued)


Start = Callable[..., AbstractAsyncContextManager[Serving]]


@pytest.fixture
def start() -> Start:
    """`async with start(model, pipelines={...}, max_n=2) as served:`"""

    @asynccontextmanager
    async def started(
        *models: Model, pipelines: dict[str, Model] | None = None, catalog: Catalog | None = None, **settings: Any
    ) -> AsyncGenerator[Serving, None]:
        catalog = catalog or Catalog({model.name: model for model in models}, pipelines or {})
        async with (
            run_server(catalog, ServerSettings(port=0, **settings)) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as http,
            AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as openai,
        ):
            yield Serving(url, http, openai)

    return started
