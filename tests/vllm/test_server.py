"""Our server in front of a real vLLM server: what a client of ours gets of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from quorate.agents import Endpoint
from quorate.config.catalog import Catalog
from quorate.server import run_server

from .conftest import MODEL

pytestmark = pytest.mark.vllm

VOTE = f"majority@5/{MODEL}"
ASK: Any = [
    {"role": "user", "content": "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"}
]


@pytest_asyncio.fixture
async def client(vllm_url: str) -> AsyncGenerator[AsyncOpenAI, None]:
    catalog = Catalog({MODEL: Endpoint(MODEL, base_url=vllm_url)})
    async with run_server(catalog) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as made:
        yield made


async def test_a_vote(client: AsyncOpenAI) -> None:
    """Five samples of one request; the tokens are those that vLLM counted."""
    reply: Any = await client.chat.completions.create(model=VOTE, messages=ASK, seed=2, temperature=0.7)
    assert reply.choices[0].message.content
    assert 1 <= sum(cluster["votes"] for cluster in reply.quorate["tally"]) <= 5
    [node] = reply.quorate["usage"]["nodes"]
    assert (node["requests"], node["estimated"]) == (1, False)
    assert reply.usage.completion_tokens == node["completion_tokens"] > 50


async def test_a_streamed_vote(client: AsyncOpenAI) -> None:
    """Progress while samples arrive, the answer, and exact usage in the last chunk."""
    stream = await client.chat.completions.create(
        model=VOTE, messages=ASK, seed=2, stream=True, stream_options={"include_usage": True}
    )
    chunks: list[Any] = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "5/5 sampled" in "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert "".join(d.content or "" for d in deltas)
    assert chunks[-1].usage.completion_tokens > 50


async def test_a_budget_cuts_and_counts(client: AsyncOpenAI) -> None:
    """Samples cut short cost what vLLM had told of them by then, not our own guess."""
    reply: Any = await client.chat.completions.create(
        model=VOTE, messages=ASK, temperature=1.0, extra_body={"quorate": {"budget": {"tokens": 120}}}
    )
    assert reply.quorate["stopped"].startswith("budget")
    assert not reply.quorate["usage"]["estimated"]


async def test_structured_output(client: AsyncOpenAI) -> None:
    """vLLM's own fields reach it: it holds even a tiny model to a choice, and the choices vote."""
    extra = {"structured_outputs": {"choice": ["54 rolls", "55 rolls"]}}
    reply: Any = await client.chat.completions.create(model=VOTE, messages=ASK, max_tokens=40, extra_body=extra)
    assert reply.choices[0].message.content in extra["structured_outputs"]["choice"]
    assert sum(cluster["votes"] for cluster in reply.quorate["tally"]) == 5
