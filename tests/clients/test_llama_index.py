"""LlamaIndex."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from .conftest import VOTE

openai_like = pytest.importorskip("llama_index.llms.openai_like")

ANSWER = "17 * 24 = 408. Answer: 408"


class Product(BaseModel):
    """A product."""

    result: int


@pytest.fixture
def model(url: str) -> Any:
    settings = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 32_000, "max_retries": 0}
    return openai_like.OpenAILike(model=VOTE, api_base=url, api_key="any", **settings)


async def test_chat(model: Any) -> None:
    """Plain, streamed, awaited; the raw reply has our object."""
    assert model.complete("What is 17 * 24?").text == ANSWER
    *_, last = model.stream_complete("What is 17 * 24?")
    assert last.text == ANSWER
    reply = await model.acomplete("What is 17 * 24?")
    assert reply.text == ANSWER
    assert reply.raw.quorate["answer"] == "408"
    assert reply.raw.usage.completion_tokens == 21


def test_an_object(model: Any) -> None:
    """By a call of a function."""
    prompts = pytest.importorskip("llama_index.core.prompts")
    assert model.structured_predict(Product, prompts.PromptTemplate("What is 17 * 24?")) == Product(result=408)


async def test_an_agent(model: Any) -> None:
    """Its tool is called once, and the answer comes back."""
    agents = pytest.importorskip("llama_index.core.agent.workflow")
    seen = []

    def weather(city: str) -> str:
        """How it is."""
        seen.append(city)
        return "sunny"

    agent = agents.FunctionAgent(tools=[weather], llm=model)
    assert str(await agent.run("Weather in Berlin?")) == ANSWER
    assert seen == ["Berlin"]


def test_a_plain_completion(url: str) -> None:
    """By the API before chat."""
    model = openai_like.OpenAILike(model=VOTE, api_base=url, api_key="any", is_chat_model=False, max_retries=0)
    assert model.complete("What is 17 * 24?").text == ANSWER
