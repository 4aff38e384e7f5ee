"""LangChain's ChatOpenAI."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field

from .conftest import VOTE

langchain_openai = pytest.importorskip("langchain_openai")


class Product(BaseModel):
    """The product of two numbers."""

    result: int = Field(description="their product")


class weather(BaseModel):  # noqa: N801 - a tool's name
    """The weather in a city."""

    city: str


@pytest.fixture
def chat(url: str) -> Any:
    return langchain_openai.ChatOpenAI(model=VOTE, base_url=url, api_key="any", max_retries=0, timeout=60)


def test_invoke(chat: Any) -> None:
    """A message, its tokens and its end."""
    message = chat.invoke("What is 17 * 24?")
    assert message.content == "17 * 24 = 408. Answer: 408"
    assert message.usage_metadata["output_tokens"] == 21
    assert message.response_metadata["finish_reason"] == "stop"


def test_stream(chat: Any) -> None:
    """Chunks that add up to the message, with usage."""
    whole = None
    for chunk in chat.stream("What is 17 * 24?", stream_usage=True):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.content == "17 * 24 = 408. Answer: 408"
    assert whole.usage_metadata["output_tokens"] == 21


async def test_batch(chat: Any) -> None:
    """Several at once."""
    messages = await chat.abatch(["What is 17 * 24?"] * 3)
    assert [m.content[-3:] for m in messages] == ["408"] * 3


def test_bind_tools(chat: Any) -> None:
    """A vote over tool calls, plain and streamed."""
    bound = chat.bind_tools([weather])
    [call] = bound.invoke("Weather in Berlin?").tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Berlin"})
    whole = None
    for chunk in bound.stream("Weather in Berlin?"):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.tool_calls[0]["args"] == {"city": "Berlin"}


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat: Any, method: str) -> None:
    """A model of pydantic's comes back, whichever way it is asked for."""
    assert chat.with_structured_output(Product, method=method).invoke("17 * 24?") == Product(result=408)


def test_responses(url: str) -> None:
    """The same through the Responses API, plain and streamed."""
    chat = langchain_openai.ChatOpenAI(model=VOTE, base_url=url, api_key="any", use_responses_api=True)
    assert chat.invoke("What is 17 * 24?").text.endswith("408")
    assert "".join(chunk.text for chunk in chat.stream("What is 17 * 24?")).endswith("408")
