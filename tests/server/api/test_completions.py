"""Text completions: passed on to servers that have them, written by pipelines and other models."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from quorate.agents.endpoint import Endpoint, Price, RetryPolicy
from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Failure
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..conftest import Serving, Start
from ..scripted import Echo, Merged, Plurality
from ..telemetry.scraping import scraped


async def posted(served: Serving, **body: Any) -> dict[str, Any]:
    reply = await served.http.post("/v1/completions", json={"model": "m", "prompt": "one two", **body})
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def endpoint(upstream: ScriptedUpstream, **settings: Any) -> Endpoint:
    return Endpoint("org/model", name="m", base_url=upstream.url, retries=RetryPolicy(attempts=1), **settings)


# Passed on.


async def test_a_single_model_gets_the_request_as_it_is(start: Start) -> None:
    """All that was set reaches the server's /v1/completions, unknown fields too; what is ours stays."""
    given = {
        "prompt": ["a b", "c"],
        "n": 2,
        "suffix": "!",
        "echo": True,
        "best_of": 3,
        "logprobs": 2,
        "max_tokens": 7,
        "stop": ["x"],
        "seed": 4,
        "temperature": 0.5,
        "frequency_penalty": 0.1,
        "prompt_logprobs": 1,
    }
    async with ScriptedUpstream(Reply(["x", "y", "z", "w"])) as up, start(endpoint(up)) as served:
        reply = await posted(served, **given, user="me", quorate={"trace": True})
        [received] = up.requests
    assert received.path == "/v1/completions"
    assert received.body == {"model": "org/model", **given}
    assert [c["text"] for c in reply["choices"]] == ["a bx", "a by", "cz", "cw"]
    assert reply["model"] == "m"
    assert reply["object"] == "text_completion"


async def test_loglikelihoods_pass_through(start: Start) -> None:
    """The prompt's own log-probabilities, of text and of token ids, as evaluation harnesses ask for them."""
    async with ScriptedUpstream(Reply("no")) as up, start(endpoint(up)) as served:
        for prompt in ("one two", [11, 12]):
            reply = await served.openai.completions.create(
                model="m", prompt=prompt, echo=True, logprobs=1, max_tokens=0, temperature=0
            )
            logprobs = reply.choices[0].logprobs
            assert logprobs is not None
            assert logprobs.token_logprobs == [None, -0.69]
            assert reply.usage is not None
            assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (2, 0)
        assert up.requests[1].body["prompt"] == [11, 12]


async def test_passed_usage_is_the_servers_with_its_cost(start: Start) -> None:
    """In `usage` and, with what it cost, in `quorate`; requests that were tried in vain count."""
    script = [Fault.status(503), Reply("fine", usage=(10, 5))]
    async with ScriptedUpstream(script) as up:
        model = Endpoint(
            "m", base_url=up.url, price=Price(prompt=1.0, completion=2.0), retries=RetryPolicy(backoff=0.001)
        )
        async with start(model) as served:
            reply = await posted(served)
    assert reply["usage"]["total_tokens"] == 15
    own = reply["quorate"]["usage"]
    assert (own["requests"], own["estimated"]) == (2, False)
    assert own["cost"] == pytest.approx(20e-6)
    assert [(s["node"], s["completion_tokens"]) for s in own["nodes"]] == [("answer", 5)]


@pytest.mark.parametrize("include", [False, True])
async def test_passed_streams_come_piece_by_piece(start: Start, include: bool) -> None:
    """The first piece leaves before the second is written; the last chunk has our account, then the usage if asked."""
    hold = asyncio.Event()
    async with ScriptedUpstream(Reply("one two", usage=(3, 2), hold=hold)) as up, start(endpoint(up)) as served:
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if include else {}
        stream = await served.openai.completions.create(model="m", prompt="x", stream=True, **options)
        chunks = [await anext(stream)]
        hold.set()
        chunks += [chunk async for chunk in stream]
        asked = up.requests[0].body["stream_options"]
    assert [c.choices[0].text for c in chunks if c.choices] == ["one ", "two"]
    assert asked == {"include_usage": True, "continuous_usage_stats": True}
    last = [c for c in chunks if c.choices][-1]
    assert last.choices[0].finish_reason == "stop"
    assert (last.model_extra or {})["quorate"]["usage"]["completion_tokens"] == 2
    assert [c.usage.total_tokens for c in chunks if c.usage] == ([5] if include else [])


async def test_leaving_a_passed_stream_leaves_the_server(start: Start) -> None:
    """At once; nothing is written for nobody."""
    async with ScriptedUpstream(Fault.hang(after_chunks=2)) as up:
        model = endpoint(up)
        async with start(model) as served:
            exchange = served.http.stream(
                "POST", "/v1/completions", json={"model": "m", "prompt": "a b c", "stream": True}
            )
            async with exchange as reply:
                await anext(reply.aiter_lines())
            await asyncio.wait_for(up.wait_until(lambda up: up.in_flight == 0), 30)
        assert up.requests[0].disconnected


async def test_a_passed_stream_that_breaks_ends_in_an_error(start: Start) -> None:
    """After what came well; the official client raises."""
    async with ScriptedUpstream(Fault.error_midway(after_chunks=1)) as up, start(endpoint(up)) as served:
        stream = await served.openai.completions.create(model="m", prompt="x", stream=True)
        assert (await anext(stream)).choices[0].text == "one "
        with pytest.raises(openai.APIError, match="scripted failure"):
            [chunk async for chunk in stream]


@pytest.mark.parametrize("stream", [False, True])
async def test_errors_of_a_server_behind_keep_their_status(start: Start, stream: bool) -> None:
    """A 429 with its Retry-After; a 404 of a server that only has chat says so."""
    script = [Fault.status(429, retry_after=3), Fault.status(404, "this is a chat model")]
    async with ScriptedUpstream(script) as up, start(endpoint(up)) as served:
        with pytest.raises(openai.RateLimitError) as limited:
            await served.openai.completions.create(model="m", prompt="x", stream=stream)
        with pytest.raises(openai.NotFoundError, match="this is a chat model"):
            await served.openai.completions.create(model="m", prompt="x", stream=stream)
    assert limited.value.response.headers["retry-after"] == "3"


async def test_passed_requests_are_seen_like_any_other(start: Start) -> None:
    """Metrics know the call upstream and its tokens."""
    async with ScriptedUpstream(Reply("x", usage=(4, 6))) as up, start(endpoint(up)) as served:
        await posted(served, prompt=[11, 12])
        seen = await scraped(served)
    assert seen.value("quorate_upstream_calls_total", endpoint="m", outcome="ok") == 1
    assert seen.value("quorate_tokens_total", kind="completion") == 6
    assert seen.value("quorate_requests_total", route="/v1/completions", status="200") == 1


# Written.


async def test_a_pipeline_answers_each_prompt(start: Start) -> None:
    """A prompt is a question; n choices for each, in the prompts' order, with seeds as chat has them."""
    model = Echo(say=lambda q, _: f"{q.text} {q.sampling.seed}")
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:
        reply = await posted(served, model="vote", prompt=["a", "b"], n=2, seed=5, max_tokens=9, logit_bias={"5": 1})
    again = derive_seed(5, "choice", 1)
    assert [c["text"] for c in reply["choices"]] == [f"{p} {s}" for p in "ab" for s in (5, again)]
    assert [c["index"] for c in reply["choices"]] == [0, 1, 2, 3]
    assert reply["usage"]["prompt_tokens"] == 12
    assert reply["choices"][0]["quorate"]["tally"][0]["votes"] == 3
    settings = model.questions[0].sampling
    assert (settings.max_tokens, settings.extra) == (9, {"logit_bias": {"5": 1}})


async def test_echo_and_logprobs_in_the_older_form(start: Start) -> None:
    """The prompt stands before the text; tokens, their log-probabilities and where they start stand side by side."""
    async with start(Echo()) as served:
        echoed = await posted(served, model="echo", prompt="one two", echo=True)
        reply = await served.openai.completions.create(model="echo", prompt="one two", logprobs=0)
    assert echoed["choices"][0]["text"] == "one twoone two"
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert (logprobs.tokens, logprobs.token_logprobs) == (["one", "two"], [-0.5, -0.5])
    assert logprobs.text_offset == [0, 3]
    assert logprobs.top_logprobs == [{"one": -0.5}, {"two": -0.5}]


async def test_written_text_streams(start: Start) -> None:
    """The tokens of a synthesis as text; its thinking and the progress stay out; usage at last."""
    model = Echo(say=lambda _, index: f"t{index}")
    async with start(model, pipelines={"fused": sample(model, n=2) | Merged()}) as served:
        stream = await served.openai.completions.create(
            model="fused", prompt="x", echo=True, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    assert [c.choices[0].text for c in chunks if c.choices] == ["x", "t0", "+t1", ""]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 13
    assert (chunks[-2].model_extra or {})["quorate"]["usage"]["completion_tokens"] == chunks[-1].usage.completion_tokens


async def test_a_prompt_that_fails_leaves_the_others(start: Start) -> None:
    """Its choice is left out and told in `degraded`."""
    failure = Failure(code="upstream_timeout", message="too slow", status=504)
    async with start(Echo(say=lambda q, _: failure if q.text == "b" else "fine")) as served:
        reply = await posted(served, model="echo", prompt=["a", "b"])
    assert [c["index"] for c in reply["choices"]] == [0]
    assert reply["quorate"]["degraded"][0]["where"] == "choice 1"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": None}, "prompt", "string"),
    ({"prompt": []}, "prompt", "at least 1 item"),
    ({"prompt": [[]]}, "prompt[0]", "at least 1 item"),
    ({"prompt": ["a", 5]}, "prompt[1]", "string"),
    ({"prompt": [1, 2]}, "prompt", "token ids can be had from a single model whose server has /v1/completions"),
    ({"prompt": " "}, "prompt", "is empty"),
    ({"prompt": ["a", ""]}, "prompt[1]", "is empty"),
    ({"suffix": "x"}, "suffix", "single model"),
    ({"best_of": 4}, "best_of", "quorate.n"),
    ({"max_tokens": 0}, "max_tokens", "single model"),
    ({"max_tokens": -1}, "max_tokens", "greater than or equal to 0"),
    ({"echo": True, "logprobs": 1}, "echo", "log-probabilities of the prompt"),
    ({"logprobs": 21}, "logprobs", "less than or equal to 20"),
    ({"n": 17}, "n", "1 to 16"),
    ({"prompt": ["a"] * 129, "model": "vote"}, "prompt", "258 samples in all"),
]


async def test_wrong_completion_fields_are_named(start: Start) -> None:
    """A 400 with the field's path, and no model is asked."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        for wrong, param, words in WRONG:
            reply = await served.http.post("/v1/completions", json={"model": "echo", "prompt": "x", **wrong})
            error = reply.json()["error"]
            assert (reply.status_code, error["param"]) == (400, param), wrong
            assert words in error["message"], wrong
    assert model.questions == []


async def test_a_broken_stream_without_an_end_is_an_error(start: Start) -> None:
    """A connection that closes in the middle of a text is not taken for its end."""
    async with ScriptedUpstream(Fault.close_midway(after_chunks=1)) as up, start(endpoint(up)) as served:
        body = {"model": "m", "prompt": "x", "stream": True}
        async with served.http.stream("POST", "/v1/completions", json=body) as reply:
            lines = [line async for line in reply.aiter_lines() if line]
    assert "error" in json.loads(lines[-1].removeprefix("data: "))
    assert "data: [DONE]" not in lines
