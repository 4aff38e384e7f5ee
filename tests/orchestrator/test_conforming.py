"""A strict schema is checked here, whatever the upstream makes of it: real sockets, single models and pipelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from quorate.agents.endpoint import Endpoint
from quorate.aggregators import StructuredVote
from quorate.orchestrator.context import Budget
from quorate.orchestrator.events import AnswerToken, Done
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Answer, Message, Question
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
GOOD = '{"age": 41}'


def asking(*, strict: bool = True, content: Any = "How old is Ada?") -> Question:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": strict}}
    return Question(messages=(Message(role="user", content=content),), response_format=form)


def codes(answer: Answer) -> list[str]:
    return [note.code for note in answer.degraded]


def upstream(*steps: Step) -> ScriptedUpstream:
    return ScriptedUpstream(list(steps), models=["m"], refuses=["n"])


def answered(up: ScriptedUpstream) -> list[Received]:
    """What was asked, without the request for several samples that such a server refuses."""
    return [request for request in up.requests if "n" not in request.body]


def texts(*replies: str) -> Sequence[Reply]:
    return [Reply(text, usage=(10, 5)) for text in replies]


def build(url: str, n: int) -> ModelBase:
    m = Endpoint("m", base_url=url)
    return m if n == 1 else sample(m, n=n) | StructuredVote()


@pytest.mark.parametrize("n", [1, 3])
async def test_a_reply_that_fits_is_asked_for_once(n: int) -> None:
    """Whoever conforms costs nothing more."""
    async with upstream(*texts(*[GOOD] * n)) as up, build(up.url, n) as model:
        answer = await model.answer(asking())
        assert (answer.text, codes(answer), len(answered(up))) == (GOOD, [], n)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("bad", ["She is 41.", '{"age": "old"}', "[41]", "```\n{}\n```"])
async def test_one_that_does_not_fit_is_asked_for_again_in_words(n: int, bad: str) -> None:
    """The second request has the schema in the question; the usage is that of both, every call booked once."""
    async with upstream(*texts(*[bad] * n, *[GOOD] * n)) as up, build(up.url, n) as model:
        answer = await model.answer(asking(), seed=3)
        assert (answer.text, len(answered(up))) == (GOOD, 2 * n)
        assert "schema_missed" not in codes(answer)
        assert answer.usage.completion_tokens == sum(entry.usage.completion_tokens for entry in answer.nodes) == 10 * n
        first, second = answered(up)[0].body, answered(up)[-1].body
        said = second["messages"][-1]["content"]
        assert said.startswith("How old is Ada?")
        assert json.dumps(SCHEMA) in said
        assert second["response_format"] == first["response_format"]
        assert second["seed"] != first["seed"]


async def test_a_vote_with_one_document_that_fits_is_not_repeated() -> None:
    """Samples that do not fit abstain."""
    async with upstream(*texts("no", GOOD, "41")) as up, build(up.url, 3) as model:
        answer = await model.answer(asking())
        assert (answer.text, len(answered(up))) == (GOOD, 3)


async def test_a_reply_that_never_fits_is_told() -> None:
    """Asked twice, no more."""
    async with upstream(*texts("one", "two", "three")) as up, build(up.url, 1) as model:
        answer = await model.answer(asking())
        assert (answer.text, codes(answer), len(answered(up))) == ("two", ["schema_missed"], 2)
        assert answer.degraded[0].where == "m"


async def test_a_second_request_that_fails_leaves_the_first_reply() -> None:
    """With what became of it."""
    async with upstream(Reply("one"), Fault.status(400)) as up, build(up.url, 1) as model:
        answer = await model.answer(asking())
        assert (answer.text, codes(answer)) == ("one", ["schema_missed"])
        assert "which failed" in answer.degraded[0].detail


@pytest.mark.parametrize(
    ("reply", "budget", "why"),
    [
        (Reply('{"age"', finish_reason="length", usage=(10, 5)), Budget(), "it was cut"),
        (Reply("She is 41.", usage=(10, 5)), Budget(tokens=15), "budget: 15 tokens used"),
    ],
)
async def test_what_another_request_cannot_mend_is_only_told(reply: Reply, budget: Budget, why: str) -> None:
    """A limit of tokens that cut the document cuts the next one, too."""
    async with upstream(reply, Reply(GOOD)) as up, build(up.url, 1) as model:
        answer = await model.answer(asking(), budget=budget)
        assert (len(answered(up)), codes(answer)[-1]) == (1, "schema_missed")
        assert why in answer.degraded[-1].detail


async def test_an_answer_read_while_it_was_written_is_not_taken_back() -> None:
    """Live, the tokens told are the answer's; where the end is enough, it is asked for again and none are told."""
    for live, requests in ((True, 1), (False, 2)):
        async with upstream(*texts("She is 41.", GOOD)) as up, build(up.url, 1) as model:
            events = [event async for event in model.events(asking(), live=live)]
            assert len(answered(up)) == requests
        assert isinstance(events[-1], Done)
        answer = events[-1].answer
        told = "".join(event.text for event in events if isinstance(event, AnswerToken))
        assert (told, answer.text) == (("She is 41.",) * 2 if live else ("", GOOD))
        assert codes(answer) == (["schema_missed"] if live else [])


async def test_nobody_promised_anything_without_strict() -> None:
    """Such a schema is a wish."""
    async with upstream(*texts("She is 41.")) as up, build(up.url, 1) as model:
        answer = await model.answer(asking(strict=False))
        assert (answer.text, codes(answer), len(answered(up))) == ("She is 41.", [], 1)


async def test_a_question_in_parts_keeps_its_parts() -> None:
    """The schema's words are one more of them."""
    parts = ({"type": "text", "text": "How old is she?"}, {"type": "image_url", "image_url": {"url": "data:,"}})
    async with upstream(*texts("41", GOOD)) as up, build(up.url, 1) as model:
        await model.answer(asking(content=parts))
        assert answered(up)[1].body["messages"][0]["content"][:2] == list(parts)
