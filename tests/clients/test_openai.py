"""OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from .conftest import TINY, VOTE

openai = pytest.importorskip("openai")

MESSAGES: Any = [{"role": "user", "content": "What is 17 * 24?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Product(BaseModel):
    result: int


@pytest.fixture
def client(url: str) -> Any:
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=60) as made:
        yield made


def test_models(client: Any) -> None:
    """Listed, and found by name."""
    names = [model.id for model in client.models.list()]
    assert {"scripted", "tiny"} < set(names)
    assert client.models.retrieve(VOTE).id == VOTE


def test_chat(client: Any) -> None:
    """The answer of the vote, with the tokens of all samples."""
    reply = client.chat.completions.create(model=VOTE, messages=MESSAGES, seed=1)
    assert reply.choices[0].message.content == "17 * 24 = 408. Answer: 408"
    assert reply.quorate["answer"] == "408"
    assert reply.usage.completion_tokens == 21
    assert reply.model == VOTE


def test_chat_streams(client: Any) -> None:
    """Progress as reasoning, then the answer, its end and the usage."""
    stream = client.chat.completions.create(
        model=VOTE, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(d.content or "" for d in deltas) == "17 * 24 = 408. Answer: 408"
    assert "3/3 sampled: 408 x3" in "".join(getattr(d, "reasoning_content", None) or "" for d in deltas)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens == 21


def test_the_stream_helper(client: Any) -> None:
    """The client's own accumulator makes the same completion of it."""
    with client.chat.completions.stream(model=VOTE, messages=MESSAGES) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.content == "17 * 24 = 408. Answer: 408"


def test_an_embedded_model(client: Any) -> None:
    """A real model behind a real server."""
    ask = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"
    reply = client.chat.completions.create(model=TINY, messages=[{"role": "user", "content": ask}], seed=3)
    assert reply.choices[0].message.content
    assert sum(cluster["votes"] for cluster in reply.quorate["tally"]) <= 4
    assert reply.usage.completion_tokens > 20


def test_tools(client: Any) -> None:
    """A vote over calls, and the answer after the tool's result."""
    reply = client.chat.completions.create(model=VOTE, messages=MESSAGES, tools=[WEATHER])
    [call] = reply.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Berlin"})
    assert reply.choices[0].finish_reason == "tool_calls"
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    more = [*MESSAGES, reply.choices[0].message.model_dump(exclude_none=True), result]
    assert client.chat.completions.create(model=VOTE, messages=more, tools=[WEATHER]).choices[0].message.content


def test_tools_stream(client: Any) -> None:
    """The call's pieces joined are the call."""
    with client.chat.completions.stream(model=VOTE, messages=MESSAGES, tools=[WEATHER]) as stream:
        [call] = stream.until_done().get_final_completion().choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Berlin"}


def test_structured_output(client: Any) -> None:
    """Documents vote field by field, and the client parses the winner."""
    reply = client.chat.completions.parse(model=VOTE, messages=MESSAGES, response_format=Product)
    assert reply.choices[0].message.parsed == Product(result=408)


def test_several_choices(client: Any) -> None:
    """OpenAI's n: that many answers."""
    reply = client.chat.completions.create(model=VOTE, messages=MESSAGES, n=2)
    assert [choice.index for choice in reply.choices] == [0, 1]


def test_completions(client: Any) -> None:
    """A text continued."""
    reply = client.completions.create(model=VOTE, prompt="17 * 24 =", max_tokens=20)
    assert "408" in reply.choices[0].text


def test_responses(client: Any) -> None:
    """The newer API: text, usage, instructions."""
    reply = client.responses.create(model=VOTE, input="What is 17 * 24?", instructions="Be brief.")
    assert reply.output_text == "17 * 24 = 408. Answer: 408"
    assert reply.status == "completed"
    assert reply.usage.output_tokens == 21


def test_responses_stream(client: Any) -> None:
    """Typed events whose text deltas are the answer."""
    with client.responses.stream(model=VOTE, input="What is 17 * 24?") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == "17 * 24 = 408. Answer: 408"


def test_responses_call_tools(client: Any) -> None:
    """A function call as an item of the output."""
    tool = {"type": "function", **WEATHER["function"]}
    reply = client.responses.create(model=VOTE, input="Weather in Berlin?", tools=[tool])
    [call] = [item for item in reply.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Berlin"}


def test_responses_parse(client: Any) -> None:
    """Structured output of the newer API."""
    reply = client.responses.parse(model=VOTE, input="What is 17 * 24?", text_format=Product)
    assert reply.output_parsed == Product(result=408)


def test_errors_raise_what_they_are(client: Any) -> None:
    """A bad field and an unknown model are the client's own exceptions, with the field's name."""
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nonsense", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=VOTE, messages=MESSAGES, temperature=-1)
    assert caught.value.param == "temperature"


async def test_the_asynchronous_client(url: str) -> None:
    """The same, awaited."""
    async with openai.AsyncOpenAI(base_url=url, api_key="any") as client:
        reply = await client.chat.completions.create(model=VOTE, messages=MESSAGES)
    assert reply.choices[0].message.content.endswith("408")
