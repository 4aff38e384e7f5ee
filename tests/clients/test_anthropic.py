"""Anthropic's own client."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from .conftest import TINY, VOTE

anthropic = pytest.importorskip("anthropic")

MESSAGES: Any = [{"role": "user", "content": "What is 17 * 24?"}]
ANSWER = "17 * 24 = 408. Answer: 408"
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
WEATHER: Any = {
    "name": "weather",
    "description": "How it is",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Product(BaseModel):
    result: int


@pytest.fixture
def client(url: str) -> Any:
    root = url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=root, api_key="any", max_retries=0, timeout=60) as made:
        yield made


def test_a_message(client: Any) -> None:
    """The answer of the vote in the first block, with the tokens of all samples."""
    reply = client.messages.create(model=VOTE, max_tokens=100, messages=MESSAGES, system="Be brief.")
    assert reply.content[0].text == ANSWER
    assert (reply.stop_reason, reply.usage.output_tokens) == ("end_turn", 21)
    assert reply.quorate["answer"] == "408"


def test_a_stream(client: Any) -> None:
    """The client's own accumulator makes the same message of it, with the whole usage."""
    with client.messages.stream(model=VOTE, max_tokens=2000, messages=MESSAGES, thinking=THINKING) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert "text" in kinds
    assert "3/3 sampled: 408 x3" in final.content[0].thinking
    assert final.content[1].text == ANSWER
    assert (final.usage.output_tokens, final.stop_reason) == (21, "end_turn")
    assert final.usage.input_tokens > 0


def test_a_bare_model_streams_its_text(client: Any) -> None:
    """The text helper of the client."""
    with client.messages.stream(model="scripted", max_tokens=100, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == ANSWER


@pytest.mark.parametrize("streamed", [False, True])
def test_tools(client: Any, streamed: bool) -> None:
    """A vote over calls, and the answer after the tool's result."""
    asked = {"model": VOTE, "max_tokens": 100, "tools": [WEATHER]}
    if streamed:
        with client.messages.stream(messages=MESSAGES, **asked) as stream:
            reply = stream.get_final_message()
    else:
        reply = client.messages.create(messages=MESSAGES, **asked)
    [call] = [block for block in reply.content if block.type == "tool_use"]
    assert (call.name, call.input, reply.stop_reason) == ("weather", {"city": "Berlin"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    more = [*MESSAGES, {"role": "assistant", "content": reply.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(messages=more, **asked).content[0].text


def test_the_tool_runner(client: Any) -> None:
    """The client's own loop of an agent."""
    seen = []

    def weather(city: str) -> str:
        """How it is."""
        seen.append(city)
        return "sunny"

    tool = anthropic.beta_tool(weather)
    runner = client.beta.messages.tool_runner(model=VOTE, max_tokens=100, messages=MESSAGES, tools=[tool])
    assert runner.until_done().content[0].text
    assert seen == ["Berlin"]


def test_structured_output(client: Any) -> None:
    """The client parses the winner."""
    reply = client.messages.parse(model=VOTE, max_tokens=100, messages=MESSAGES, output_format=Product)
    assert reply.parsed_output == Product(result=408)


def test_an_embedded_model(client: Any) -> None:
    """A real model behind a real server, and its own count of tokens."""
    ask = [{"role": "user", "content": "A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?"}]
    assert client.messages.create(model=TINY, max_tokens=200, messages=ask).content[0].text
    few = client.messages.count_tokens(model="tiny", messages=ask).input_tokens
    assert few < client.messages.count_tokens(model="tiny", messages=ask, system="one " * 50).input_tokens


def test_models(client: Any) -> None:
    """Listed by name."""
    assert {"scripted", "tiny"} < {model.id for model in client.models.list()}


def test_errors_raise_what_they_are(client: Any) -> None:
    """The client's own exceptions."""
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="nonsense", max_tokens=9, messages=MESSAGES)
    with pytest.raises(anthropic.BadRequestError, match="n: this API gives one message"):
        client.messages.create(model=VOTE, max_tokens=9, messages=MESSAGES, extra_body={"n": 2})


async def test_the_asynchronous_client(url: str) -> None:
    """The same, awaited."""
    async with anthropic.AsyncAnthropic(base_url=url.removesuffix("/v1"), auth_token="any") as client:
        reply = await client.messages.create(model=VOTE, max_tokens=100, messages=MESSAGES)
    assert reply.content[0].text.endswith("408")
