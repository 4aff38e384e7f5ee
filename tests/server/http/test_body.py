"""Requests that cannot be answered: one clear error in OpenAI's envelope, with the right status."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate.config.catalog import Catalog
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Failure
from quorate.server import create_app
from quorate.server.http.body import MOST_VALUES

from ..conftest import Start, asked
from ..scripted import Echo, Plurality


def error_of(reply: httpx.Response) -> dict[str, Any]:
    """The envelope's content, after checking its form."""
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


TOOL = {"type": "function", "function": {"name": "f"}}

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "at least 1 item"),
    ({"messages": "hi"}, "messages", "array"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages", "empty"),
    ({"messages": [{"role": "system", "content": "be nice"}]}, "messages", "empty"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "string or "),
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "is missing"),
    ({"model": None}, "model", "string"),
    ({"model": ""}, "model", "at least 1 character"),
    ({"n": 0}, "n", "greater than or equal to 1"),
    ({"n": 17}, "n", "17 choices, but this server allows 1 to 16"),
    ({"n": "2"}, "n", "integer"),
    ({"n": True}, "n", "integer"),
    ({"stream": "yes"}, "stream", "boolean"),
    ({"temperature": -1}, "temperature", "greater than or equal to 0"),
    ({"temperature": "hot"}, "temperature", "number"),
    ({"top_p": 1.5}, "top_p", "less than or equal to 1"),
    ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
    ({"seed": 2**80}, "seed", "less than"),
    ({"stop": [1]}, "stop[0]", "string"),
    ({"tools": {}}, "tools", "array"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}, 5]}]}, "messages[0].content[1]", "object"),
    ({"messages": [5] * 50_000}, "messages[0]", "object"),
    ({"top_logprobs": 3}, "top_logprobs", "needs logprobs"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "boolean"),
    ({"quorate": []}, "quorate", "object"),
    (
        {"quorate": {"stops": "x"}},
        "quorate.stops",
        "unknown field; there is: aggregate_seconds, budget, grace",
    ),
    ({"quorate": {"stop": "x", "pipeline": "vote"}}, "quorate.stop", "no stopping rule named 'x'; there is: adaptive"),
    ({"quorate": {"stop": {"threshold": 0.9}}}, "quorate.stop.rule", "is missing"),
    ({"quorate": {"stop": {"rule": "esc", "window": 1}, "pipeline": "vote"}}, "quorate.stop", "option 'window'"),
    ({"quorate": {"stop": "esc"}}, "quorate.stop", "needs a pipeline"),
    ({"quorate": {"quorum": 2}}, "quorate.quorum", "needs a pipeline"),
    ({"quorate": {"quorum": 3, "pipeline": "vote"}}, "quorate.quorum", "1 to n=2"),
    ({"quorate": {"quorum": 1.5, "pipeline": "vote"}}, "quorate.quorum", "less than 1"),
    ({"quorate": {"min_candidates": 3, "pipeline": "vote"}}, "quorate.min_candidates", "1 to n=2"),
    ({"quorate": {"grace": -1, "pipeline": "vote"}}, "quorate.grace", "greater than or equal to 0"),
    ({"quorate": {"aggregate_seconds": 0, "pipeline": "vote"}}, "quorate.aggregate_seconds", "greater than 0"),
    ({"quorate": {"budget": {"money": 1.0}}}, "quorate.budget.money", "no prices"),
    ({"frequency_penalty": 3}, "frequency_penalty", "less than or equal to 2"),
    ({"presence_penalty": "x"}, "presence_penalty", "number"),
    ({"logit_bias": {"5": 200}}, "logit_bias.5", "less than or equal to 100"),
    ({"tools": [{"type": "web_search"}]}, "tools[0]", "must be 'function', not 'web_search'"),
    ({"tools": [{"type": "function"}]}, "tools[0]", "a function needs a name"),
    ({"tool_choice": "required"}, "tool_choice", "needs tools"),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "one of auto, none, required"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", "there is: f"),
    ({"parallel_tool_calls": "no", "tools": [TOOL]}, "parallel_tool_calls", "boolean"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "json_schema.schema"),
    ({"response_format": {}}, "response_format", "needs a type"),
    ({"functions": [{"name": "f"}]}, "functions", "use tools"),
    ({"modalities": ["text", "audio"]}, "modalities[1]", "should be 'text'"),
    ({"audio": {"voice": "x"}}, "audio", "text only"),
    ({"user": 5}, "user", "string"),
    ({"metadata": []}, "metadata", "object"),
    ({"quorate": {"budget": {"time": 3}}}, "quorate.budget.time", "there is: money, samples, seconds, tokens"),
    ({"quorate": {"budget": {"tokens": 0}}}, "quorate.budget.tokens", "greater than or equal to 1"),
    ({"quorate": {"n": 0}}, "quorate.n", "greater than or equal to 1"),
    (
        {"quorate": {"n": 300, "pipeline": "vote"}},
        "quorate.n",
        "300 samples in all, and 300 requests",
    ),
    ({"n": 16, "quorate": {"n": 17, "pipeline": "vote"}}, "quorate.n", "272 samples in all"),
]


async def test_calls_of_an_aggregator_count_against_the_limit(start: Start) -> None:
    """Sixteen samples that a population renews ten times are 176 answers, and seventeen too many here."""
    model = Echo()
    async with start(model, max_samples=176) as served:
        good = await served.post(model="debate@16/echo")
        bad = await served.post(model="rsa@17/echo")
    assert good.status_code == 200
    assert bad.status_code == 400
    assert "but this server allows 176 samples a request" in error_of(bad)["message"]


async def test_wrong_fields_are_named(start: Start) -> None:
    """Every wrong field gives a 400 with its path and what it must be, and no model is asked."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        for body, param, words in WRONG:
            reply = await served.post(**body)
            error = error_of(reply)
            assert reply.status_code == 400, body
            assert (error["param"], error["type"]) == (param, "invalid_request_error"), body
            assert words in error["message"], body
    assert model.questions == []


async def test_several_wrong_fields_come_in_one_error(start: Start) -> None:
    """The message names each of them."""
    async with start(Echo()) as served:
        error = error_of(await served.post(n="x", temperature="y"))
    assert error["message"].count("n: ") == 1
    assert "temperature: " in error["message"]


async def test_missing_fields_are_named(start: Start) -> None:
    """A body without a model or messages says which is missing."""
    async with start(Echo()) as served:
        error = error_of(await served.http.post("/v1/chat/completions", json={}))
    assert error["message"] == "model: is missing; messages: is missing"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1 column 0"),
        (b'{"model": "echo",\n "messages": [}', "line 2 column 15"),
        (b"not json", "line 1 column"),
        (b"[1]", "must be a JSON object, not an array"),
        (b"null", "not null"),
        (b'{"a": NaN}', "line 1 column 7"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "line 1"),
        (b'{"a": "\xff"}', "line 1"),
        (b"[" * 100_000, "recursion limit"),
        (b"1" * 100_000, "number out of range"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
async def test_a_body_that_is_not_json_says_where(start: Start, body: bytes, words: str) -> None:
    """A 400 with line and column, whatever the bytes are."""
    async with start(Echo()) as served:
        reply = await served.http.post("/v1/chat/completions", content=body)
    assert reply.status_code == 400
    assert words in error_of(reply)["message"]


async def test_an_oversize_body_is_refused(start: Start) -> None:
    """413, announced or in pieces, and just over the limit or far; the server goes on."""
    model = Echo()
    async with start(model, max_body_bytes=1000) as served:

        async def pieces() -> Any:
            for _ in range(20):
                yield b" " * 100

        for content in (b" " * 1001, b" " * 1_000_000, pieces()):
            reply = await served.http.post("/v1/chat/completions", content=content)
            assert reply.status_code == 413
            assert error_of(reply)["code"] == "body_too_large"
        assert (await served.post()).status_code == 200
        assert (await served.post(messages=[{"role": "user", "content": "x" * 1000}])).status_code == 413


async def test_a_body_of_very_many_values_is_refused_unread(start: Start) -> None:
    """Reading it would take the event loop from everybody; what texts hold is no value, however they are written."""
    model = Echo()
    long = 'a "b", {c: [1,2,3]} \\ ' * 10_000
    async with start(model) as served:
        assert (await served.post(**asked(long))).json()["choices"][0]["message"]["content"] == long
        for many in ([1] * MOST_VALUES, [{"a": "b"}] * MOST_VALUES, ["a"] * MOST_VALUES):
            reply = await served.post(extra=many)
            assert reply.status_code == 400
            assert f"more than {MOST_VALUES} values" in error_of(reply)["message"]
        assert (await served.post(extra=[1] * (MOST_VALUES - 100))).status_code == 200
        assert (await served.post(extra=[*[1] * 10_000, 1e308], temperature=1)).status_code == 200
        infinite = json.dumps({**asked(), "x": [1] * 10_000}).replace('"x": [1', '"x": [1e999')
        reply = await served.http.post("/v1/chat/completions", content=infinite)
        assert (reply.status_code, "not valid JSON" in error_of(reply)["message"]) == (400, True)


async def test_unknown_names_list_those_that_exist(start: Start) -> None:
    """404 as the official client's NotFoundError, for models, pipelines and pipelines over unknown models."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}) as served:
        pipelines = r"no pipeline named 'nope' \(in 'nope@3/echo'\); none of \d+ is like it; there are pipelines"
        for name, told in (
            ("nope", r"there is: .*echo.*vote"),
            ("majority@4/nope", r"there is: .*echo.*vote"),
            ("majority/" * 50 + "nope", r"there is: .*echo.*vote"),
            ("nope@3/echo", pipelines),
        ):
            with pytest.raises(openai.NotFoundError, match=told) as caught:
                await served.openai.chat.completions.create(**(asked() | {"model": name}))
            assert caught.value.param == "model"
        with pytest.raises(openai.BadRequestError, match="number of samples"):
            await served.openai.chat.completions.create(**(asked() | {"model": "majority@0/echo"}))
        with pytest.raises(openai.BadRequestError, match="single model"):
            await served.openai.chat.completions.create(**asked(), extra_body={"quorate": {"n": 3}})


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Failure(code="rate_limited", message="slow down", status=429, retry_after=1.2), openai.RateLimitError),
        (Failure(code="upstream_rejected", message="bad tool", status=400), openai.BadRequestError),
        (Failure(code="upstream_timeout", message="too slow", status=504), openai.InternalServerError),
        (Failure(code="odd", message="no status at all", status=200), openai.InternalServerError),
    ],
)
async def test_upstream_errors_keep_their_status(
    start: Start, failure: Failure, kind: type[openai.APIStatusError]
) -> None:
    """An upstream's failure is an error of the same status and code, for a model, n choices and a vote."""
    model = Echo(say=lambda *_: failure)
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:
        for extra in ({}, {"n": 2}, {"model": "vote"}):
            with pytest.raises(kind, match=failure.message) as caught:
                await served.openai.chat.completions.create(**(asked() | extra))
            assert caught.value.code == failure.code
            assert caught.value.status_code == (failure.status if failure.status >= 400 else 502)
            assert caught.value.response.headers.get("retry-after") == ("2" if failure.retry_after else None)


async def test_other_routes_are_errors_in_the_same_form(start: Start) -> None:
    """404 and 405 have the envelope too, with the methods that are allowed."""
    async with start(Echo()) as served:
        missing = await served.http.get("/v1/nothing")
        wrong = await served.http.get("/v1/chat/completions")
    assert (missing.status_code, error_of(missing)["code"]) == (404, "unknown_url")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert "GET /v1/chat/completions" in error_of(wrong)["message"]


async def test_a_crash_tells_nothing_but_its_request() -> None:
    """An exception that is not ours is a 500 whose message names the request, not the cause."""

    class Crashing(Echo):
        async def sample(self, question: Any, slots: Any, run: Any) -> None:
            raise RuntimeError("secret detail")

    class Counting(Aggregator):
        name = "counting"

        async def aggregate(self, question: Any, sampled: Any, run: Any) -> Answer:
            raise RuntimeError("secret detail")

    app = create_app(Catalog({"echo": Crashing()}, {"own": sample(Echo(), n=2) | Counting()}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        for extra in ({}, {"n": 2}, {"stream": True}, {"model": "own"}, {"model": "own", "n": 2}):
            reply = await client.post("/v1/chat/completions", json=asked() | extra, headers={"x-request-id": "r1"})
            assert reply.status_code == 500
            assert error_of(reply)["message"] == "the server failed; its log has the cause (request r1)"


FIELDS = ["model", "messages", "n", "seed", "stop", "temperature", "stream", "tools", "logprobs", "quorate", "x"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["echo", "vote", "vote@3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "n", "budget", "pipeline", "tokens"]) | st.text(), inner)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(FIELDS), JSON).map(lambda wrong: json.dumps({**asked(), **wrong}).encode())


@given(body=BODIES | st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_no_body_breaks_the_server(body: bytes) -> None:
    """Whatever is posted: an answer, or an error that is the caller's fault."""
    model = Echo()
    app = create_app(Catalog({"echo": model}, {"vote": sample(model, n=2) | Plurality()}))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        reply = await client.post("/v1/chat/completions", content=body)
    if reply.status_code != 200:
        assert reply.status_code in {400, 404}
        error_of(reply)
