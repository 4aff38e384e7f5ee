"""Endpoint against a real HTTP server: requests, replies, streams, several samples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from quorate import Endpoint, Question, SamplingParams, sample
from quorate.agents import Price
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import CandidateFinished
from quorate.orchestrator.sampling import sample_candidates
from quorate.orchestrator.types import Message
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream

from .asking import draw

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


async def body_of(
    question: Question, *, seed: int | None = None, live: bool = False, **settings: Any
) -> dict[str, Any]:
    """The body that a question is sent with."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url, **settings) as agent:
        await draw(agent, question=question, seed=seed, live=live)
        return up.requests[0].body


async def test_a_question_is_answered() -> None:
    """The simplest use: text in, text out, usage as the server counts it."""
    async with ScriptedUpstream(Reply("It is 408.", usage=(11, 7))) as up, Endpoint("m", base_url=up.url) as agent:
        answer = await agent.answer("What is 17 * 24?")
    assert (answer.text, answer.model, answer.finish_reason) == ("It is 408.", "m", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.requests) == (11, 7, 1)
    assert not answer.usage.estimated
    assert answer.candidates[0].latency is not None


@pytest.mark.parametrize("tail", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_lack_its_version(tail: str) -> None:
    """With or without /v1, with or without a slash."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url.removesuffix("/v1") + tail) as agent:
        assert (await agent.answer("?")).text == "ok"
        assert await agent.models() == ["scripted"]


AZURE = "https://me.openai.azure.com/openai/deployments/gpt"


@pytest.mark.parametrize(
    ("given", "root"),
    [
        ("https://host/v1beta/openai/", "https://host/v1beta/openai"),
        ("https://host/api/v3", "https://host/api/v3"),
        ("https://host/inference", "https://host/inference"),
        ("https://host/openai/", "https://host/openai"),
        ("https://host/v1/chat/completions", "https://host/v1"),
        ("https://host/chat/completions/", "https://host/v1"),
        ("https://host/inference/chat/completions", "https://host/inference"),
        (f"{AZURE}?api-version=2024-10-21", f"{AZURE}?api-version=2024-10-21"),
        (f"{AZURE}/chat/completions?api-version=2024-10-21", f"{AZURE}?api-version=2024-10-21"),
        ("http://host:8000", "http://host:8000/v1"),
    ],
)
def test_an_address_with_a_path_is_left_alone(given: str, root: str) -> None:
    """Servers have their API below paths of their own; a full address of a call is cut back to it."""
    assert str(Endpoint("m", base_url=given).http.root) == root


@pytest.mark.parametrize(
    "path", ["/inference", "/openai/deployments/gpt?api-version=2024-10-21", "/a/chat/completions"]
)
async def test_calls_go_below_the_path_of_the_address(path: str) -> None:
    """With its query."""
    asked = list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]})

    async with serving(answer, "POST") as url, Endpoint("m", base_url=url + path) as agent:
        assert (await draw(agent)).texts == ["ok"]
    before, _, query = path.removesuffix("/chat/completions").partition("?")
    assert asked == [f"{before}/chat/completions" + ("?" + query if query else "")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "http://me:pass-word@host"}, "api_key"),
        ({"api_key": "se\ncret"}, "api_key"),
        ({"base_url": "me:pass-word@host"}, "base_url is not"),
        ({"headers": {"X-Key": "sécret"}}, "header X-Key"),
        ({"headers": {"X Key": "secret"}}, "'X Key' is not the name"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, Any], words: str) -> None:
    """At once and without the secret."""
    with pytest.raises(BadInput, match=words) as caught:
        Endpoint("m", **{"base_url": "http://host", **settings})
    assert "pass-word" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_a_model_needs_a_name() -> None:
    """An empty one is refused."""
    with pytest.raises(BadInput, match="model"):
        Endpoint(" ", base_url="http://host")


async def test_only_what_is_set_is_sent() -> None:
    """The server's own defaults hold for the rest."""
    assert await body_of(Question.of("hi")) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_every_setting_reaches_the_server() -> None:
    """Sampling, tools, format, and fields of the server's own."""
    tool: Mapping[str, Any] = {"type": "function", "function": {"name": "add"}}
    sampling = SamplingParams(
        temperature=0.5, top_p=0.9, top_k=40, max_tokens=7, stop=("\n",), top_logprobs=3, extra={"min_p": 0.1}
    )
    question = Question(
        messages=(Message(role="system", content="Be brief."), Message(role="user", content="hi", name="Ann")),
        tools=(tool,),
        tool_choice="auto",
        response_format={"type": "json_object"},
        sampling=sampling,
    )
    assert await body_of(question, seed=5) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi", "name": "Ann"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 7,
        "stop": ["\n"],
        "seed": 5,
        "logprobs": True,
        "top_logprobs": 3,
        "tools": [tool],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
        "min_p": 0.1,
    }


async def test_the_question_goes_over_the_endpoints_defaults() -> None:
    """Field by field; a seed among the defaults counts where the run has none."""
    defaults = SamplingParams(temperature=0.1, max_tokens=9, seed=3)
    body = await body_of(Question.of("hi").with_params(temperature=0.8), sampling=defaults)
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.8, 9, 3)


async def test_a_body_that_json_cannot_hold_is_the_callers_fault() -> None:
    """It names where to look."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url) as agent:
        with pytest.raises(BadInput, match=r"sampling\.extra"):
            await agent.answer(Question.of("hi").with_params(extra={"x": object()}))


async def test_the_key_and_headers_are_sent() -> None:
    """The key as a bearer token."""
    async with (
        ScriptedUpstream(api_key="sk-1234") as up,
        Endpoint("m", base_url=up.url, api_key="sk-1234", headers={"X-Team": "blue", "user-agent": "me"}) as agent,
    ):
        await agent.answer("?")
    assert up.requests[0].headers["authorization"] == "Bearer sk-1234"
    assert up.requests[0].headers["x-team"] == "blue"
    assert up.requests[0].headers["user-agent"] == "me"


@pytest.mark.parametrize("live", [False, True])
async def test_several_samples_travel_in_one_request(live: bool) -> None:
    """Where the server can; the prompt is counted once, on the first, and all sum to the server's count."""
    async with (
        ScriptedUpstream(Reply(["a b", "c", "d e f"], usage=(10, 6))) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent, 3, live=live, seed=8)
    [request] = up.requests
    seed = RunContext(seed=8).request_seed(range(3))
    assert (request.body["n"], request.body["seed"]) == (3, seed)
    assert result.texts == ["a b", "c", "d e f"]
    assert [c.usage.prompt_tokens for c in result.candidates] == [10, 0, 0]
    assert (result.spent.total_tokens, result.spent.requests, result.spent.estimated) == (16, 1, False)
    assert [c.seed for c in result.candidates] == [seed, None, None]


async def test_a_shared_count_is_marked() -> None:
    """Without the server's word on each choice, its total is shared out; the ledger's entry stays exact."""
    async with (
        ScriptedUpstream(Reply(["x" * 60, "x" * 20], usage=(1, 21))) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent, 2)
    assert [(c.usage.completion_tokens, c.usage.estimated) for c in result.candidates] == [(16, True), (5, True)]
    assert (result.spent.completion_tokens, result.spent.estimated) == (21, False)


@pytest.mark.parametrize("live", [False, True])
async def test_logprobs_make_the_shares_exact(live: bool) -> None:
    """They are one a token; the alternatives come along."""
    question = Question.of("?").with_params(top_logprobs=2)
    async with (
        ScriptedUpstream(Reply(["a b", "c d e"]), refuses=("stream_options",)) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent, 2, question=question, live=live)
    first = result.candidates[0]
    assert first.logprobs is not None
    assert [t.token for t in first.logprobs] == ["a ", "b"]
    assert [len(t.top) for t in first.logprobs] == [2, 2]
    assert [c.usage.completion_tokens for c in result.candidates] == [2, 3]
    assert [c.usage.estimated for c in result.candidates] == [live, live]


@pytest.mark.parametrize("live", [False, True])
async def test_a_server_that_ignores_n_is_found_out_once(live: bool) -> None:
    """What it gave is kept, the rest comes one by one; the next question asks one by one, for the same samples."""
    async with (
        ScriptedUpstream(lambda r: Reply(f"seed {r.body['seed']}", usage=(5, 2)), ignores=("n",)) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent, 3, live=live, seed=1)
        assert len(up.requests) == 3
        again = await draw(agent, 3, live=live, seed=1)
    run = RunContext(seed=1)
    assert result.texts == [f"seed {run.request_seed(range(3))}", *(f"seed {run.sample_seed(i)}" for i in (1, 2))]
    assert again.texts == result.texts
    assert result.spent.requests == 3
    assert [r.body.get("n") for r in up.requests] == [3, None, None, None, None, None]


@pytest.mark.parametrize("live", [False, True])
async def test_a_server_that_refuses_n_is_found_out_once(live: bool) -> None:
    """The refused request counts as a request of the first candidate."""
    async with ScriptedUpstream(Reply("x"), refuses=("n",)) as up, Endpoint("m", base_url=up.url) as agent:
        first = await draw(agent, 3, live=live)
        await draw(agent, 3, live=live)
    assert [c.usage.requests for c in first.candidates] == [2, 1, 1]
    assert [r.body.get("n") for r in up.requests] == [3, *[None] * 6]


async def test_a_refusal_of_greedy_samples_says_nothing_of_others() -> None:
    """vLLM refuses n above 1 at temperature 0 only; greedy ones are asked for singly from then on."""
    async with (
        ScriptedUpstream(
            lambda r: (
                Fault.status(400, "n must be 1 when using greedy sampling, got 2.")
                if r.body.get("n") and r.body.get("temperature") == 0
                else Reply("x")
            )
        ) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        for _ in range(2):
            assert (await draw(agent, 2, question=Question.of("?").with_params(temperature=0))).texts == ["x", "x"]
        await draw(agent, 2)
    assert [r.body.get("n") for r in up.requests] == [2, None, None, None, None, 2]


async def test_a_refusal_that_only_seems_to_be_about_n_is_not_remembered() -> None:
    """It quotes the question; a single request fails as well, so the others are not sent."""
    async with (
        ScriptedUpstream(Fault.status(400, "cannot parse: let n be a prime")) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        for _ in range(2):
            result = await draw(agent, 3)
            assert [c.error.status for c in result.candidates if c.error] == [400, 400, 400]
            assert result.spent.requests == 2
    assert [r.body.get("n") for r in up.requests] == [3, None, 3, None]


async def test_a_server_known_to_lack_n_is_asked_singly() -> None:
    """`n_supported=False` spares the try."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url, n_supported=False) as agent:
        await draw(agent, 2)
    assert [r.body.get("n") for r in up.requests] == [None, None]


async def test_streaming_yields_pieces_as_they_come() -> None:
    """The choices interleaved; joined, the pieces are the text."""
    async with ScriptedUpstream(Reply(["one two", "drei vier"])) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, 2, live=True)
    assert result.tokens(0) == ["one ", "two"]
    assert result.tokens(1) == ["drei ", "vier"]
    assert result.texts == ["one two", "drei vier"]
    assert [c.usage.estimated for c in result.candidates] == [False, False]
    assert up.requests[0].body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


async def test_a_short_sample_ends_before_a_long_one_of_the_same_request() -> None:
    """So that a stopping rule may act on it, with its own tokens exact."""
    chunk = 'data: {{"choices":[{{"index":{},"delta":{{"content":"{}"}},"finish_reason":{}}}],"usage":{}}}\n\n'
    usage = '{{"prompt_tokens":4,"completion_tokens":{}}}'
    lines = [
        chunk.format(0, "a", "null", usage.format(1)),
        chunk.format(1, "b", '"stop"', usage.format(3)),
        chunk.format(0, "c", '"length"', usage.format(2)),
        'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":5}}\n\ndata: [DONE]\n\n',
    ]
    async with ScriptedUpstream(Raw([line.encode() for line in lines])) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, 2, live=True)
    ended = [event.candidate.index for event in result.events if isinstance(event, CandidateFinished)]
    assert ended == [1, 0]
    assert [(c.usage.prompt_tokens, c.usage.completion_tokens) for c in result.candidates] == [(4, 2), (0, 3)]
    assert [c.finish_reason for c in result.candidates] == ["length", "stop"]
    assert result.spent.total_tokens == 9


@pytest.mark.parametrize(
    ("refused", "left"),
    [("stream_options.continuous_usage_stats", {"include_usage": True}), ("stream_options", None)],
)
async def test_stream_options_that_a_server_refuses_are_left_out(refused: str, left: dict[str, bool] | None) -> None:
    """And stay left out."""
    async with ScriptedUpstream(Reply("a b"), refuses=(refused,)) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent, live=True)).texts == ["a b"]
        tries = len(up.requests)
        result = await draw(agent, live=True)
        assert len(up.requests) == tries + 1
        assert up.requests[-1].body.get("stream_options") == left
    assert result.spent.estimated is (left is None)


async def test_max_tokens_takes_the_name_that_the_server_wants() -> None:
    """OpenAI's reasoning models want another one, and say so."""
    async with ScriptedUpstream(refuses=("max_tokens",)) as up, Endpoint("m", base_url=up.url) as agent:
        for _ in range(2):
            await draw(agent, question=Question.of("?").with_params(max_tokens=5))
    assert [("max_tokens" in r.body, r.body.get("max_completion_tokens")) for r in up.requests] == [
        (True, None),
        (False, 5),
        (False, 5),
    ]


async def test_a_refusal_that_cannot_be_helped_is_no_endless_loop() -> None:
    """The caller's own extra fields are sent whatever the server says."""
    question = Question.of("?").with_params(extra={"stream_options": {"include_usage": True}})
    async with ScriptedUpstream(refuses=("stream_options",)) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, question=question, live=True)
    assert result.one.error is not None
    assert len(up.requests) == 1


@pytest.mark.parametrize("live", [False, True])
async def test_a_server_that_does_not_stream_is_no_obstacle(live: bool) -> None:
    """A plain reply to a streaming request is taken as it is."""
    async with ScriptedUpstream(Reply("a b"), ignores=("stream",)) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, live=live)
    assert "".join(result.tokens(0)) == ("a b" if live else "")
    assert result.texts == ["a b"]


@pytest.mark.parametrize("live", [False, True])
async def test_reasoning_is_kept_apart(live: bool) -> None:
    """It has pieces of its own."""
    async with ScriptedUpstream(Reply("4", reasoning="two and two")) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, live=live)
    assert (result.one.text, result.one.reasoning) == ("4", "two and two")
    assert result.tokens(0, reasoning=True) == (["two ", "and ", "two"] if live else [])


@pytest.mark.parametrize("live", [False, True])
async def test_tool_calls_are_collected(live: bool) -> None:
    """Whole, whether they come in one piece or not."""
    reply = Reply("", tool_calls=[CALL], finish_reason="tool_calls")
    async with ScriptedUpstream(reply) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, live=live)
    assert (result.one.tool_calls, result.one.finish_reason) == ((CALL,), "tool_calls")


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    """Name first, then the arguments bit by bit."""
    delta = 'data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{{"index":0,{}}}]}}}}]}}\n\n'
    parts = [
        delta.format('"id":"call_1","type":"function","function":{"name":"add","arguments":""}'),
        delta.format('"function":{"arguments":"{\\"a\\":"}'),
        delta.format('"function":{"arguments":" 1}"}'),
        'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n',
    ]
    async with ScriptedUpstream(Raw([p.encode() for p in parts])) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent, live=True)).one.tool_calls == (CALL,)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
    ],
)
async def test_finish_reasons_are_mapped(sent: str, read: str) -> None:
    """Servers have their own words for the end."""
    async with ScriptedUpstream(Reply("x", finish_reason=sent)) as up, Endpoint("m", base_url=up.url) as agent:
        assert (await draw(agent)).one.finish_reason == read


async def test_prices_make_costs() -> None:
    """For a million tokens, prompt and answer apart; candidates sum to the ledger."""
    async with (
        ScriptedUpstream(Reply("x", usage=(1000, 500))) as up,
        Endpoint("m", base_url=up.url, price=Price(prompt=2.0, completion=8.0)) as agent,
    ):
        result = await draw(agent, 2)
    assert result.spent.cost == pytest.approx(0.006)
    assert sum(c.usage.cost or 0.0 for c in result.candidates) == pytest.approx(0.006)


@pytest.mark.parametrize("live", [False, True])
async def test_reasoning_tokens_are_told(live: bool) -> None:
    """Where the server counts them."""
    usage = '"usage":{"prompt_tokens":1,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":5}}'
    plain = f'{{"choices":[{{"message":{{"content":"x"}},"finish_reason":"stop"}}],{usage}}}'
    async with (
        ScriptedUpstream(Raw([plain.encode()], content_type="application/json")) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        assert (await draw(agent, live=live)).spent.reasoning_tokens == 5


async def test_a_server_that_never_counts_leaves_the_count_to_us() -> None:
    """Marked as our own."""
    async with (
        ScriptedUpstream(Reply("a b c"), ignores=("stream_options",)) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        result = await draw(agent, live=True)
    assert (result.spent.completion_tokens, result.spent.estimated) == (3, True)
    assert result.spent.prompt_tokens > 0


async def test_a_stage_draws_from_an_endpoint() -> None:
    """`sample(endpoint, n)` is what pipelines use."""
    async with ScriptedUpstream(Reply(["a", "b"])) as up, Endpoint("m", base_url=up.url) as agent:
        sampled = await sample_candidates(sample(agent, n=4), Question.of("?"), RunContext(live=False))
    assert [c.text for c in sampled.good] == ["a", "b", "a", "b"]


@asynccontextmanager
async def serving(answer: Any, method: str) -> AsyncIterator[str]:
    """The address of a server that has one answer for every path."""
    app = web.Application()
    app.router.add_route(method, "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


def test_what_an_endpoint_is() -> None:
    """As configured: nothing of it is asked of the server."""
    price, sampling = Price(prompt=1, completion=2), SamplingParams(temperature=0.3)
    identity = Endpoint("org/m", base_url="http://host", name="box", price=price, sampling=sampling).identity
    assert (identity.kind, identity.model, identity.price, identity.sampling) == ("endpoint", "org/m", price, sampling)
    assert identity.context is None
    assert identity.capabilities == {"samples", "tools", "images", "completions", "tokens"}
    assert identity.singles == (identity,)
