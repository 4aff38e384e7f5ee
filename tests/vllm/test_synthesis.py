"""Synthesis and the gate against a real vLLM server: the calls, what they cost, and how they end.

The model is too small to synthesize anything; whether an answer is right is not asked here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from quorate.agents import Endpoint
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.context import Budget
from quorate.orchestrator.events import AnswerToken, Done

from .asking import TOM
from .conftest import MODEL

pytestmark = pytest.mark.vllm

CALLS = {
    "self-moa": (3, {}, 1),
    "self-moa-seq": (5, {"window": 3, "repeats": 1}, 2),
    "moa": (2, {"layers": 4}, 2 + 2 + 1),
    "aft": (2, {}, 2 + 1),
    "agglm": (3, {}, 1),
    "rsa": (3, {"subset": 2, "loops": 2}, 2 * 3),
    "debate": (3, {"rounds": 1}, 3),
}
"""Candidates, options, and answers drawn after sampling."""

ASKED = TOM.with_params(max_tokens=24, extra={"min_tokens": 8})
"""Some text for certain, whatever a prompt of ours means to so small a model."""


@pytest_asyncio.fixture
async def endpoint(vllm_url: str) -> AsyncGenerator[Endpoint, None]:
    """An agent of the server, closed after the test."""
    async with Endpoint(MODEL, base_url=vllm_url) as agent:
        yield agent


UNDECIDED = {"tied", "lone_vote"}
"""What a vote of a model with random weights may say of itself."""


@pytest.mark.parametrize("name", CALLS)
async def test_every_call_is_made_and_counted(endpoint: Endpoint, name: str) -> None:
    """Each answers, its tokens streamed and counted by the server, under nodes of its own."""
    n, options, calls = CALLS[name]
    pipeline = build_pipeline(name, (endpoint,), n=n, options=options)
    events = [event async for event in pipeline.events(ASKED, seed=1)]
    done = events[-1]
    assert isinstance(done, Done)
    answer = done.answer
    assert {note.code for note in answer.degraded} <= UNDECIDED
    assert answer.text
    streamed = "".join(e.text for e in events if isinstance(e, AnswerToken) and not e.reasoning)
    assert streamed in ("", answer.text)
    inner = [node for node in answer.nodes if node.node != "sample"]
    generated = sum(node.usage.completion_tokens for node in inner)
    assert 8 * calls <= generated <= 24 * calls
    assert not answer.usage.estimated
    assert answer.usage.total_tokens == sum(node.usage.total_tokens for node in answer.nodes)


async def test_a_prompt_that_the_server_refuses(endpoint: Endpoint) -> None:
    """Candidates beyond the server's context are its error, and the vote answers instead."""
    pipeline = build_pipeline("agglm", (endpoint,), n=24)
    answer = await pipeline.answer(TOM.with_params(max_tokens=200, temperature=1.5), seed=1)
    assert "aggregator_failed" in {note.code for note in answer.degraded}
    assert answer.text in {candidate.text for candidate in answer.candidates}


async def test_the_gate_under_a_budget(endpoint: Endpoint) -> None:
    """Whichever way it goes it says so, and the budget bounds what is spent."""
    pipeline = build_pipeline("gate", (endpoint,), n=8, options={"expensive": "agglm"})
    answer = await pipeline.answer(TOM, seed=1, budget=Budget(tokens=1500))
    assert answer.route
    assert answer.usage.total_tokens < 2500
