"""Instructor, which makes objects of replies, over both clients that it stands on."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from .conftest import VOTE

instructor = pytest.importorskip("instructor")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

MESSAGES: Any = [{"role": "user", "content": "What is 17 * 24?"}]


class Product(BaseModel):
    result: int


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA", "RESPONSES_TOOLS"])
def test_objects_from_openais_client(url: str, mode: str) -> None:
    """By tools, by a schema, by the Responses API."""
    client = instructor.from_openai(openai.OpenAI(base_url=url, api_key="any"), mode=instructor.Mode[mode])
    made = client.create(model=VOTE, messages=MESSAGES, response_model=Product, max_retries=0)
    assert made.result == 408


def test_a_partial_object(url: str) -> None:
    """A stream of objects that grow."""
    client = instructor.from_openai(openai.OpenAI(base_url=url, api_key="any"), mode=instructor.Mode.JSON_SCHEMA)
    *_, last = client.create_partial(model=VOTE, messages=MESSAGES, response_model=Product)
    assert last.result == 408


def test_objects_from_anthropics_client(url: str) -> None:
    """By tools of the messages API."""
    client = instructor.from_anthropic(anthropic.Anthropic(base_url=url.removesuffix("/v1"), api_key="any"))
    made = client.create(model=VOTE, messages=MESSAGES, response_model=Product, max_tokens=100, max_retries=0)
    assert made.result == 408
