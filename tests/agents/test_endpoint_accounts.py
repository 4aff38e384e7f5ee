"""Servers that lose account of several samples: of their tokens, their ends, their log-probabilities.

The replies have the shapes that llama.cpp, LiteLLM and transformers serve really send (`tests/upstreams`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from quorate.agents.endpoint import Endpoint
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadReply
from quorate.orchestrator.types import Question
from quorate.testing import Raw, Reply, ScriptedUpstream

from .asking import draw

CUT = Question.of("?").with_params(max_tokens=8, temperature=1.0)
TEXTS = ["one two three", "four five six", "seven eight nine"]


def document(**body: Any) -> Raw:
    return Raw([json.dumps(body).encode()], content_type="application/json")


def stream(*events: dict[str, Any]) -> Raw:
    return Raw([b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"])


def usage(completion: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": completion, "total_tokens": 5 + completion}


def message(index: int, text: str, finish: str = "length") -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish}


def delta(index: int, text: str | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    content = {} if text is None else {"content": text}
    return {"choices": [{"index": index, "delta": content, "finish_reason": finish, **more}]}


def last_logprob(token: str, *top: str) -> dict[str, Any]:
    likeliest = [{"token": each, "logprob": -1.0} for each in top]
    return {"content": [{"token": token, "logprob": -1.0, "top_logprobs": likeliest}]}


def answers(several: Raw, single: Reply) -> Any:
    """What a server says to requests for several samples and for one."""
    return lambda request: several if request.body.get("n") else single


ONE = Reply("again and again", usage=(5, 8), finish_reason="length")


@pytest.mark.parametrize("total", [8, 23], ids=["of one", "too few"])
async def test_a_total_that_is_too_low_is_not_believed(total: int) -> None:
    """Choices that were cut have all their tokens; what is booked is called a guess, and singles are counted after."""
    plain = document(choices=[message(i, text) for i, text in enumerate(TEXTS)], usage=usage(total))
    async with ScriptedUpstream(answers(plain, ONE)) as up, Endpoint("m", base_url=up.url) as agent:
        first = await draw(agent, 3, question=CUT)
        then = await draw(agent, 3, question=CUT)
    assert first.texts == TEXTS
    assert [(c.usage.completion_tokens, c.usage.estimated) for c in first.candidates] == [(8, True)] * 3
    assert (first.spent.prompt_tokens, first.spent.completion_tokens, first.spent.estimated) == (5, 24, True)
    assert (then.spent.completion_tokens, then.spent.requests, then.spent.estimated) == (24, 3, False)
    assert [r.body.get("n") for r in up.requests] == [3, None, None, None]


async def test_what_was_not_cut_is_believed_as_long_as_it_can_be() -> None:
    """A total that fits what is known stays exact."""
    choices = [message(0, TEXTS[0]), message(1, TEXTS[1], "stop"), message(2, TEXTS[2], "stop")]
    plain = document(choices=choices, usage=usage(13))
    async with ScriptedUpstream(plain) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 3, question=CUT)
    assert (drawn.spent.completion_tokens, drawn.spent.estimated) == (13, False)


async def test_choices_that_were_cut_make_the_shares_exact() -> None:
    """What is left of the total belongs to the one that was not."""
    choices = [message(0, TEXTS[0]), message(1, TEXTS[1] * 9, "stop"), message(2, TEXTS[2])]
    plain = document(choices=choices, usage=usage(19))
    async with ScriptedUpstream(plain) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 3, question=CUT)
    assert [(c.usage.completion_tokens, c.usage.estimated) for c in drawn.candidates] == [
        (8, False),
        (3, False),
        (8, False),
    ]


async def test_timings_of_one_choice() -> None:
    """llama.cpp's tell that the usage beside them is of one, however its choices ended."""
    choices = [message(i, text, "stop") for i, text in enumerate(TEXTS)]
    plain = document(choices=choices, usage=usage(4), timings={"predicted_n": 4})
    async with ScriptedUpstream(answers(plain, ONE)) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 3, question=CUT)
        alone = await draw(agent, 1, question=CUT)
    assert drawn.spent.estimated
    assert drawn.spent.completion_tokens > 8
    assert not alone.spent.estimated


async def test_usage_choice_by_choice_is_added_up() -> None:
    """A chunk for each choice as it ends, in the middle of the stream; the prompt counts once."""
    chunks = stream(
        delta(1, "four"),
        delta(0, "one"),
        delta(1, None, "length"),
        {"choices": [], "usage": usage(8)},
        delta(0, " two"),
        delta(0, None, "stop"),
        {"choices": [], "usage": usage(3)},
    )
    async with ScriptedUpstream(chunks) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 2, live=True, question=CUT)
        again = await draw(agent, 2, live=True, question=CUT)
    assert [(c.text, c.usage.completion_tokens) for c in drawn.candidates] == [("one two", 3), ("four", 8)]
    assert (drawn.spent.prompt_tokens, drawn.spent.completion_tokens, drawn.spent.estimated) == (5, 11, False)
    assert again.spent == drawn.spent
    assert [r.body.get("n") for r in up.requests] == [2, 2]


def one_end(*stray: str) -> Raw:
    """LiteLLM's stream: the finish reason and the usage of all come with choice 0."""
    tokens = [
        (i, token) for pair in zip(*(text.split() for text in TEXTS), strict=True) for i, token in enumerate(pair)
    ]
    told = [delta(i, f"{token} ", logprobs=last_logprob(f"{token} ", token)) for i, token in tokens]
    others = [delta(0, None, logprobs=last_logprob(token)) for token in stray]
    return stream(*told, *others, delta(0, None, "length"), {**delta(0, None), "usage": usage(24)})


async def test_of_one_end_for_all_the_others_are_asked_for_again() -> None:
    """One by one, as is everything after; nothing that was spent is lost."""
    async with ScriptedUpstream(answers(one_end(), ONE)) as up, Endpoint("m", base_url=up.url) as agent:
        first = await draw(agent, 3, live=True, question=CUT)
        then = await draw(agent, 3, live=True, question=CUT)
    assert first.texts == ["one two three ", "again and again", "again and again"]
    assert all(c.ok for c in first.candidates)
    assert {index: "".join(first.tokens(index)) for index in (1, 2)} == {1: "four five six ", 2: "seven eight nine "}
    assert (first.spent.completion_tokens, first.spent.requests) == (24 + 2 * 8, 3)
    assert (then.spent.completion_tokens, then.spent.requests) == (24, 3)
    assert [r.body.get("n") for r in up.requests] == [3] + [None] * 5


@pytest.mark.parametrize("stray", [(), ("six ",)], ids=["its own", "and another's"])
async def test_log_probabilities_of_others_are_dropped(stray: Sequence[str]) -> None:
    """What does not spell the text of the choice that ended is not its own, and it is told."""
    question = CUT.with_params(top_logprobs=1)
    async with ScriptedUpstream(answers(one_end(*stray), ONE)) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 3, live=True, question=question)
    kept = drawn.candidates[0].logprobs
    assert (None if kept is None else "".join(t.token for t in kept)) == (None if stray else "one two three ")
    assert [note.code for note in drawn.candidates[0].degraded] == ["logprobs_missing"] * len(stray)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("wanted", [0, 1, 2])
async def test_alternatives_are_asked_for_and_trimmed(live: bool, wanted: int) -> None:
    """At least one, since servers make nothing, everything or the chosen token of none; as many as wanted come."""
    tops = last_logprob("yes", "yes", "no", "maybe")
    told = stream(delta(0, "yes", logprobs=tops), delta(0, None, "stop"))
    plain = document(choices=[{**message(0, "yes", "stop"), "logprobs": tops}], usage=usage(1))
    question = Question.of("?").with_params(top_logprobs=wanted)
    async with ScriptedUpstream(told if live else plain) as up, Endpoint("m", base_url=up.url) as agent:
        drawn = await draw(agent, 1, live=live, question=question)
    assert (up.requests[0].body["logprobs"], up.requests[0].body["top_logprobs"]) == (True, max(1, wanted))
    assert [len(t.top) for t in drawn.candidates[0].logprobs or ()] == [wanted]


async def test_log_probabilities_that_do_not_come_are_told() -> None:
    """Where they were asked for."""
    plain = document(choices=[message(0, "yes", "stop")], usage=usage(1))
    async with ScriptedUpstream(plain) as up, Endpoint("m", base_url=up.url) as agent:
        asked = await draw(agent, 1, question=Question.of("?").with_params(top_logprobs=0))
        unasked = await draw(agent, 1)
    assert [note.code for note in asked.candidates[0].degraded] == ["logprobs_missing"]
    assert unasked.candidates[0].degraded == ()


async def complete(step: Any, **body: Any) -> RunContext:
    """The run of a request for text completions."""
    run = RunContext()
    async with ScriptedUpstream(step) as up, Endpoint("m", base_url=up.url) as agent:
        asked = {"prompt": "a b", "max_tokens": 8, "n": 3, **body}
        assert [reply async for reply in agent.complete(asked, run)]
    return run


@pytest.mark.parametrize("timings", [{}, {"timings": {"predicted_n": 8}}])
async def test_completions_that_count_one_of_several(timings: dict[str, Any]) -> None:
    """The same as for chats."""
    choices = [{"index": i, "text": text, "finish_reason": "length"} for i, text in enumerate(TEXTS)]
    spent = (await complete(document(choices=choices, usage=usage(8), **timings))).ledger.usage
    assert (spent.prompt_tokens, spent.completion_tokens, spent.estimated) == (5, 24, True)


async def test_completions_mixed_into_one_are_an_error() -> None:
    """LiteLLM streams the texts of all choices under index 0; more tokens than one may have give it away."""
    pieces = [{"choices": [{"index": 0, "text": word}]} for word in ["one", "four", "seven", "two", "five", "eight"]]
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}
    mixed = stream(*pieces, end, {"choices": [{"index": 0}], "usage": usage(24)})
    with pytest.raises(BadReply, match="mixed"):
        await complete(mixed, stream=True)


async def test_completions_of_a_server_that_gives_one() -> None:
    """A text fewer is no mixture, and counted as the server does."""
    one = stream(
        {"choices": [{"index": 0, "text": "one"}]},
        {"choices": [{"index": 0, "text": "", "finish_reason": "length"}], "usage": usage(8)},
    )
    spent = (await complete(one, stream=True)).ledger.usage
    assert (spent.completion_tokens, spent.estimated) == (8, False)
