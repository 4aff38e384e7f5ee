"""Replies as servers that call themselves OpenAI-compatible really send them, over sockets.

Each case is read by an endpoint and through a client of the openai package, in answer to a plain request and to a
streaming one: what counts is what is sent, not what was asked for.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from quorate import ClientEndpoint, Endpoint, Question
from quorate.agents import RetryPolicy
from quorate.orchestrator.types import Candidate
from quorate.testing import Raw, Reply, ScriptedUpstream

from .asking import draw

ONCE = RetryPolicy(attempts=1)
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
ROME, OSLO = '{"city":"Rome"}', '{"city":"Oslo"}'


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(content: Any = None, finish: Any = None, *, usage: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk of a stream; `more` goes into the delta."""
    said = more if content is None else {"content": content, **more}
    chunk = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": said, "finish_reason": finish}]}
    return chunk if usage is None else {**chunk, "usage": usage}


def message(content: Any, finish: Any = "stop", *, usage: Any = None, choice: Any = None, **more: Any) -> bytes:
    """A whole reply; `more` goes into the message, `choice` beside it."""
    whole = {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}
    return json.dumps({"choices": [{**whole, **(choice or {})}], "usage": usage or USAGE}).encode()


def stream(*chunks: Any, done: bool = True) -> bytes:
    return b"".join(c if isinstance(c, bytes) else event(c) for c in chunks) + (DONE if done else b"")


def quick_client() -> Any:
    """Without the certificates, which take longer to load than all the rest; `openai` takes httpx and its successor."""
    return httpx.AsyncClient(verify=False)


async def read(body: bytes, content_type: str = "text/event-stream") -> Candidate:
    """What all ways of asking make of a reply; it is the same."""
    async with (
        ScriptedUpstream(Raw([body], content_type=content_type)) as up,
        quick_client() as http,
        AsyncOpenAI(base_url=up.url, api_key="k", http_client=http) as client,
        Endpoint("m", base_url=up.url, retries=ONCE) as endpoint,
    ):
        agents = (endpoint, ClientEndpoint(client, "m", retries=ONCE))
        found = [(await draw(agent, live=live)).one for agent in agents for live in (False, True)]
    told = {"latency": None, "error": None, "usage": found[0].usage}
    same = [one.model_copy(update=told) for one in found]
    assert same == [same[0]] * 4
    statuses = [one.error and (one.error.code, one.error.status, one.error.retry_after) for one in found]
    assert statuses == [statuses[0]] * 4
    counts = [(c.usage.prompt_tokens, c.usage.completion_tokens, c.usage.estimated) for c in found if c.ok]
    assert len(set(counts)) <= 1
    return found[0]


# How replies end.


@pytest.mark.parametrize(
    ("reason", "read_as"),
    [
        *(
            (word, "stop")
            for word in ("stop", "STOP", "eos_token", "end_turn", "COMPLETE", "FinishReason.STOP", "stop_str")
        ),
        *(
            (word, "length")
            for word in ("length", "MAX_TOKENS", "model_length", "max-tokens", "REASON_MAX_LEN", "max_tokens_reached")
        ),
        ("FINISH_REASON_MAX_TOKENS", "length"),
        ({"type": "length", "length": 16}, "length"),
        *(
            (word, "content_filter")
            for word in ("SAFETY", "RECITATION", "guardrail_intervened", "refusal", "sensitive")
        ),
        *((word, "tool_calls") for word in ("tool_use", "TOOL_CALL", "function_call", "toolUse")),
    ],
)
async def test_every_servers_word_for_the_end_is_known(reason: Any, read_as: str) -> None:
    """In any case, as a constant's name, as an object."""
    assert (await read(message("12 and", reason))).finish_reason == read_as
    assert (await read(stream(delta("12 and"), delta(finish=reason)))).finish_reason == read_as


@pytest.mark.parametrize("reason", ["error", "abort", "network_error", "OTHER", "MALFORMED_FUNCTION_CALL", "soon", 3])
async def test_any_other_word_for_the_end_is_an_error(reason: Any) -> None:
    """So that a text that broke off is no vote."""
    for body in (message("12 and", reason), stream(delta("12 and"), delta(finish=reason))):
        candidate = await read(body)
        assert candidate.error is not None
        assert (candidate.error.code, candidate.text) == ("upstream_bad_reply", "12 and")


@pytest.mark.parametrize(
    ("chunks", "done", "end"),
    [
        ([delta("12", ""), delta("", "stop")], True, "stop"),
        ([delta("12", "length"), delta(finish="", usage=USAGE)], True, "length"),
        ([delta("12", "length"), delta(finish="stop")], True, "length"),
        ([delta("12", "stop"), delta(finish="null")], False, "stop"),
        ([delta("12", ""), delta("", "")], False, None),
        ([delta("12", ""), delta("", "")], True, None),
        ([delta("12"), delta()], True, None),
        ([delta("12"), {"choices": [], "usage": USAGE}], True, None),
    ],
)
async def test_a_stream_is_complete_only_if_it_said_so(chunks: list[Any], done: bool, end: str | None) -> None:
    """An empty reason is none, and gateways end streams that were cut off with [DONE]."""
    candidate = await read(stream(*chunks, done=done))
    assert (candidate.text, candidate.error is None) == ("12", end is not None)
    assert candidate.finish_reason == (end or "error")


async def test_a_whole_reply_from_a_server_without_reasons_is_complete() -> None:
    """Where the field is missing, not where it is null: that one says that the end has not come."""
    assert (await read(b'{"choices": [{"message": {"content": "4"}}]}')).finish_reason == "stop"
    assert not (await read(message("4", None))).ok


@pytest.mark.parametrize(
    "report",
    [
        {"text": "worker is gone", "error_code": 50002},
        {"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500},
        {"detail": "Internal Server Error"},
        {"error": "engine died"},
        {"type": "error", "message": "engine died"},
        {"message": "engine died"},
        {"modelStreamErrorException": {"message": "engine died"}},
        {"base_resp": {"status_code": 1013, "status_msg": "engine died"}, "choices": None},
        {"success": False, "msg": "engine died"},
        {"choices": [], "error": {"message": "engine died"}},
        [{"error": {"code": 500, "message": "engine died", "status": "INTERNAL"}}],
    ],
)
async def test_an_error_event_is_an_error_whatever_its_shape(report: Any) -> None:
    """With the server's words; what had come stays in the candidate."""
    candidate = await read(stream(delta("The answer is 1"), report))
    assert candidate.error is not None
    assert (candidate.error.code, candidate.error.status // 100) == ("upstream_bad_reply", 5)
    assert any(words in candidate.error.message for words in ("engine died", "worker is gone", "Internal Server"))
    assert candidate.text == "The answer is 1"
    assert not (await read(json.dumps(report).encode(), "application/json")).ok


@pytest.mark.parametrize(
    "lines", [b'error: {"code": 500, "message": "died"}\n\n', b'{"error": {"message": "died"}}\n\n']
)
async def test_an_error_outside_of_events_is_one_too(lines: bytes) -> None:
    """llama.cpp's own field, and bare JSON behind events."""
    candidate = await read(stream(delta("The answer is 1"), lines))
    assert candidate.error is not None
    assert "died" in candidate.error.message


@pytest.mark.parametrize("finish", ["stop", "error", None])
async def test_an_error_inside_a_choice_is_that_choices(finish: str | None) -> None:
    """As OpenRouter tells of its providers, with a reason that may look good."""
    error = {"code": 502, "message": "provider died"}
    whole = message("", finish, choice={"error": error})
    piece = stream(delta("1"), {"choices": [{"index": 0, "delta": {}, "finish_reason": finish, "error": error}]})
    for body in (whole, piece):
        candidate = await read(body)
        assert candidate.error is not None
        assert candidate.error.status == 502
        assert "provider died" in candidate.error.message


@pytest.mark.parametrize("empty", [None, "", {}, {"message": "", "code": None}, False])
async def test_an_empty_error_is_none(empty: Any) -> None:
    """Some servers send the field with every reply."""
    body = json.dumps({**json.loads(message("4")), "error": empty, "code": 0, "message": "Success"}).encode()
    assert (await read(body)).text == "4"
    assert (await read(stream({**delta("4"), "error": empty}, delta(finish="stop")))).text == "4"


@pytest.mark.parametrize(
    "event_of_no_answer",
    [
        {"type": "ping"},
        {},
        {"id": "x", "object": "chat.completion.chunk", "choices": None},
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}], "id": "", "model": "", "object": ""},
    ],
)
async def test_events_without_choices_are_passed_over(event_of_no_answer: Any) -> None:
    """Keep-alives, and what Azure's filter found in the prompt."""
    candidate = await read(stream(event_of_no_answer, delta("4"), event_of_no_answer, delta(finish="stop")))
    assert (candidate.text, candidate.finish_reason) == ("4", "stop")


async def test_of_several_choices_each_ends_for_itself() -> None:
    """One that got no reason while another did is not complete."""
    chunks = [{"choices": [{"index": i, "delta": {"content": "a"}, "finish_reason": None}]} for i in (0, 1)]
    end = {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}
    async with ScriptedUpstream(Raw([stream(*chunks, end)])) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, 2, live=True)
    assert [c.ok for c in result.candidates] == [False, True]


# What they say.


@pytest.mark.parametrize(
    ("content", "text", "thoughts"),
    [
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "6*7"}]}, {"type": "text", "text": "42"}],
            "42",
            "6*7",
        ),
        ([{"type": "text", "text": "4"}, {"type": "text", "text": "2"}], "42", None),
        ([{"type": "output_text", "text": "42", "annotations": []}], "42", None),
        (
            [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "6*7"}]},
                {"type": "text", "text": "42"},
            ],
            "42",
            "6*7",
        ),
        ([{"text": "6*7", "thought": True}, {"text": "42"}], "42", "6*7"),
        ([{"type": "text", "text": {"value": "42"}}, {"type": "reference", "reference_ids": [1]}], "42", None),
        (["4", "2"], "42", None),
        ({"type": "text", "text": "42"}, "42", None),
        ({"parts": [{"text": "42"}]}, "42", None),
    ],
)
async def test_content_in_parts_is_read(content: Any, text: str, thoughts: str | None) -> None:
    """Of Mistral, Databricks, Gemini and others, whole and streamed."""
    for body in (message(content), stream(delta(content), delta(finish="stop"))):
        candidate = await read(body)
        assert (candidate.text, candidate.reasoning) == (text, thoughts)


@pytest.mark.parametrize(
    "thinking",
    [
        {"reasoning_content": "6*7"},
        {"reasoning": "6*7"},
        {"reasoning": {"content": "6*7", "effort": "low"}},
        {"reasoning": [{"type": "text", "text": "6*"}, {"type": "text", "text": "7"}]},
        {"reasoning": [{"summary": [{"text": "6*7"}]}]},
        {"reasoning": "6*7", "reasoning_details": [{"type": "reasoning.text", "text": "6*7"}]},
        {"reasoning": None, "reasoning_details": [{"type": "reasoning.summary", "summary": "6*7"}]},
        {"reasoning_content": "", "thinking_blocks": [{"type": "thinking", "thinking": "6*7", "signature": "x"}]},
        {"thinking": "6*7"},
    ],
)
async def test_thinking_is_read_in_every_shape(thinking: dict[str, Any]) -> None:
    """Once, also where it is told twice."""
    for body in (message("42", **thinking), stream(delta("", **thinking), delta("42"), delta(finish="stop"))):
        candidate = await read(body)
        assert (candidate.text, candidate.reasoning) == ("42", "6*7")


async def test_encrypted_thinking_is_none() -> None:
    """Nor is an object of another kind text."""
    details = [{"type": "reasoning.encrypted", "data": "AbC="}]
    candidate = await read(message("42", reasoning_details=details, reasoning={"effort": "low"}))
    assert (candidate.text, candidate.reasoning) == ("42", None)


@pytest.mark.parametrize("index", [None, "missing"])
async def test_a_choice_may_lack_its_index(index: Any) -> None:
    """There is but one."""
    chunk = delta("42", "stop")
    chunk["choices"][0] |= {"index": None} if index is None else {}
    if index == "missing":
        del chunk["choices"][0]["index"]
    assert (await read(stream(chunk))).text == "42"


async def test_choices_without_indices_are_not_mixed_up() -> None:
    """Several in one event are told apart by their place; one alone cannot be."""
    both = {"choices": [{"index": None, "delta": {"content": word}, "finish_reason": "stop"} for word in "ab"]}
    alone = {"choices": [both["choices"][0]]}
    steps = [Raw([stream(both)]), Raw([stream(alone)])]
    async with ScriptedUpstream(steps) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent, 2, live=True)).texts == ["a", "b"]
        assert not any(c.ok for c in (await draw(agent, 2, live=True)).candidates)


async def test_a_text_completion_is_an_answer() -> None:
    """Some servers answer chats with one."""
    choice = {"index": 0, "text": "42", "finish_reason": "stop"}
    assert (await read(json.dumps({"choices": [choice]}).encode())).text == "42"
    pieces = [{"choices": [{"index": 0, "text": t, "finish_reason": f}]} for t, f in (("4", None), ("2", "stop"))]
    assert (await read(stream(*pieces))).text == "42"


async def test_a_message_behind_its_pieces_says_nothing_new() -> None:
    """Some servers end a stream with all of it."""
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}]}
    both = delta("2", message_too=None)
    both["choices"][0]["message"] = {"content": "42"}
    assert (await read(stream(delta("4"), both, whole))).text == "42"


# Tool calls.


def call(name: str = "", arguments: Any = "", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


@pytest.mark.parametrize(
    "calls",
    [
        [call("look", ROME, id="a", index=0), call("look", OSLO, id="b", index=1)],
        [call("look", ROME, id="a", index=0), call("look", OSLO, id="b", index=0)],
        [call("look", ROME, index=0), call("look", OSLO, index=0)],
        [call("look", ROME, id="a"), call("look", OSLO, id="b")],
        [call("look", ROME, id="a", index=None), call("look", OSLO, id="b", index=None)],
        [call("look", ROME), call("look", OSLO)],
        [call("look", ROME, id=""), call("look", OSLO, id="")],
        [call("look", ROME, id="look"), call("look", OSLO, id="look")],
        [call("look", {"city": "Rome"}, id=1), call("look", {"city": "Oslo"}, id=2)],
        [{"id": "a", "name": "look", "arguments": ROME}, {"id": "b", "name": "look", "arguments": OSLO}],
        [
            {"id": "a", "name": "look", "input": {"city": "Rome"}},
            {"id": "b", "name": "look", "input": {"city": "Oslo"}},
        ],
    ],
)
@pytest.mark.parametrize("finish", ["tool_calls", "stop", "end_turn"])
async def test_two_calls_are_two_calls(calls: list[Any], finish: str) -> None:
    """In one message, in one event and in two, however badly they are numbered."""
    bodies = [
        message(None, finish, tool_calls=calls),
        stream(delta(tool_calls=calls), delta(finish=finish)),
        stream(*(delta(tool_calls=[each]) for each in calls), delta(finish=finish)),
    ]
    for body in bodies:
        candidate = await read(body)
        functions = [made["function"] for made in candidate.tool_calls]
        assert [f["name"] for f in functions] == ["look", "look"]
        assert [json.loads(f["arguments"])["city"] for f in functions] == ["Rome", "Oslo"]
        assert candidate.finish_reason == "tool_calls"
        ids = [made["id"] for made in candidate.tool_calls]
        assert all(isinstance(name, str) and name for name in ids)


@pytest.mark.parametrize(
    "function", [{"name": "look", "arguments": ROME}, {"name": "look", "arguments": {"city": "Rome"}}]
)
async def test_a_legacy_function_call_is_a_tool_call(function: dict[str, Any]) -> None:
    """With an id of ours, which its result can name."""
    for body in (
        message(None, "function_call", function_call=function),
        stream(delta(function_call=function), delta(finish="function_call")),
    ):
        candidate = await read(body)
        [made] = candidate.tool_calls
        assert (made["function"]["name"], json.loads(made["function"]["arguments"])) == ("look", {"city": "Rome"})
        assert made["id"].startswith("call_")
        assert candidate.finish_reason == "tool_calls"


async def test_a_block_of_tool_use_is_a_tool_call() -> None:
    """As Anthropic's models make them behind some gateways."""
    blocks = [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}},
    ]
    candidate = await read(message(blocks, "tool_use"))
    assert candidate.text == "Let me look."
    assert candidate.tool_calls == (
        {"id": "t", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}},
    )


async def test_what_comes_with_a_call_stays_with_it() -> None:
    """Gemini wants its signature back, which may come in a piece of its own."""
    signature = {"extra_content": {"google": {"thought_signature": "xyz"}}}
    pieces = [delta(tool_calls=[call("look", ROME, id="a")]), delta(tool_calls=[signature]), delta(finish="stop")]
    [made] = (await read(stream(*pieces))).tool_calls
    assert made["extra_content"] == signature["extra_content"]
    assert made["function"]["arguments"] == ROME


# How they are framed.

GOOD = [delta("The answer is "), delta("4"), delta(finish="stop", usage=USAGE)]


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json"])
@pytest.mark.parametrize(
    "body",
    [
        stream(*GOOD),
        stream(*GOOD, done=False),
        b"\xef\xbb\xbf" + stream(*GOOD),
        b"\n\n" + stream(*GOOD),
        stream(GOOD[0], b"data:\n\n", *GOOD[1:]),
        stream(b"data: : OPENROUTER PROCESSING\n\n", *GOOD),
        stream(b": OPENROUTER PROCESSING\n\n", *GOOD),
        stream(*(b"data: " + event(chunk) for chunk in GOOD), done=False) + b"data: " + DONE,
        stream(b"data: null\n\n", GOOD[0], b"data: ping\n\n", b"event: ping\ndata: {}\n\n", *GOOD[1:]),
        stream(*GOOD, done=False) + b'data: "[DONE]"\n\n',
        stream(*GOOD, done=False) + b"data:[DONE] \n\n",
        stream(*GOOD).replace(b"\n\n", b"\n"),
        stream(*GOOD).replace(b"\n", b"\r\n"),
        stream([GOOD[0]], GOOD[1:]),
        b"\n".join(json.dumps(chunk).encode() for chunk in GOOD),
        message("The answer is 4"),
        b"\xef\xbb\xbf \n" + message("The answer is 4") + b"\n",
        message("The answer is 4") + b"\n\n" + DONE,
        message("The answer is 4") + b"\n[DONE]",
        b"[" + message("The answer is 4") + b"]",
        event(json.loads(message("The answer is 4"))) + DONE,
        event(json.loads(message("The answer is 4"))),
    ],
)
async def test_a_body_is_read_however_it_is_framed(body: bytes, content_type: str) -> None:
    """Events or a document, whatever was asked for and whatever the headers say, with their usage."""
    candidate = await read(body, content_type)
    assert (candidate.text, candidate.finish_reason, candidate.error) == ("The answer is 4", "stop", None)
    assert (candidate.usage.prompt_tokens, candidate.usage.completion_tokens, candidate.usage.estimated) == (
        5,
        7,
        False,
    )


async def test_words_in_place_of_events_are_quoted() -> None:
    """They say why the end is missing."""
    for body in (b"upstream connect error", stream(delta("The"), b"data: upstream connect error\n\n", done=False)):
        candidate = await read(body)
        assert candidate.error is not None
        assert "upstream connect error" in candidate.error.message


async def test_a_stream_is_told_piece_by_piece() -> None:
    """Behind a mark and comments, too."""
    body = [b"\xef\xbb", b"\xbf", b": hello\n\n", *(event(chunk) for chunk in GOOD), DONE]
    async with ScriptedUpstream(Raw(body)) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent, live=True)).tokens(0) == ["The answer is ", "4"]


# What they count.


@pytest.mark.parametrize(
    ("usage", "counted", "estimated"),
    [
        (USAGE, (5, 7, 0), False),
        ({"prompt_tokens": 5.0, "completion_tokens": 7.0, "total_tokens": 12.0}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 0}, (5, 7, 0), False),
        ({"input_tokens": 5, "output_tokens": 7}, (5, 7, 0), False),
        ({"promptTokens": 5, "completionTokens": 7}, (5, 7, 0), False),
        ({**USAGE, "input_tokens": 0, "output_tokens": 0}, (5, 7, 0), False),
        ({"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 5, "output_tokens": 7}, (5, 7, 0), False),
        ({"input_tokens": 2, "cache_read_input_tokens": 3, "output_tokens": 7}, (5, 7, 0), False),
        ({"prompt_tokens": 5, "total_tokens": 12}, (5, 7, 0), False),
        ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 4}}, (5, 7, 4), False),
        ({"input_tokens": 5, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 4}}, (5, 7, 4), False),
        ({**USAGE, "total_tokens": 329, "completion_tokens_details": {"reasoning_tokens": 317}}, (5, 324, 317), False),
        ({**USAGE, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 3}}, (5, 10, 3), False),
        (
            {
                "prompt_tokens": 21,
                "completion_tokens": 0,
                "total_tokens": 81,
                "completion_tokens_details": {"reasoning_tokens": 60},
            },
            (21, 60, 60),
            False,
        ),
        ({**USAGE, "reasoning_tokens": 4}, (5, 7, 4), False),
        ({**USAGE, "completion_tokens_details": None, "prompt_tokens_details": {"cached_tokens": 2}}, (5, 7, 0), False),
        ({**USAGE, "total_tokens": 112}, (5, 107, 100), True),
        ({**USAGE, "total_tokens": 9}, (5, 7, 0), True),
    ],
)
async def test_accounts_are_whole(usage: Any, counted: tuple[int, int, int], estimated: bool) -> None:
    """Whatever is in the total is booked; what cannot be told apart for certain is marked."""
    for body in (message("4", usage=usage), stream(delta("4", "stop"), {"choices": [], "usage": usage})):
        spent = (await read(body)).usage
        assert (spent.prompt_tokens, spent.completion_tokens, spent.reasoning_tokens) == counted
        assert spent.estimated is estimated


@pytest.mark.parametrize("beside", ["choice", "groq", "event"])
async def test_accounts_are_found_where_they_are(beside: str) -> None:
    """Inside the choice (Moonshot), in Groq's own field, in a last event."""
    end = delta(finish="stop")
    if beside == "choice":
        end["choices"][0]["usage"] = USAGE
    if beside == "groq":
        end["x_groq"] = {"id": "req_1", "usage": USAGE}
    chunks = [delta("4"), end, *([{"choices": [], "usage": USAGE}] if beside == "event" else [])]
    spent = (await read(stream(*chunks))).usage
    assert (spent.prompt_tokens, spent.completion_tokens, spent.estimated) == (5, 7, False)


@pytest.mark.parametrize(
    "usage", [None, 3, {}, [], {"prompt_tokens": 0, "completion_tokens": 0}, {"total_tokens": "many"}]
)
async def test_an_account_that_says_nothing_is_replaced_by_ours(usage: Any) -> None:
    """Marked; the text stands."""
    whole = {**json.loads(message("four by fours")), "usage": usage}
    candidate = await read(json.dumps(whole).encode())
    assert (candidate.text, candidate.usage.completion_tokens, candidate.usage.estimated) == ("four by fours", 4, True)


# What comes with them.

MINUS_INFINITY = float("-inf")


@pytest.mark.parametrize(
    ("logprobs", "known"),
    [
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": None}]}]}, [("4", 0)]),
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": -2.0}]}]}, [("4", 1)]),
        (
            {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "5", "logprob": MINUS_INFINITY}]}]},
            [("4", 0)],
        ),
        ({"content": [{"token": "4", "logprob": -0.1, "top_logprobs": {"4": -0.1, "5": -2}}]}, [("4", 2)]),
        ({"tokens": ["4"], "token_logprobs": [-0.1], "top_logprobs": [{"4": -0.1}]}, [("4", 1)]),
        ({"tokens": ["4"], "token_logprobs": [-0.1]}, [("4", 0)]),
        ({"content": [{"token": "4", "logprob": None}]}, None),
        ({"content": [{"token": "4", "logprob": MINUS_INFINITY}]}, None),
        ({"content": [{"token": None, "logprob": -0.1}]}, None),
        ({"content": [7]}, None),
        ({"content": 7}, None),
        ({"content": None}, None),
        ({}, None),
        (-0.3, None),
        ([], None),
    ],
)
async def test_log_probabilities_never_cost_the_text(logprobs: Any, known: list[tuple[str, int]] | None) -> None:
    """Those that are not known for every token are not known; an alternative without a number is left out."""
    piece = delta("4", "stop")
    piece["choices"][0]["logprobs"] = logprobs
    for body in (message("4", choice={"logprobs": logprobs}), stream(piece)):
        candidate = await read(body)
        assert (candidate.text, candidate.finish_reason) == ("4", "stop")
        found = candidate.logprobs and [(entry.token, len(entry.top)) for entry in candidate.logprobs]
        assert found == known


async def test_one_unknown_log_probability_makes_all_of_a_stream_unknown() -> None:
    """They would be taken for the tokens."""
    pieces = [delta("a"), delta("b"), delta("c", "stop")]
    for piece, value in zip(pieces, (-0.1, None, -0.2), strict=True):
        token = piece["choices"][0]["delta"]["content"]
        piece["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": value, "top_logprobs": []}]}
    candidate = await read(stream(*pieces))
    assert (candidate.text, candidate.logprobs) == ("abc", None)


async def test_odd_ids_and_further_fields_are_nobodys_business() -> None:
    """Numbers, nulls, and what nobody has heard of."""
    odd: dict[str, Any] = {"id": None, "created": "now", "model": 7, "system_fingerprint": {}, "object": None, "x": [1]}
    assert (await read(json.dumps({**json.loads(message("4")), **odd}).encode())).text == "4"
    assert (await read(stream(*({**chunk, **odd} for chunk in GOOD)))).text == "The answer is 4"
    assert (await read(message("4", tool_calls={}, function_call=None, audio=None, annotations=[]))).text == "4"


# Errors by name.


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (
            {"message": "Rate limit reached", "type": "rate_limit_error", "code": "rate_limit_exceeded"},
            429,
            "rate_limited",
        ),
        ({"message": "slow down", "code": "429"}, 429, "rate_limited"),
        ({"message": "slow down", "status": "RESOURCE_EXHAUSTED"}, 429, "rate_limited"),
        ({"message": "slow down", "type": "insufficient_quota"}, 429, "rate_limited"),
        ({"message": "slow down", "code": "Throttling.RateQuota"}, 429, "rate_limited"),
        ({"message": "Rate limit exceeded, retry later"}, 429, "rate_limited"),
        ("Too Many Requests", 429, "rate_limited"),
        ({"message": "busy", "type": "overloaded_error"}, 503, "upstream_bad_reply"),
        ({"message": "busy", "code": "engine_overloaded_error"}, 503, "upstream_bad_reply"),
        (
            {"message": "The model is overloaded. Please try again later.", "status": "UNAVAILABLE"},
            503,
            "upstream_bad_reply",
        ),
        ({"message": "late", "type": "timeout_error"}, 504, "upstream_timeout"),
        ({"message": "no", "type": "invalid_request_error"}, 400, "upstream_rejected"),
        ({"message": "no", "type": "authentication_error"}, 401, "upstream_rejected"),
        ({"message": "no", "code": "model_not_found"}, 404, "upstream_rejected"),
        ({"message": "no", "type": "api_error"}, 502, "upstream_bad_reply"),
    ],
)
async def test_errors_have_the_status_that_their_names_mean(error: Any, status: int, code: str) -> None:
    """Under a status of 200, whole and as an event."""
    for body in (json.dumps({"error": error}).encode(), stream({"error": error}), stream(delta("1"), {"error": error})):
        candidate = await read(body)
        assert candidate.error is not None
        assert (candidate.error.status, candidate.error.code) == (status, code)


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        ({"error": {"code": "rate_limit_exceeded", "message": "Please try again in 1m2.5s."}}, 62.5),
        ({"error": {"code": "rate_limit_exceeded", "message": "Please try again in 250ms. Visit ..."}}, 0.25),
        ({"error": {"code": 429, "message": "x", "details": [{"retryDelay": "38s"}]}}, 38),
        ({"error": {"code": 429, "message": "x", "retry_after": 7}}, 7),
        ({"error": {"code": 400, "message": "Please try again in 5s"}}, None),
    ],
)
async def test_errors_say_when_to_come_back(error: Any, wait: float | None) -> None:
    """In words or in a field, where no header does."""
    candidate = await read(stream(error))
    assert candidate.error is not None
    assert candidate.error.retry_after == wait


@pytest.mark.parametrize("live", [False, True])
async def test_a_busy_server_is_asked_again_whatever_the_status_of_its_reply(live: bool) -> None:
    """As after a 429 or a 503 of HTTP; every try is counted, and the server gets less at once."""
    busy = [
        Raw([stream({"error": {"code": "rate_limit_exceeded", "message": "try again in 1ms"}})]),
        Raw([json.dumps({"error": {"type": "overloaded_error", "message": "busy"}}).encode()]),
    ]
    async with (
        ScriptedUpstream([*busy, Reply("4")]) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(backoff=0.001)) as agent,
    ):
        result = await draw(agent, live=live, question=Question.of("?"))
        assert agent.http.limits().places.limit.cuts == 2
    assert result.texts == ["4"]
    assert result.spent.requests == len(up.requests) == 3


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("n", [1, 2])
async def test_an_error_in_every_choice_is_one_of_the_whole(live: bool, n: int) -> None:
    """Whole, as an event, or behind a piece that says nothing: it is tried again as any other."""
    failed = [{"index": i, "finish_reason": "error", "error": {"code": 502, "message": "provider"}} for i in range(n)]
    whole = {"choices": [{**choice, "message": {"role": "assistant", "content": ""}} for choice in failed]}
    events = {"choices": [{**choice, "delta": {"content": ""}} for choice in failed]}
    steps = [Raw([json.dumps(whole).encode()]), Raw([stream(delta("", role="assistant"), events)]), Reply("4")]
    async with (
        ScriptedUpstream(steps) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(backoff=0.001), n_supported=True) as agent,
    ):
        result = await draw(agent, n, live=live)
    assert result.texts == ["4"] * n
    assert result.spent.requests == len(up.requests) == 3


async def test_a_stream_that_has_begun_is_not_asked_for_again() -> None:
    """Its tokens have been paid for."""
    body = stream(delta("1"), {"error": {"type": "overloaded_error", "message": "busy"}})
    async with ScriptedUpstream(Raw([body])) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert (candidate.error.status, len(up.requests)) == (503, 1)
