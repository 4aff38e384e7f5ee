"""What replies say and how they are framed, as servers really send them; over sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate import Endpoint
from quorate.testing import Raw, ScriptedUpstream

from .asking import draw
from .replies import DONE, GOOD, delta, event, message, read, stream


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
