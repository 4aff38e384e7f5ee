"""A pipeline as LangChain's chat model."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, TypedDict

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import OutputParserException
from langchain_core.globals import set_llm_cache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from pydantic import BaseModel, ValidationError

from quorate.agents import Endpoint
from quorate.aggregators import MajorityVote
from quorate.integrations.langchain import ChatQuorate
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Failure, SamplingParams
from quorate.testing import Received, Reply, ScriptedModel, ScriptedUpstream

LINES = ("It is 408", "I say 407", "Answer: 408")


class Product(BaseModel):
    """A product."""

    result: int


class Sum(TypedDict):
    """A sum."""

    total: int


@tool
def weather(city: str) -> str:
    """How it is."""
    return f"sunny in {city}"


def vote(*lines: Any) -> ChatQuorate:
    return ChatQuorate(model=sample(ScriptedModel(lines or LINES), n=3) | MajorityVote())


def test_invoke() -> None:
    """The answer with the tokens of all samples and the votes."""
    message = vote().invoke([SystemMessage("Be brief."), HumanMessage("What is 17 * 24?")])
    assert message.content == "It is 408"
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_tokens"] == 8
    assert message.response_metadata["finish_reason"] == "stop"
    told = message.response_metadata["quorate"]
    assert (told["answer"], told["agreement"]["share"]) == ("408", pytest.approx(2 / 3))
    json.dumps(told)


async def test_every_way_to_ask() -> None:
    """Awaited, in batches, in a chain."""
    chat = vote()
    assert (await chat.ainvoke("17 * 24?")).content == "It is 408"
    assert [message.content for message in await chat.abatch(["17 * 24?"] * 3)] == ["It is 408"] * 3
    chain = ChatPromptTemplate.from_messages([("user", "What is {what}?")]) | chat
    assert (await chain.ainvoke({"what": "17 * 24"})).content == "It is 408"


async def test_streams_add_up_to_the_message() -> None:
    """Word by word of a single model, at once of a vote; usage and votes come with the last chunk."""
    for chat, chunks in ((ChatQuorate(model=ScriptedModel(["It is 408"])), 3), (vote(), 1)):
        whole: Any = None
        told = 0
        for chunk in chat.stream("17 * 24?"):
            told += bool(chunk.content)
            whole = chunk if whole is None else whole + chunk
        assert (whole.content, told) == ("It is 408", chunks)
        assert whole.usage_metadata["output_tokens"] == (3 if chunks == 3 else 8)
        assert whole.response_metadata["quorate"]["stopped"] == "complete"
        assert "".join([str(chunk.content) async for chunk in chat.astream("17 * 24?")]) == "It is 408"


def test_callbacks_hear_of_tokens_and_usage() -> None:
    """As tracers do."""

    class Listener(BaseCallbackHandler):
        tokens: list[str] = []  # noqa: RUF012
        usage: Any = None

        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            self.tokens.append(token)

        def on_llm_end(self, response: Any, **_: Any) -> None:
            self.usage = response.generations[0][0].message.usage_metadata

    listener = Listener()
    list(ChatQuorate(model=ScriptedModel(["It is 408"])).stream("17 * 24?", {"callbacks": [listener]}))
    assert "".join(listener.tokens) == "It is 408"
    assert listener.usage["output_tokens"] == 3


def test_settings_reach_the_models() -> None:
    """Those of the model, and over them those of a call."""
    model = ScriptedModel(["ok"])
    chat = ChatQuorate(model=model, temperature=0.3, max_tokens=20, seed=4, stop=["A"])
    chat.invoke("hello", stop=["B"], temperature=0.9, top_k=5)
    sampling = model.asked[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.seed, sampling.stop) == (0.9, 20, 4, ("B",))
    assert sampling.top_k == 5


def test_thoughts_of_other_models_stay_out() -> None:
    """No chat server reads them back."""
    model = ScriptedModel(["ok"])
    thought = AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}])
    ChatQuorate(model=model).invoke([HumanMessage("why?"), thought, HumanMessage("sure?")])
    assert [message.text for message in model.asked[0].messages] == ["why?", "so", "sure?"]
    assert model.asked[0].messages[1].content == ({"type": "text", "text": "so"},)


def test_langchains_cache_tells_models_apart() -> None:
    """By what they are, and not by their names alone; settings count, too."""
    set_llm_cache(InMemoryCache())
    try:
        with ScriptedUpstream([Reply("one")]) as one, ScriptedUpstream([Reply("two")]) as two:
            models = [
                Endpoint("m", base_url=each.url, sampling=SamplingParams(top_k=k)) for k, each in ((1, one), (2, two))
            ]
            said = [ChatQuorate(model=model).invoke("which?").content for model in (*models, *models)]
            assert said == ["one", "two", "one", "two"]
            assert len(one.requests) == 1
            ChatQuorate(model=models[0], temperature=0.5).invoke("which?")
            assert len(one.requests) == 2
    finally:
        set_llm_cache(None)


def act(received: Received) -> Reply:
    """Calls a tool where there are any, gives JSON where that is asked for."""
    body = received.body
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        function = body["tools"][0]["function"]
        arguments = {"city": "Berlin"} if function["name"] == "weather" else {"result": 408}
        call = {"name": function["name"], "arguments": json.dumps(arguments)}
        return Reply(tool_calls=[{"id": "call_1", "type": "function", "function": call}], finish_reason="tool_calls")
    form = body.get("response_format") or {}
    if form:
        properties = form["json_schema"]["schema"]["properties"]
        return Reply(json.dumps(dict.fromkeys(properties, 408)))
    return Reply("It is sunny.")


def test_tools_and_structured_output() -> None:
    """Calls are voted on, results go back, and objects of a schema are read."""
    with ScriptedUpstream(act) as upstream:
        chat = ChatQuorate(model=sample(Endpoint("m", base_url=upstream.url), n=3) | MajorityVote())
        bound = chat.bind_tools([weather], tool_choice="any")
        message = bound.invoke("Weather in Berlin?")
        [call] = message.tool_calls
        assert (call["name"], call["args"]) == ("weather", {"city": "Berlin"})
        assert upstream.requests[0].body["tool_choice"] == "required"
        whole: Any = None
        for chunk in bound.stream("Weather in Berlin?"):
            whole = chunk if whole is None else whole + chunk
        assert whole.tool_calls[0]["args"] == {"city": "Berlin"}
        said = [HumanMessage("Weather?"), message, ToolMessage("sunny", tool_call_id=call["id"])]
        assert bound.invoke(said).content == "It is sunny."
        chat.bind_tools([weather], tool_choice="weather").invoke("Weather in Berlin?")
        assert upstream.requests[-1].body["tool_choice"]["function"] == {"name": "weather"}

        assert chat.with_structured_output(Product).invoke("17 * 24?") == Product(result=408)
        assert chat.with_structured_output(Product, method="function_calling").invoke("17 * 24?") == Product(result=408)
        assert chat.with_structured_output(Sum).invoke("17 * 24?") == {"total": 408}
        raw = chat.with_structured_output(Product, include_raw=True).invoke("17 * 24?")
        assert (raw["parsed"], raw["parsing_error"], type(raw["raw"])) == (Product(result=408), None, AIMessage)


def test_what_is_no_object_is_told() -> None:
    """Raised, or beside the message where that is wanted."""
    chat = vote("no JSON here")
    with pytest.raises(OutputParserException):
        chat.with_structured_output(Product).invoke("17 * 24?")
    raw = chat.with_structured_output(Product, include_raw=True).invoke("17 * 24?")
    assert raw["parsed"] is None
    assert isinstance(raw["parsing_error"], OutputParserException)


def test_failures_and_wrong_settings_are_ours() -> None:
    """With the library's errors, and pydantic's for a misspelt setting."""
    with pytest.raises(NoAnswer):
        vote(Failure(code="broken", message="it broke")).invoke("17 * 24?")
    with pytest.raises(ValidationError, match="temprature"):
        ChatQuorate.model_validate({"model": ScriptedModel(), "temprature": 1})


def test_a_copy_asks_the_same_model() -> None:
    """Programs copy what holds a model; connections are not copied with it."""
    with ScriptedUpstream([Reply("Answer: 408")], models=("m",)) as upstream:
        endpoint = Endpoint("m", base_url=upstream.url)
        copied = deepcopy(ChatQuorate(model=endpoint, temperature=0.5))
        assert copied.model is endpoint
        assert copied.invoke("What is 17 * 24?").text == "Answer: 408"
