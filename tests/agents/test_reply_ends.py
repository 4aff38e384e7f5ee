"""How replies end, well or in an error, in all the words that servers have for it; over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate import Endpoint, Question
from quorate.agents import RetryPolicy
from quorate.testing import Raw, Reply, ScriptedUpstream

from .asking import draw
from .replies import USAGE, delta, message, read, stream


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
