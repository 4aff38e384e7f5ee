"""LiteLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import VOTE
from .test_openai import MESSAGES, WEATHER

litellm = pytest.importorskip("litellm")


@pytest.fixture
def asked(url: str) -> dict[str, Any]:
    return {"model": f"openai/{VOTE}", "api_base": url, "api_key": "any", "messages": MESSAGES, "num_retries": 0}


def test_completion(asked: dict[str, Any]) -> None:
    """The answer and its tokens; our own settings pass through."""
    reply = litellm.completion(**asked, extra_body={"quorate": {"n": 2}})
    assert reply.choices[0].message.content.endswith("408")
    assert reply.usage.completion_tokens == 14


def test_stream(asked: dict[str, Any]) -> None:
    """Progress as reasoning, then the answer; LiteLLM builds the same message of the chunks."""
    chunks = list(litellm.completion(**asked, stream=True, stream_options={"include_usage": True}))
    built = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    assert built.choices[0].message.content.endswith("408")
    assert built.usage.completion_tokens == 21


def test_tools(asked: dict[str, Any]) -> None:
    """A tool call as LiteLLM knows it."""
    [call] = litellm.completion(**asked, tools=[WEATHER]).choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Berlin"}


async def test_asynchronously(asked: dict[str, Any]) -> None:
    """The same, awaited."""
    assert (await litellm.acompletion(**asked)).choices[0].message.content.endswith("408")


def test_errors(asked: dict[str, Any]) -> None:
    """Its own exceptions, by status."""
    with pytest.raises(litellm.BadRequestError):
        litellm.completion(**asked, temperature=-1)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**asked, "model": "openai/nonsense"})
