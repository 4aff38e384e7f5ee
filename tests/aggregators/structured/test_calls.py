"""Votes over tool calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import JsonVote, ToolCallVote
from quorate.aggregators.structured.calls import NO_CALL, canonical_calls
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Question

from ..helpers import aggregate_at_node, candidate, counter_of, failed, tallied

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def call(arguments: Any = '{"city": "Oslo"}', name: str = "weather", identity: str = "c") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(index: int, *calls: dict[str, Any], text: str = "") -> Candidate:
    return Candidate(index=index, model="m", text=text, tool_calls=calls, finish_reason="tool_calls")


async def voted(
    candidates: Sequence[Candidate], *, aggregator: Aggregator | None = None, seed: int = 1, **asked: Any
) -> Answer:
    question = Question.of("?").model_copy(update=asked)
    run = RunContext(seed=seed, node="aggregate")
    return await aggregate_at_node(aggregator or ToolCallVote(), candidates, run, question)


async def test_calls_vote_by_their_arguments() -> None:
    """Order of keys, layout, form of numbers and ids mean nothing; the calls told are a candidate's own."""
    said = [
        calling(0, call('{"city":"Oslo","days":2}', identity="a")),
        calling(1, call('{ "days": 2.0, "city": "Oslo" }', identity="b")),
        calling(2, call('{"city":"Bergen","days":2}', identity="c")),
    ]
    answer = await voted(said)
    assert answer.tool_calls == said[0].tool_calls
    assert answer.finish_reason == "tool_calls"
    assert answer.answer == '[{"name":"weather","arguments":{"city":"Oslo","days":2}}]'
    assert [c.voters for c in answer.tally] == [(0, 1), (2,)]


async def test_several_calls_are_a_multiset() -> None:
    """Their order means nothing, how often they are made does."""
    a, b = call('{"city":"A"}'), call('{"city":"B"}')
    said = [calling(0, a, b), calling(1, b, a), calling(2, a), calling(3, a, a, b)]
    assert [c.votes for c in (await voted(said)).tally] == [2, 1, 1]


@pytest.mark.parametrize(
    "bad",
    [
        call("{"),
        call("[1]"),
        call('"x"'),
        call("NaN"),
        call(name=""),
        {"id": "x", "type": "function"},
        {"function": None},
        call("[" * 9999),
    ],
    ids=lambda bad: str(bad)[:60],
)
async def test_a_malformed_call_abstains(bad: dict[str, Any]) -> None:
    """Alone or beside a good one; the good ones decide."""
    answer = await voted([calling(0, bad), calling(1, bad), calling(2, call(), bad), calling(3, call())])
    assert answer.tool_calls == (call(),)
    assert [c.voters for c in answer.tally] == [(3,)]


@pytest.mark.parametrize("arguments", ["", "{}", " ", None, {}])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    """Servers spell them in many ways."""
    assert canonical_calls([call(arguments)]) == '[{"name":"weather","arguments":{}}]'


async def test_texts_are_one_class() -> None:
    """Where it wins, the vote over texts decides among them, and the tally is still that of the calls."""
    said = [candidate(0, "#### 4"), candidate(1, "#### 5"), candidate(2, "so #### 5"), calling(3, call())]
    answer = await voted(said)
    assert answer.tool_calls == ()
    assert answer.answer == "5"
    assert [(c.answer, c.voters) for c in answer.tally] == [
        (NO_CALL, (0, 1, 2)),
        ('[{"name":"weather","arguments":{"city":"Oslo"}}]', (3,)),
    ]
    assert answer.candidates == tuple(said)
    assert (await voted([candidate(0, '{"a": 1}')], aggregator=ToolCallVote(JsonVote()))).answer == '{"a":1}'


async def test_marks_of_the_tally_are_no_answers() -> None:
    """Candidates come from sampling marked with what they vote for; that is not what their text says."""
    said = [candidate(i, f"#### {i // 2}", answer=NO_CALL) for i in range(5)]
    assert (await voted(said)).answer in {"0", "1"}


async def test_the_question_says_what_can_be_called() -> None:
    """A tool that is not offered abstains; where a call is demanded, texts do too; so do cut and blank ones."""
    said = [calling(0, call(name="hack")), calling(1, call(name="hack")), candidate(2, "hm"), candidate(3, "hm")]
    said += [calling(4, call())]
    assert (await voted(said, tools=(WEATHER,))).tally[0].voters == (2, 3)
    for choice in ("required", {"type": "function", "function": {"name": "weather"}}):
        assert (await voted(said, tools=(WEATHER,), tool_choice=choice)).tool_calls == (call(),)
    cut = [candidate(0, "I shall", finish="length"), candidate(1, ""), candidate(2, "<think>so"), calling(3, call())]
    assert [c.voters for c in (await voted(cut)).tally] == [(3,)]


async def test_where_all_abstain_a_message_is_given() -> None:
    """As it came, marked."""
    answer = await voted([calling(0, call("{")), calling(1, call("{{"))])
    assert answer.tool_calls == (call("{"),)
    assert answer.answer is None
    assert [(d.code, d.where) for d in answer.degraded] == [("all_abstained", "aggregate: tool-vote")]


async def test_one_candidate_and_failures() -> None:
    """One is enough; where all failed there is no answer."""
    assert (await voted([failed(0), calling(1, call())])).tool_calls == (call(),)
    for none in ([], [failed(0)]):
        with pytest.raises(NoAnswer, match="tool-vote"):
            await voted(none)


async def test_votes_are_counted_while_sampling() -> None:
    """With the tools of the question, where it is known."""
    vote = ToolCallVote()
    said = [calling(0, call()), calling(1, call(name="other")), candidate(2, "hi"), candidate(3, ""), failed(4)]
    assert [c.votes for c in await tallied(vote, said)] == [1, 1, 1]
    offering = counter_of(vote, question=Question.of("?").model_copy(update={"tools": (WEATHER,)}))
    assert [offering.extract(c) for c in said][1:] == [None, NO_CALL, None, None]


ARGUMENTS = st.sampled_from(['{"a":1}', '{"a": 1.0}', '{"a":2}', "{", '{"b":1,"a":1}', '{"a":1,"b":1}'])
MESSAGES = st.lists(st.tuples(ARGUMENTS, st.sampled_from("xyz")), max_size=2)


@given(st.lists(MESSAGES, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
async def test_the_order_of_candidates_means_nothing(messages: list[list[tuple[str, str]]], random: Any) -> None:
    """The same messages in any order give the same calls, ids included, under one seed."""

    def said(order: list[list[tuple[str, str]]]) -> list[Candidate]:
        made = [[call(arguments, identity=i) for arguments, i in m] for m in order]
        return [calling(i, *c, text="" if c else f"#### {len(order)}") for i, c in enumerate(made)]

    one, other = await voted(said(messages)), await voted(said(random.sample(messages, len(messages))))
    assert (one.tool_calls, one.text, one.answer) == (other.tool_calls, other.text, other.answer)
    assert [(c.answer, c.votes) for c in one.tally] == [(c.answer, c.votes) for c in other.tally]
