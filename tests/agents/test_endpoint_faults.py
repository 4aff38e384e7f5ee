"""Endpoint against a server that fails: retries, errors as values, hostile replies, secrets."""

from __future__ import annotations

import json
import logging
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import pytest

from quorate import Endpoint
from quorate.agents import Rate, RetryPolicy, Timeouts
from quorate.agents.endpoint import http as http_module
from quorate.agents.endpoint.errors import retry_after
from quorate.agents.endpoint.request import LARGEST_REPLY
from quorate.orchestrator.errors import BadInput, NoAnswer, RateLimited, Rejected, Unreachable
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream, Step

from .asking import draw

QUICK = RetryPolicy(backoff=0.001)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(params=["ours", "aiohttp"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the server: our own client, or aiohttp's as with a proxy."""
    if request.param == "aiohttp":
        monkeypatch.setattr(http_module, "LeanSession", None)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(503), Fault.status(429), Fault.close()])
async def test_passing_failures_are_tried_again(fault: Step, live: bool) -> None:
    """Every try counts in the ledger, on the candidate that it was for."""
    async with (
        ScriptedUpstream([fault, fault, Reply("x")]) as up,
        Endpoint("m", base_url=up.url, retries=QUICK) as agent,
    ):
        result = await draw(agent, live=live)
    assert result.texts == ["x"]
    assert result.spent.requests == len(up.requests) == 3


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
async def test_refusals_are_not_tried_again(code: int) -> None:
    """The status survives, with the server's words."""
    async with (
        ScriptedUpstream(Fault.status(code, "no such thing")) as up,
        Endpoint("m", base_url=up.url, retries=QUICK) as agent,
    ):
        candidate = (await draw(agent)).one
    assert len(up.requests) == 1
    assert candidate.error is not None
    assert (candidate.error.status, candidate.error.code) == (code, "upstream_rejected")
    assert f"HTTP {code}: no such thing" in candidate.error.message
    assert (candidate.usage.total_tokens, candidate.usage.requests, candidate.usage.estimated) == (0, 1, False)


async def test_a_429_stays_a_429() -> None:
    """Up to the one who asked, with its Retry-After."""
    async with (
        ScriptedUpstream(Fault.status(429, "slow down", retry_after=0.001)) as up,
        Endpoint("m", base_url=up.url, retries=QUICK) as agent,
    ):
        with pytest.raises(NoAnswer, match="slow down") as caught:
            await agent.answer("?")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rate_limited", 0.001)
    assert len(up.requests) == 3


async def test_a_server_that_asks_for_too_long_a_pause_is_not_waited_for() -> None:
    """Neither is one whose pause would end after the request's time."""
    async with ScriptedUpstream(Fault.status(429, retry_after=61)) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent)).one.error is not None
    assert len(up.requests) == 1
    async with (
        ScriptedUpstream(Fault.status(429, retry_after=30)) as up,
        Endpoint("m", base_url=up.url, timeouts=Timeouts(total=20)) as agent,
    ):
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert (candidate.error.status, candidate.error.retry_after) == (429, 30)


def test_pauses_grow_and_are_seeded() -> None:
    """Doubled each time with a jitter; Retry-After goes over them."""
    retries = RetryPolicy(attempts=4, backoff=1.0, longest=3.0)
    error = RateLimited("x")
    pauses = [retries.pause(error, tried, Random(1)) for tried in (1, 2, 3, 4)]
    assert pauses == [retries.pause(error, tried, Random(1)) for tried in (1, 2, 3, 4)]
    bounds = zip(pauses, (1.0, 2.0, 3.0), strict=False)
    assert all(pause is not None and limit / 2 <= pause <= limit for pause, limit in bounds)
    assert pauses[3] is None
    assert retries.pause(RateLimited("x", retry_after=2.5), 1, Random(1)) == 2.5
    assert retries.pause(RateLimited("x", retry_after=3.5), 1, Random(1)) is None


def test_retry_after_is_read_in_all_its_forms() -> None:
    """Seconds, milliseconds, a date; nonsense counts as none."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "250", "retry-after": "7"}) == 0.25
    assert 28 < (retry_after({"retry-after": soon}) or 0) <= 30
    assert retry_after({"retry-after": past}) == 0
    for nonsense in ("soon", "-3", "nan", "inf", ""):
        assert retry_after({"retry-after": nonsense}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize("value", [0, -1, float("inf"), True, "3"])
@pytest.mark.parametrize(
    ("make", "field"), [(RetryPolicy, "attempts"), (RetryPolicy, "backoff"), (Timeouts, "total"), (Rate, "requests")]
)
def test_limits_are_validated(make: Any, field: str, value: object) -> None:
    """A zero, a negative or an endless one is refused by name."""
    with pytest.raises(BadInput, match=rf"{make.__name__}\({field}\)"):
        make(**{field: value})


async def test_no_server_is_one_clear_line() -> None:
    """It names the address; tried as often as the settings say."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with Endpoint("m", base_url=url, retries=QUICK) as agent:
            candidate = (await draw(agent)).one
            with pytest.raises(Unreachable):
                await agent.models()
    assert candidate.error is not None
    assert candidate.error.message.startswith(f"m at {url}/v1: no connection")
    assert (candidate.error.code, candidate.error.status) == ("upstream_unreachable", 502)
    assert candidate.usage.requests == 3


async def test_an_unknown_host_is_unreachable() -> None:
    """A name that does not resolve."""
    async with Endpoint("m", base_url="http://no-such-host.invalid", retries=RetryPolicy(attempts=1)) as agent:
        with pytest.raises(NoAnswer, match="no connection") as caught:
            await agent.answer("?")
    assert caught.value.code == "upstream_unreachable"


@pytest.mark.parametrize("live", [False, True])
async def test_a_server_that_hangs_times_out(live: bool) -> None:
    """Not tried again: it may be working on it; its prompt counts as spent."""
    async with ScriptedUpstream(Fault.hang()) as up:
        timeouts = Timeouts(total=0.1) if not live else Timeouts(first_byte=0.1)
        async with Endpoint("m", base_url=up.url, timeouts=timeouts) as agent:
            candidate = (await draw(agent, live=live)).one
        await up.wait_until(lambda up: up.in_flight == 0)
    assert candidate.error is not None
    assert (candidate.error.code, candidate.error.status) == ("upstream_timeout", 504)
    assert (candidate.usage.requests, candidate.usage.estimated) == (1, True)
    assert up.requests[0].disconnected


@pytest.mark.parametrize("timeouts", [Timeouts(first_byte=0.5), Timeouts(total=1.0)])
async def test_a_stream_that_stops_coming_times_out(timeouts: Timeouts) -> None:
    """What had come is kept in the failed candidate, with what it cost."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=2)) as up,
        Endpoint("m", base_url=up.url, timeouts=timeouts) as agent,
    ):
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_timeout"
    assert candidate.text == "one two "
    assert (candidate.usage.completion_tokens, candidate.usage.estimated) == (2, False)


@pytest.mark.parametrize("live", [False, True])
async def test_a_connection_that_breaks_midway_fails_the_candidate(live: bool) -> None:
    """Without another try: tokens have been paid for."""
    async with (
        ScriptedUpstream(Fault.close_midway(after_chunks=2)) as up,
        Endpoint("m", base_url=up.url, retries=QUICK) as agent,
    ):
        candidate = (await draw(agent, live=live)).one
    assert len(up.requests) == 1
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"
    assert candidate.text == ("one two " if live else "")
    assert candidate.usage.completion_tokens == (2 if live else 0)


async def test_an_error_in_the_middle_of_a_stream_is_told() -> None:
    """vLLM sends it as an event; its status counts."""
    async with ScriptedUpstream(Fault.error_midway()) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert (candidate.error.status, candidate.text) == (500, "one ")
    assert "scripted failure" in candidate.error.message


async def test_samples_that_were_complete_survive_a_stream_that_breaks() -> None:
    """Only the unfinished one fails."""
    lines = [
        b'data: {"choices":[{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"index":1,"delta":{"content":"par"}}]}\n\n',
    ]
    async with ScriptedUpstream(Raw(lines)) as up, Endpoint("m", base_url=up.url) as agent:
        whole, part = (await draw(agent, 2, live=True)).candidates
    assert whole.ok
    assert part.error is not None
    assert (part.text, part.error.code) == ("par", "upstream_bad_reply")


async def test_one_malformed_choice_spoils_no_other() -> None:
    """The good one already received is kept."""
    choices = [{"message": {"content": "good"}, "finish_reason": "stop"}, {"message": {"content": 7}}]
    async with (
        ScriptedUpstream(Fault.bad_body(json.dumps({"choices": choices}).encode())) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        good, bad = (await draw(agent, 2)).candidates
    assert good.text == "good"
    assert bad.error is not None
    assert "content is a number" in bad.error.message


PLAIN = [
    b"",
    b"<html>Bad gateway</html>",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"choices": null}',
    b'{"choices": []}',
    b'{"choices": {}}',
    b'{"choices": [null]}',
    b'{"choices": [{}]}',
    b'{"choices": [{"message": null}]}',
    b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": 3}]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}',
    b'{"choices": [{"message": {"content": "x", "tool_calls": "add"}}]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": null}]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": ""}]}',
    b'{"choices": [{"message": {"content": "x"}, "finish_reason": "OTHER"}]}',
    b'{"choices": [{"message": {"content": "x", "tool_calls": [3]}}]}',
    b"\xff\xfe",
    b'{"choices": ' + b"[" * 100_000,
    b'{"choices": ' + b"9" * 10_000 + b"}",
]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("body", PLAIN)
async def test_a_malformed_reply_is_a_bad_reply(body: bytes, live: bool) -> None:
    """Never a crash, whatever is sent."""
    async with ScriptedUpstream(Fault.bad_body(body)) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent, live=live)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"
    assert len(candidate.error.message) < 600


STREAMS = [
    b"",
    b"data: [DONE]\n\n",
    b"data: nonsense\n\n",
    b"data: 7\n\n",
    b'data: {"choices": 7}\n\n',
    b'data: {"choices": [7]}\n\n',
    b'data: {"choices": [{"index": "0"}]}\n\n',
    b'data: {"choices": [{"index": 9, "delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"index": 0, "delta": 3}]}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": ""}]}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "SOON"}]}\n\ndata: [DONE]\n\n',
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\ndata: {"choices": [{"ind\n\ndata: [DONE]\n\n',
    b"\x00\xff garbage",
]


@pytest.mark.parametrize("body", STREAMS)
async def test_a_malformed_stream_is_a_bad_reply(body: bytes) -> None:
    """Also one that ends before the answer does."""
    async with ScriptedUpstream(Raw([body])) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"


@pytest.mark.parametrize(
    "usage",
    [None, 3, {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": "1", "completion_tokens": 10**30}],
)
async def test_a_usage_that_makes_no_sense_is_replaced_by_our_own(usage: object) -> None:
    """The answer stands."""
    reply = {"choices": [{"message": {"content": "four by fours"}, "finish_reason": "stop"}], "usage": usage}
    async with (
        ScriptedUpstream(Fault.bad_body(json.dumps(reply).encode())) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent)
    assert result.texts == ["four by fours"]
    assert (result.spent.completion_tokens, result.spent.estimated) == (4, True)


async def test_an_error_under_a_good_status_is_an_error() -> None:
    """Some gateways send one; its code counts as the status."""
    body = b'{"error": {"message": "upstream is busy", "code": 429}}'
    async with ScriptedUpstream(Fault.bad_body(body)) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert (candidate.error.status, candidate.error.code) == (429, "rate_limited")


async def test_an_endless_reply_is_cut_off() -> None:
    """Memory is bounded, whatever a server sends."""
    megabyte = b" " * 2**20
    async with (
        ScriptedUpstream(Raw([megabyte] * (LARGEST_REPLY // 2**20 + 2), content_type="application/json")) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert "larger than" in candidate.error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no", "type": "x", "param": "top_p"}}', "HTTP 400: no (param: top_p)"),
        (b'{"error": "Unauthorized"}', "HTTP 400: Unauthorized"),
        (b'{"detail": "Not Found"}', "HTTP 400: Not Found"),
        (b'{"detail": [{"loc": ["body", "messages"], "msg": "missing"}]}', '"loc": ["body", "messages"]'),
        (b'{"message": "plain"}', "HTTP 400: plain"),
        (b"just\ntext", "HTTP 400: just text"),
        (b"", "HTTP 400"),
        (b"\xff\xfe", "HTTP 400"),
        (b'{"error": {"message": "\\ud800 half"}}', "half"),
        (b"x" * 100_000, "xxx..."),
    ],
)
async def test_a_refusal_is_quoted_in_one_line(body: bytes, words: str) -> None:
    """In whatever shape the server gives its reason."""
    async with ScriptedUpstream(Fault.status(400, body=body)) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert words in candidate.error.message
    assert "\n" not in candidate.error.message
    assert len(candidate.error.message) < 500


async def test_what_is_no_http_is_a_bad_reply() -> None:
    """Some other protocol listens there."""
    import asyncio

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Endpoint("m", base_url=f"http://127.0.0.1:{port}", retries=QUICK) as agent:
            candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"


@pytest.mark.parametrize("live", [False, True])
async def test_the_key_is_never_shown(live: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Not in errors, logs or reprs, not even where the server sends it back, whole or near the cut of its words."""
    caplog.set_level(logging.DEBUG)
    echoes: list[Step] = [
        Fault.status(500, f"bad key {KEY}"),
        Fault.status(400, "y" * 385 + f" Bearer {KEY}"),
        Fault.bad_body(f"not json {KEY}".encode()),
        Raw([b'data: {"error": {"message": "bad key ' + KEY.encode() + b'"}}\n\n']),
        Fault.bad_body(json.dumps({"choices": [{"message": {"content": 3}, "finish_reason": KEY}]}).encode()),
    ]
    for echo in echoes:
        async with ScriptedUpstream(echo) as up:
            agent = Endpoint("m", base_url=up.url, api_key=KEY, headers={"X-Api-Key": KEY[::-1]}, retries=QUICK)
            async with agent:
                result = await draw(agent, live=live)
                error = result.one.error
        assert error is not None
        shown = f"{error} {result.events} {agent!r} {agent.http.errors!r} {caplog.text}"
        for secret in (KEY, KEY[::-1], KEY[:12]):
            assert secret not in shown


async def test_a_key_refused_by_the_server_is_not_shown() -> None:
    """The common 401 quotes it."""
    async with ScriptedUpstream(api_key="another") as up, Endpoint("m", base_url=up.url, api_key=KEY) as agent:
        with pytest.raises(NoAnswer) as caught:
            await agent.answer("?")
    assert caught.value.status == 401
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)
    cause: BaseException | None = caught.value
    while cause is not None:
        assert KEY not in repr(cause)
        cause = cause.__cause__ or cause.__context__


async def test_redirects_are_not_followed() -> None:
    """The key goes to the server that it was given for."""
    step = Raw([b""], status=307, headers={"Location": "http://127.0.0.1:9/v1"})
    async with ScriptedUpstream(step) as up, Endpoint("m", base_url=up.url) as agent:
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert "307" in candidate.error.message


async def test_errors_are_those_of_the_tree() -> None:
    """`models` raises where a question gives a failed candidate."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url + "/wrong", retries=QUICK) as agent:
        with pytest.raises(Rejected, match="404"):
            await agent.models()
