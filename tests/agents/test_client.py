"""A model behind a client of the user's own: everything that an endpoint does, through the openai package."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from quorate import Budget, ClientEndpoint, MajorityVote, Question, SamplingParams, sample
from quorate.agents import BreakerPolicy, Price, RetryPolicy, Timeouts
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, Rejected
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream, Step

from .asking import Drawing, draw
from .watching import Notes

KEY = "sk-very-secret-0123456789"
OK = Reply("ok")
QUICK = RetryPolicy(backoff=0.001)
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


@asynccontextmanager
async def ask_through(
    script: Any = OK,
    *,
    client: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[tuple[ClientEndpoint, ScriptedUpstream]]:
    """An agent over the official client, and its server."""
    async with (
        ScriptedUpstream(script, **(server or {})) as up,
        AsyncOpenAI(base_url=up.url, api_key=KEY, **(client or {})) as openai,
    ):
        yield ClientEndpoint(openai, "m", **more), up


def mock(answer: Callable[[httpx.Request], httpx.Response]) -> Any:
    """An HTTP client without a network; the official client takes httpx and its successor."""
    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def chat(text: str = "ok") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


async def test_a_question_is_answered() -> None:
    """Text in, text out, usage as the server counts it, with what it costs."""
    async with ask_through(Reply("It is 408.", usage=(11, 7)), price=Price(prompt=1e6, completion=2e6)) as (agent, up):
        answer = await agent.answer("What is 17 * 24?")
    assert (answer.text, answer.model, answer.finish_reason) == ("It is 408.", "m", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.requests) == (11, 7, 1)
    assert (answer.usage.cost, answer.usage.estimated) == (25.0, False)
    assert up.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert up.requests[0].body == {"model": "m", "messages": [{"role": "user", "content": "What is 17 * 24?"}]}


async def test_every_setting_reaches_the_server() -> None:
    """Those that the client knows and those that it does not; messages keep their further fields."""
    sampling = SamplingParams(
        temperature=0.5, top_k=40, max_tokens=7, stop=("\n",), top_logprobs=3, extra={"min_p": 0.1, "stream": None}
    )
    question = Question.of([{"role": "user", "content": "hi", "name": "Ann", "mood": "fine"}]).model_copy(
        update={"sampling": sampling, "tools": ({"type": "function", "function": {"name": "add"}},)}
    )
    async with ask_through() as (agent, up):
        await draw(agent, question=question, seed=5)
    assert up.requests[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi", "name": "Ann", "mood": "fine"}],
        "temperature": 0.5,
        "top_k": 40,
        "max_tokens": 7,
        "stop": ["\n"],
        "seed": 5,
        "logprobs": True,
        "top_logprobs": 3,
        "tools": [{"type": "function", "function": {"name": "add"}}],
        "min_p": 0.1,
        "stream": None,
    }


async def test_streams_come_in_pieces_with_their_usage() -> None:
    """Choices interleaved, reasoning apart, log-probabilities along."""
    question = Question.of("?").with_params(top_logprobs=1)
    async with ask_through(Reply(["one two", "drei vier"], reasoning="hm")) as (agent, up):
        result = await draw(agent, 2, live=True, question=question)
    assert result.tokens(0) == ["one ", "two"]
    assert result.tokens(1) == ["drei ", "vier"]
    assert [c.reasoning for c in result.candidates] == ["hm", "hm"]
    assert all(c.logprobs for c in result.candidates)
    assert [c.usage.estimated for c in result.candidates] == [False, False]
    assert (len(up.requests), up.requests[0].body["n"]) == (1, 2)


@pytest.mark.parametrize("live", [False, True])
async def test_what_a_server_lacks_is_learnt(live: bool) -> None:
    """`n`, stream options, the name of max_tokens: refused once, and never sent again."""
    question = Question.of("?").with_params(max_tokens=5)
    refuses = ("n", "max_tokens", "stream_options.continuous_usage_stats")
    async with ask_through(Reply("x"), server={"refuses": refuses}) as (agent, up):
        first = await draw(agent, 2, live=live, question=question)
        tries = len(up.requests)
        again = await draw(agent, 2, live=live, question=question)
    assert first.texts == again.texts == ["x", "x"]
    assert first.spent.requests == tries > 3
    assert again.spent.requests == len(up.requests) - tries == 2
    assert up.requests[-1].body["max_completion_tokens"] == 5


async def test_tool_calls_are_collected() -> None:
    """As with an endpoint."""
    async with ask_through(Reply("", tool_calls=[CALL], finish_reason="tool_calls")) as (agent, _):
        assert (await draw(agent, live=True)).one.tool_calls == (CALL,)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(429, retry_after=0.001), Fault.close()])
async def test_passing_failures_are_tried_again(fault: Step, live: bool) -> None:
    """By our rules, not the client's, so every try is counted and told."""
    notes = Notes()
    async with ask_through([fault, fault, Reply("x")], retries=QUICK, client={"max_retries": 5}) as (agent, up):
        drawing = Drawing.of([0], live=live, notes=notes)
        await drawing.draw(agent, "?")
    assert drawing.texts == ["x"]
    assert drawing.spent.requests == len(up.requests) == 3
    [noted] = notes.calls
    assert (len(noted.log), noted.log[-1]) == (3, "ok")
    assert [int(r.headers["traceparent"].split("-")[1]) for r in up.requests] == [0, 1, 2]


async def test_the_clients_number_of_retries_holds() -> None:
    """Where no other is given."""
    async with ask_through(Fault.status(500, "no"), client={"max_retries": 1}) as (agent, up):
        result = await draw(agent)
    assert result.one.error is not None
    assert len(up.requests) == result.spent.requests == 2


async def test_a_429_says_when_to_come_back() -> None:
    """Its Retry-After survives, and nothing is sent before."""
    async with ask_through(Fault.status(429, "slow down", retry_after=70)) as (agent, up):
        with pytest.raises(NoAnswer, match="slow down") as caught:
            await agent.answer("?")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rate_limited", 70)
    assert len(up.requests) == 1


@pytest.mark.parametrize("live", [False, True])
async def test_a_server_that_hangs_times_out(live: bool) -> None:
    """By our timeouts where they are given, else by the client's; its prompt counts as spent."""
    ours = {"timeouts": Timeouts(total=0.2, first_byte=0.2)}
    theirs = {"client": {"timeout": 0.2, "max_retries": 0}}
    for settings in (ours, theirs):
        async with ask_through(Fault.hang(), retries=RetryPolicy(attempts=1), **settings) as (agent, up):
            candidate = (await draw(agent, live=live)).one
            await up.wait_until(lambda up: up.in_flight == 0)
        assert candidate.error is not None
        assert (candidate.error.code, candidate.error.status) == ("upstream_timeout", 504)
        assert (candidate.usage.requests, candidate.usage.estimated) == (1, True)


@pytest.mark.parametrize("timeouts", [Timeouts(first_byte=0.3), Timeouts(total=0.3)])
async def test_a_stream_that_stops_coming_times_out(timeouts: Timeouts) -> None:
    """What had come is kept, with what it cost."""
    async with ask_through(Fault.hang(after_chunks=2), timeouts=timeouts) as (agent, _):
        candidate = (await draw(agent, live=True)).one
    assert candidate.error is not None
    assert (candidate.error.code, candidate.text) == ("upstream_timeout", "one two ")
    assert (candidate.usage.completion_tokens, candidate.usage.estimated) == (2, False)


@pytest.mark.parametrize("live", [False, True])
async def test_a_connection_that_breaks_midway_fails_the_candidate(live: bool) -> None:
    """Without another try."""
    async with ask_through(Fault.close_midway(after_chunks=2), retries=QUICK) as (agent, up):
        candidate = (await draw(agent, live=live)).one
    assert len(up.requests) == 1
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"
    assert candidate.text == ("one two " if live else "")


async def test_no_server_is_one_clear_line() -> None:
    """Tried as often as the settings say."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with AsyncOpenAI(base_url=url, api_key=KEY) as client:
            candidate = (await draw(ClientEndpoint(client, "m", retries=QUICK))).one
    assert candidate.error is not None
    assert candidate.error.message.startswith(f"m at {url}: no connection")
    assert (candidate.error.code, candidate.error.status) == ("upstream_unreachable", 502)
    assert candidate.usage.requests == 3


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}'])
async def test_a_malformed_reply_is_a_bad_reply(body: bytes) -> None:
    """Read by the endpoint's own parser."""
    async with ask_through(Fault.bad_body(body)) as (agent, _):
        candidate = (await draw(agent)).one
    assert candidate.error is not None
    assert candidate.error.code == "upstream_bad_reply"


async def test_a_broken_compression_is_a_bad_reply() -> None:
    """A whole one is read."""
    whole = gzip.compress(json.dumps(chat("small")).encode())
    steps = [
        Raw([body], content_type="application/json", headers={"Content-Encoding": "gzip"})
        for body in (whole, whole[:12] + b"\xff" * 40)
    ]
    async with ask_through(steps) as (agent, _):
        assert (await draw(agent)).texts == ["small"]
        broken = (await draw(agent)).one
    assert broken.error is not None
    assert "compression" in broken.error.message


@pytest.mark.parametrize("live", [False, True])
async def test_leaving_closes_the_request_and_counts_it(live: bool) -> None:
    """Midway by the server's own count, before its first byte by ours."""
    async with ask_through(Fault.hang(after_chunks=3 if live else None)) as (agent, up):
        drawing = Drawing.of([0], live=live)
        if live:
            await drawing.cut_off(agent, lambda drawing: drawing.token_count == 3)
        else:
            task = asyncio.create_task(drawing.draw(agent, "How many?"))
            await up.wait_until(lambda up: up.in_flight == 1)
            await drawing.let_go(task)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert up.requests[0].disconnected
    assert drawing.one.finish_reason == "cancelled"
    assert drawing.one.usage == drawing.spent
    assert (drawing.spent.requests, drawing.spent.estimated) == (1, not live)
    assert drawing.spent.completion_tokens == (3 if live else 0)


async def test_a_budget_of_time_gives_what_had_come() -> None:
    """As of any model."""
    async with ask_through(Fault.hang(after_chunks=3)) as (agent, up):
        answer = await agent.answer("?", budget=Budget(seconds=0.5))
        await up.wait_until(lambda up: up.in_flight == 0)
    assert (answer.text, answer.finish_reason) == ("one two three ", "length")


async def test_no_more_requests_at_once_than_allowed() -> None:
    """`concurrency` is a ceiling here too."""
    async with ask_through(Reply("x", delay=0.01), concurrency=2, n_supported=False) as (agent, up):
        vote = await (sample(agent, n=6) | MajorityVote()).answer("?")
    assert len(vote.candidates) == 6
    assert up.most_in_flight == 2


async def test_an_open_circuit_is_not_asked() -> None:
    """After failures enough."""
    breaker = BreakerPolicy(failures=2, pause=60)
    async with ask_through(Fault.status(500), retries=RetryPolicy(attempts=1), breaker=breaker) as (agent, up):
        for number in range(3):
            await draw(agent, question=f"{number}?")
        assert not agent.available
    assert len(up.requests) == 2


async def test_a_transport_of_ones_own_is_used() -> None:
    """A mock here; a proxy, certificates or a signature are no different."""
    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=chat("from nowhere"))

    async with mock(answer) as http, AsyncOpenAI(api_key=KEY, http_client=http) as client:
        answered = await ClientEndpoint(client, "gpt-4o").answer("?")
    assert answered.text == "from nowhere"
    assert str(seen[0].url) == "https://api.openai.com/v1/chat/completions"


async def test_azure_has_its_own_address_and_key() -> None:
    """The deployment stands in the path, the version in the query, the key in a header."""
    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if len(seen) == 1:
            return httpx.Response(429, json={"error": {"message": f"wait, {KEY}"}}, headers={"retry-after-ms": "1"})
        return httpx.Response(200, json=chat())

    async with (
        mock(answer) as http,
        AsyncAzureOpenAI(
            azure_endpoint="https://me.openai.azure.com", api_key=KEY, api_version="2024-10-21", http_client=http
        ) as client,
    ):
        agent = ClientEndpoint(client, "my-gpt", name="gpt")
        result = await draw(agent)
    assert (result.texts, result.one.model, result.one.agent) == (["ok"], "my-gpt", "gpt")
    assert result.spent.requests == 2
    url = "https://me.openai.azure.com/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert [str(request.url) for request in seen] == [url, url]
    assert seen[0].headers["api-key"] == KEY
    assert agent.served.transport.server == "https://me.openai.azure.com/openai"


async def test_a_token_that_cannot_be_had_is_told() -> None:
    """Whoever gives it out may be down; then nothing is sent, and it is asked again like a server."""
    asked = list[None]()

    async def provider() -> str:
        asked.append(None)
        raise RuntimeError("the directory is down")

    client = AsyncAzureOpenAI(
        azure_endpoint="https://me.openai.azure.com", azure_ad_token_provider=provider, api_version="2024-10-21"
    )
    async with client:
        candidate = (await draw(ClientEndpoint(client, "m", retries=QUICK))).one
    assert candidate.error is not None
    assert (candidate.error.code, len(asked)) == ("upstream_unreachable", 3)
    assert "RuntimeError: the directory is down" in candidate.error.message


async def test_secrets_are_never_shown() -> None:
    """The key and headers that hold one, where a server sends them back."""
    step = Fault.status(400, f"bad key {KEY} and {KEY[::-1]}")
    headers = {"X-Api-Key": KEY[::-1], "X-Team": "blue"}
    async with ask_through(step, client={"default_headers": headers}) as (agent, _):
        candidate = (await draw(agent)).one
        shown = f"{candidate} {agent!r}"
    assert "bad key *** and ***" in shown
    assert KEY not in shown
    assert KEY[::-1] not in shown


async def test_it_lists_models() -> None:
    """And is what an endpoint is."""
    price = Price(prompt=1, completion=2)
    async with ask_through(server={"models": ("a", "b")}, price=price) as (agent, _):
        assert await agent.models() == ["a", "b"]
        identity = agent.identity
    assert (identity.kind, identity.model, identity.price) == ("endpoint", "m", price)
    async with ask_through(Reply("x"), server={"api_key": "another"}) as (agent, _):
        with pytest.raises(Rejected, match="401"):
            await agent.models()


async def test_the_client_stays_its_owners() -> None:
    """Closing the agent closes nothing."""
    async with ask_through() as (agent, _):
        await agent.aclose()
        assert not agent.client.is_closed()
        assert (await draw(agent)).texts == ["ok"]


async def test_what_is_no_client_is_refused() -> None:
    """Nor a model without a name, nor a body that cannot be sent."""
    with pytest.raises(BadInput, match=r"openai\.AsyncOpenAI"):
        ClientEndpoint(object(), "m")  # type: ignore[arg-type]
    async with ask_through() as (agent, up):
        with pytest.raises(BadInput, match="empty"):
            ClientEndpoint(agent.client, " ")
        with pytest.raises(BadInput, match=r"sampling\.extra"):
            await agent.answer(Question.of("hi").with_params(extra={"x": object()}), RunContext())
    assert not up.requests
