"""What a request cost, by the usage objects that providers document or that were recorded from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.agents import Price
from quorate.agents.endpoint import Endpoint
from quorate.agents.endpoint.response import ReplyChoice
from quorate.agents.endpoint.usage import Counts, UsageSplitter
from quorate.orchestrator.usage import Usage
from quorate.testing import Raw, ScriptedUpstream

from .asking import draw

OPENAI: Any = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 200,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
ANTHROPIC = {
    "input_tokens": 50,
    "cache_read_input_tokens": 100_000,
    "cache_creation_input_tokens": 248,
    "cache_creation": {"ephemeral_5m_input_tokens": 248, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 503,
    "service_tier": "standard",
}
LITELLM = {  # before Anthropic: its words beside OpenAI's
    "prompt_tokens": 100_298,
    "completion_tokens": 503,
    "total_tokens": 100_801,
    "prompt_tokens_details": {"cached_tokens": 100_000, "cache_creation_tokens": 248},
    "cache_creation_input_tokens": 248,
    "cache_read_input_tokens": 100_000,
}
VLLM = {
    "prompt_tokens": 1024,
    "total_tokens": 1056,
    "completion_tokens": 32,
    "prompt_tokens_details": {"cached_tokens": 1008},
}
DEEPSEEK = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_cache_hit_tokens": 100,
    "prompt_cache_miss_tokens": 900,
    "completion_tokens_details": {"reasoning_tokens": 100},
}
GEMINI = {"promptTokenCount": 900, "cachedContentTokenCount": 800, "candidatesTokenCount": 40, "totalTokenCount": 940}
AUDIO = {
    "prompt_tokens": 120,
    "completion_tokens": 250,
    "total_tokens": 370,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 200},
}


def openrouter(prompt: int, completion: int, cost: float, **more: Any) -> dict[str, Any]:
    """As OpenRouter tells it."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": cost,
        "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
        "cost_details": {"upstream_inference_cost": cost},
        "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0, "audio_tokens": 0},
        **more,
    }


def body(usage: dict[str, Any], **more: Any) -> list[bytes]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    return [json.dumps({"choices": [choice], "usage": usage, **more}).encode()]


def stream(usage: dict[str, Any]) -> list[bytes]:
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": "4"}, "finish_reason": None}], "usage": None},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {"choices": [], "usage": usage},
    ]
    return [*(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks), b"data: [DONE]\n\n"]


async def spent(reply: list[bytes], price: Price | None = None) -> Usage:
    """What the ledger of a run holds after it."""
    async with ScriptedUpstream(Raw(reply)) as up, Endpoint("m", base_url=up.url, price=price) as agent:
        return (await draw(agent, live=len(reply) > 1)).spent


@pytest.mark.parametrize(
    ("usage", "counted"),
    [  # prompt, of which cached, written; completion, of which thinking
        (OPENAI, (2006, 1920, 0, 300, 200)),
        (ANTHROPIC, (100_298, 100_000, 248, 503, 0)),
        (LITELLM, (100_298, 100_000, 248, 503, 0)),
        (VLLM, (1024, 1008, 0, 32, 0)),
        (DEEPSEEK, (1000, 100, 0, 500, 100)),
        (GEMINI, (900, 800, 0, 40, 0)),
        ({**VLLM, "prompt_tokens_details": {"cached_tokens": 9999}}, (1024, 1024, 0, 32, 0)),
        ({**VLLM, "prompt_tokens_details": {"cached_tokens": "many"}}, (1024, 0, 0, 32, 0)),
        ({**VLLM, "prompt_tokens_details": None}, (1024, 0, 0, 32, 0)),
    ],
)
async def test_parts_of_an_account(usage: dict[str, Any], counted: tuple[int, ...]) -> None:
    """They are in the ledger, plain and streamed, whatever the server calls them."""
    for reply in (body(usage), stream(usage)):
        found = await spent(reply)
        parts = (found.prompt_tokens, found.cached_tokens, found.cache_write_tokens)
        assert (*parts, found.completion_tokens, found.reasoning_tokens) == counted
        assert not found.estimated


async def test_the_cache_of_llama_cpp() -> None:
    """It stands in the timings beside the usage."""
    usage = {"prompt_tokens": 500, "completion_tokens": 20, "total_tokens": 520}
    found = await spent(body(usage, timings={"cache_n": 480, "prompt_n": 20, "predicted_n": 20}))
    assert (found.prompt_tokens, found.cached_tokens) == (500, 480)


async def test_audio() -> None:
    """It has prices of its own."""
    price = Price(prompt=2.5, completion=10.0, audio_prompt=40.0, audio_completion=80.0)
    found = await spent(body(AUDIO), price)
    assert (found.prompt_audio_tokens, found.completion_audio_tokens) == (100, 200)
    assert found.cost == pytest.approx((20 * 2.5 + 100 * 40 + 50 * 10 + 200 * 80) / 1e6)


@pytest.mark.parametrize(
    ("usage", "price", "bill"),
    [  # with the lists of prices a million tokens, in dollars
        (OPENAI, Price(prompt=2.5, cached=1.25, completion=10.0), (86 * 2.5 + 1920 * 1.25 + 300 * 10) / 1e6),
        (
            ANTHROPIC,
            Price(prompt=3.0, cached=0.3, cache_write=3.75, completion=15.0),
            (50 * 3 + 100_000 * 0.3 + 248 * 3.75 + 503 * 15) / 1e6,
        ),
        (DEEPSEEK, Price(prompt=0.28, cached=0.028, completion=0.42), (900 * 0.28 + 100 * 0.028 + 500 * 0.42) / 1e6),
        # OpenRouter's own figures: Qwen3 Coder 30B, Llama 3 8B, R1T2 Chimera (420 tokens of thinking), Gemma 3n
        (openrouter(4088, 1851, 0.00078593), Price(prompt=0.07, completion=0.27), 0.00078593),
        (openrouter(2375, 601, 9.529e-05), Price(prompt=0.03, completion=0.04), 9.529e-05),
        (openrouter(664, 890, 0.0011782), Price(prompt=0.3, completion=1.1), 0.0011782),
        (openrouter(8089, 1356, 0.00021602), Price(prompt=0.02, completion=0.04), 0.00021602),
        # Claude 3.7 Sonnet behind it, nearly all of the prompt from the cache
        (
            openrouter(15_328, 457, 0.0117111, prompt_tokens_details={"cached_tokens": 15_252}),
            Price(prompt=3.0, cached=0.3, completion=15.0),
            0.0117111,
        ),
    ],
)
async def test_what_we_compute_is_what_the_provider_bills(usage: dict[str, Any], price: Price, bill: float) -> None:
    """Within 1 %, by the list of prices alone; and the provider's own figure where it tells one."""
    silent = {name: value for name, value in usage.items() if name != "cost"}
    for reply in (body(silent), stream(silent)):
        assert (await spent(reply, price)).cost == pytest.approx(bill, rel=0.01)
    if "cost" in usage:
        for told in (body(usage), stream(usage)):
            assert (await spent(told, Price(prompt=1e6, completion=1e6))).cost == bill
            assert (await spent(told)).cost == bill


@pytest.mark.parametrize(
    ("told", "cost"),
    [
        ({"cost": 0.95, "is_byok": True, "cost_details": {"upstream_inference_cost": 19}}, 19.95),
        ({"cost": {"input_tokens_cost": 0.1, "output_tokens_cost": 0.2, "total_cost": 0.3}}, 0.3),
        ({"cost_in_usd_ticks": 318_319_000}, 0.0318319),
        ({"cost": 0}, 0.0),
        ({"cost": "cheap"}, None),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": 1e300}, None),
        ({"cost": None}, None),
    ],
)
async def test_figures_of_providers(told: dict[str, Any], cost: float | None) -> None:
    """OpenRouter with a key of one's own, Perplexity, xAI; what is no amount of money says nothing."""
    found = await spent(body({**VLLM, **told}))
    assert found.cost == (None if cost is None else pytest.approx(cost))
    assert found.completion_tokens == 32


parts = st.integers(0, 100)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), parts, parts, parts, st.floats(0, 10), st.booleans())
def test_shares_sum_to_the_bill(
    sizes: list[int], prompt: int, cached: int, audio: int, cost: float, told: bool
) -> None:
    """However a request's tokens are shared out among its samples, and whichever ended before, nothing is lost."""
    price = Price(prompt=2.0, completion=3.0, cached=0.5, audio_completion=9.0)
    total = Counts(
        prompt + cached,
        sum(sizes) + audio,
        cached=cached,
        completion_audio=audio,
        cost=cost if told else None,
    )
    choices = [ReplyChoice(index, text="x" * size) for index, size in enumerate(sizes)]
    splitter = UsageSplitter(lambda: "prompt", price, tries=1)
    splitter.tries, splitter.total = 1, total
    shares = splitter.rest(choices)
    whole = Usage.total(shares)
    bill = total.to_usage(price, requests=1)
    assert (whole.prompt_tokens, whole.cached_tokens) == (prompt + cached, cached)
    if not splitter.doubted:
        assert (whole.completion_tokens, whole.completion_audio_tokens) == (bill.completion_tokens, audio)
        assert whole.cost == pytest.approx(bill.cost)
    assert all(share.cached_tokens == 0 for share in shares[1:])
