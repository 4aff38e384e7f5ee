"""Streamed chat completions: what comes when, and how a stream ends."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Candidate, Failure

from .conftest import Serving, Start, asked
from .scripted import Echo, Merged, Plurality, Stuck

RATE_LIMITED = Failure(code="rate_limited", message="slow down", status=429, retry_after=7.0)


async def frames(served: Serving, **body: Any) -> list[Any]:
    """The stream's frames: decoded JSON, other lines as they are."""
    async with served.http.stream("POST", "/v1/chat/completions", json={**asked(), "stream": True, **body}) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in reply.aiter_lines() if line]
    return [json.loads(line[6:]) if line.startswith("data: {") else line for line in lines]


def joined(chunks: list[Any], kind: str = "content", index: int = 0) -> str:
    """All deltas of one kind of one choice."""
    choices = [c for chunk in chunks if isinstance(chunk, dict) for c in chunk["choices"] if c["index"] == index]
    return "".join(choice["delta"].get(kind) or "" for choice in choices)


async def test_tokens_of_a_single_model_stream(start: Start) -> None:
    """Role first, then each token as a delta, a finish reason, the usage when asked for, and the end."""
    async with start(Echo()) as served:
        stream = await served.openai.chat.completions.create(
            **asked("one two three"), stream=True, stream_options={"include_usage": True}
        )
        chunks: list[ChatCompletionChunk] = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
    assert deltas[0].role == "assistant"
    assert [delta.content for delta in deltas[1:-1]] == ["one", " two", " three"]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 4 + ["stop"]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 6
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_without_being_asked_there_is_no_usage_chunk(start: Start) -> None:
    """Clients that read `choices[0]` of every chunk get one in every chunk; the stream ends in [DONE]."""
    async with start(Echo()) as served:
        received = await frames(served)
    assert received[-1] == "data: [DONE]"
    assert all(len(chunk["choices"]) == 1 and "usage" not in chunk for chunk in received[:-1])
    assert received[-2]["quorate"]["usage"]["prompt_tokens"] == 3


async def test_a_vote_streams_its_progress_and_then_its_answer(start: Start) -> None:
    """A line in reasoning_content for every sample that ended, then the winning text at once."""
    texts = ["42", "41", "42", "40"]
    model = Echo(say=lambda _, index: texts[index])
    async with start(model, pipelines={"vote": sample(model, n=4) | Plurality()}) as served:
        received = await frames(served, model="vote")
    assert joined(received, "reasoning_content").splitlines() == [
        "1/4 sampled: 42 x1",
        "2/4 sampled: 42 x1, 41 x1",
        "3/4 sampled: 42 x2, 41 x1",
        "4/4 sampled: 42 x2, 41 x1, 40 x1",
    ]
    assert joined(received) == "42"
    assert received[-2]["choices"][0]["finish_reason"] == "stop"
    assert received[-2]["quorate"]["tally"][0]["votes"] == 2


@pytest.mark.parametrize(
    ("server", "request_", "shown"), [(True, False, False), (False, None, False), (False, True, True)]
)
async def test_progress_is_switchable(start: Start, server: bool, request_: bool | None, shown: bool) -> None:
    """By the server's settings, and by the request, which has the last word."""
    model = Echo()
    async with start(model, pipelines={"vote": sample(model, n=2) | Plurality()}, progress=server) as served:
        received = await frames(served, model="vote", quorate={"progress": request_})
    assert ("sampled" in joined(received, "reasoning_content")) is shown


async def test_failed_samples_show_in_the_progress(start: Start) -> None:
    """One of three samples fails: the count says so, and the answer stands."""
    model = Echo(say=lambda _, index: RATE_LIMITED if index == 1 else "42")
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:
        received = await frames(served, model="vote")
    assert "3/3 sampled (1 failed): 42 x2" in joined(received, "reasoning_content")
    assert received[-2]["quorate"]["degraded"][0]["code"] == "candidate_failed"


async def test_a_synthesis_streams_as_it_is_written(start: Start) -> None:
    """Its tokens are content deltas, its thinking is reasoning_content, and neither comes twice."""
    model = Echo(say=lambda _, index: f"t{index}")
    async with start(model, pipelines={"fused": sample(model, n=3) | Merged()}, progress=False) as served:
        received = await frames(served, model="fused")
    contents = [c["choices"][0]["delta"]["content"] for c in received[:-1] if c["choices"][0]["delta"].get("content")]
    assert contents == ["t0", "+t1", "+t2"]
    assert joined(received, "reasoning_content") == "hm"


async def test_choices_stream_side_by_side(start: Start) -> None:
    """With n=2 every delta tells its index; both end, and the last end carries the total."""
    model = Echo(say=lambda q, _: f"a {q.sampling.seed}")
    async with start(model) as served:
        received = await frames(served, n=2, seed=3)
    assert joined(received, index=0) == "a 3"
    assert joined(received, index=1) == f"a {derive_seed(3, 'choice', 1)}"
    ends = [c for c in received[:-1] if c["choices"][0]["finish_reason"]]
    assert [c["choices"][0]["index"] for c in ends] == [0, 1]
    assert [c["choices"][0]["quorate"]["usage"]["prompt_tokens"] for c in ends] == [3, 3]
    assert ends[-1]["quorate"]["usage"]["prompt_tokens"] == 6


async def test_tool_calls_stream_with_their_index(start: Start) -> None:
    """The official client can put the calls together."""
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    model = Echo(say=lambda *_: Candidate(index=0, model="echo", tool_calls=(call,), finish_reason="tool_calls"))
    async with start(model) as served, served.openai.chat.completions.stream(**asked()) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.name == "add"


async def test_an_error_before_the_first_byte_is_a_status(start: Start) -> None:
    """An upstream's 429 is a 429 with its Retry-After, although a stream was asked for; so for a whole vote."""
    model = Echo(say=lambda *_: RATE_LIMITED)
    async with start(model, pipelines={"vote": sample(model, n=3) | Plurality()}) as served:
        for name in ("echo", "vote"):
            with pytest.raises(openai.RateLimitError) as caught:
                await served.openai.chat.completions.create(**(asked() | {"model": name}), stream=True)
            assert caught.value.response.headers["retry-after"] == "7"


async def test_an_error_after_the_first_byte_is_the_last_frame(start: Start) -> None:
    """A model that breaks while it writes: the client's library raises, and no text says 'error'."""

    class Breaking(Echo):
        async def sample(self, question: Any, slots: Any, run: Any) -> None:
            slots[0].write("hello")
            raise RuntimeError("secret detail")

    async with start(Breaking()) as served:
        received = await frames(served)
        stream = await served.openai.chat.completions.create(**asked(), stream=True)
        with pytest.raises(openai.APIError, match="the server failed"):
            [chunk async for chunk in stream]
    assert set(received[-1]) == {"error"}
    assert received[-1]["error"]["type"] == "server_error"
    assert "secret" not in json.dumps(received)
    assert joined(received[:-1]) == "hello"


async def test_a_quiet_stream_is_kept_alive(start: Start) -> None:
    """While nothing happens a comment is sent now and then, which clients ignore; then the answer comes."""
    model = Stuck(first="so")
    async with start(model, keep_alive_seconds=0.05) as served:
        seen = []
        async with served.http.stream(
            "POST", "/v1/chat/completions", json=asked() | {"model": "stuck", "stream": True}
        ) as reply:
            async for line in reply.aiter_lines():
                seen.append(line)
                if seen.count(": keep-alive") == 2:
                    break
    assert joined([json.loads(line[6:]) for line in seen if line.startswith("data: {")]) == "so"


async def test_a_slow_first_token_is_kept_alive_too(start: Start) -> None:
    """Before anything came from the model, the connection is opened by a comment."""
    async with (
        start(Stuck(), keep_alive_seconds=0.05) as served,
        served.http.stream("POST", "/v1/chat/completions", json=asked() | {"model": "stuck", "stream": True}) as reply,
    ):
        assert await anext(reply.aiter_lines()) == ": keep-alive"


@pytest.mark.parametrize("progress", [True, False])
async def test_a_deadline_before_any_answer_is_a_status(start: Start, progress: bool) -> None:
    """All samples hang: nothing is worth a 200, so the stream does not begin."""
    stuck = Stuck()
    async with start(stuck) as served:
        control = {"sample_seconds": 0.2, "progress": progress}
        reply = await served.post(model="majority@3/stuck", stream=True, quorate=control)
    assert reply.status_code == 504
    assert reply.json()["error"]["code"]
