"""Votes over JSON documents, whole and field by field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import JsonFieldVote, JsonVote
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Question

from ..helpers import aggregate_at_node, candidate, counter_of, failed

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def asking(schema: Any = None) -> Question:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}} if schema is not None else None
    return Question.of("?").model_copy(update={"response_format": form})


async def voted(
    aggregator: Aggregator, texts: Sequence[Any], *, schema: Any = None, seed: int = 1, more: Sequence[Candidate] = ()
) -> Answer:
    """The answer to texts, or to values as JSON."""
    said = [candidate(i, t if isinstance(t, str) else json.dumps(t)) for i, t in enumerate(texts)]
    run = RunContext(seed=seed, node="aggregate")
    return await aggregate_at_node(aggregator, [*said, *more], run, asking(schema))


BOTH = pytest.mark.parametrize("kind", [JsonVote, JsonFieldVote])


async def test_documents_vote_by_value() -> None:
    """Key order, layout and the form of numbers are one vote; the text is a candidate's own."""
    texts = ['{"a":1,"b":[2]}', '{"b": [2.0],\n "a": 1e0}', '{"a":2,"b":[2]}']
    answer = await voted(JsonVote(), texts)
    assert answer.text == texts[0]
    assert answer.answer == '{"a":1,"b":[2]}'
    assert [(c.votes, c.voters) for c in answer.tally] == [(2, (0, 1)), (1, (2,))]


async def test_the_text_is_the_document_alone() -> None:
    """Whoever asks for JSON can parse the answer, whatever the model wrapped it in."""
    answer = await voted(JsonVote(), ['<think>x</think>Sure!\n```json\n{"a": 1}\n```', '```\n{"a":1}\n```'])
    assert json.loads(answer.text) == {"a": 1}


@BOTH
async def test_what_misses_the_schema_abstains(kind: type[JsonVote | JsonFieldVote]) -> None:
    """Two that agree on something invalid lose to one that is valid; prose abstains too."""
    texts: list[Any] = [{"name": "Ann"}, {"name": "Ann"}, "Ann, I think", {"name": "Bo", "age": 3}]
    answer = await voted(kind(), texts, schema=PERSON)
    assert json.loads(answer.text) == {"name": "Bo", "age": 3}
    assert [c.voters for c in answer.tally] == [(3,)]
    assert json.loads((await voted(kind(PERSON), texts)).text) == {"name": "Bo", "age": 3}


@BOTH
async def test_where_all_abstain_a_text_is_given(kind: type[JsonVote | JsonFieldVote]) -> None:
    """Marked as such, with the vote's own name."""
    answer = await voted(kind(), ["no", "nothing at all", ""], schema=PERSON)
    assert answer.answer is None
    assert [(d.code, d.where) for d in answer.degraded] == [("all_abstained", f"aggregate: {kind.name}")]


@BOTH
async def test_one_candidate_and_failures(kind: type[JsonVote | JsonFieldVote]) -> None:
    """One is enough; where all failed there is no answer."""
    assert (await voted(kind(), ['{"a": 1}'], more=[failed(1), failed(2)])).text == '{"a": 1}'
    for none in ([], [failed(0)]):
        with pytest.raises(NoAnswer, match=kind.name):
            await voted(kind(), [], more=none)


@BOTH
async def test_votes_are_counted_while_sampling(kind: type[JsonVote | JsonFieldVote]) -> None:
    """Against the question's schema, where the question is known."""
    vote = kind()
    counter = counter_of(vote)
    said = [candidate(0, '{"a": 1}'), candidate(1, '{"name":"x","age":1.0}'), failed(2)]
    assert [counter.extract(c) for c in said] == ['{"a":1}', '{"age":1,"name":"x"}', None]
    checking = counter_of(vote, question=asking(PERSON))
    assert [checking.extract(c) for c in said] == [None, '{"age":1,"name":"x"}', None]
    assert [c.votes for c in await checking.tally(said)] == [1]
    assert len(await counter.tally(said)) == 2


async def test_a_recorded_answer_stands_for_its_text() -> None:
    """Banks may keep the answer alone."""
    assert counter_of(JsonVote()).extract(candidate(0, "", answer='{"a": 1.0}')) == '{"a":1}'


SMALL = st.sampled_from(
    [0, 1, "x", "X ", "y", None, [], [1], [1, 2], ["a", {"b": 1}], {}, {"b": 1}, {"b": 2, "c": "x"}]
)
DOCUMENTS = st.dictionaries(st.sampled_from("ab~/"), SMALL, max_size=3) | SMALL


@pytest.mark.parametrize("aggregator", [JsonVote(), JsonFieldVote(), JsonFieldVote(arrays="elementwise")], ids=repr)
@given(st.lists(DOCUMENTS, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
async def test_the_order_of_candidates_means_nothing(aggregator: Aggregator, values: list[Any], random: Any) -> None:
    """The same documents in any order give the same text, answer and class sizes under one seed."""
    one = await voted(aggregator, values)
    other = await voted(aggregator, random.sample(values, len(values)))
    assert (one.text, one.answer) == (other.text, other.answer)
    assert [(c.answer, c.votes) for c in one.tally] == [(c.answer, c.votes) for c in other.tally]


@pytest.mark.parametrize("arrays", ["whole", "elementwise"])
@given(st.lists(DOCUMENTS, min_size=1, max_size=2))
@settings(max_examples=40, deadline=None)
async def test_one_or_two_documents_are_never_mixed(arrays: Any, values: list[Any]) -> None:
    """A field vote of one document or two is the whole-document vote: ties go to its winner."""
    fields, whole = await voted(JsonFieldVote(arrays=arrays), values), await voted(JsonVote(), values)
    assert fields.answer == whole.answer


async def test_fields_are_put_together() -> None:
    """No two documents agree, and yet every field has its majority."""
    texts = [
        {"name": "Ann Lee", "age": 30, "city": "Oslo"},
        {"name": "ann  lee", "age": 31, "city": "Bergen"},
        {"name": "Ann Lee", "age": 31.0, "city": "Oslo", "pet": "cat"},
        {"name": "Bo", "age": "31", "city": "Oslo"},
    ]
    answer = await voted(JsonFieldVote(), texts)
    assert json.loads(answer.text) == {"name": "Ann Lee", "age": 31, "city": "Oslo"}
    assert answer.answer == '{"age":31,"city":"Oslo","name":"Ann Lee"}'
    assert len(answer.tally) == 4
    assert answer.degraded == ()


async def test_nested_objects_and_kinds() -> None:
    """A place may hold an object for some and a word for others; keys are in by majority."""
    texts = [{"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "z": 0}}, {"a": "unknown"}, {"a": {"x": 5, "y": 2}}]
    answer = await voted(JsonFieldVote(), texts)
    assert json.loads(answer.text) == {"a": {"x": 1, "y": 2}}


async def test_arrays_whole_or_by_place() -> None:
    """Whole arrays win as they are; elementwise, the length is voted on and then each place."""
    texts = [["a", "b", "c"], ["a", "x", "c"], ["a", "b", "d"], ["a"], ["a"]]
    assert json.loads((await voted(JsonFieldVote(), texts)).text) == ["a"]
    assert json.loads((await voted(JsonFieldVote(arrays="elementwise"), texts)).text) == ["a", "b", "c"]


async def test_an_assembled_document_must_fit_the_schema() -> None:
    """Else the most frequent whole document is the answer, and the answer says so."""
    pair = {"anyOf": [{"properties": {"a": {"const": i}, "b": {"const": i}}} for i in range(4)]}
    texts = [{"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 2, "c": 1}, {"a": 2, "b": 2, "c": 2}, {"a": 2}, {"b": 1}]
    answer = await voted(JsonFieldVote(), texts, schema=pair)
    assert json.loads(answer.text) == {"a": 1, "b": 1}
    assert [d.code for d in answer.degraded] == ["assembled_invalid"]


async def test_the_same_seed_draws_the_same() -> None:
    """Ties are drawn by the run's seed, and not always alike."""
    texts = [{"a": i} for i in range(6)]
    drawn = {seed: (await voted(JsonFieldVote(), texts, seed=seed)).text for seed in range(8)}
    assert len(set(drawn.values())) > 1
    assert drawn == {seed: (await voted(JsonFieldVote(), texts, seed=seed)).text for seed in range(8)}


def test_bad_parameters_are_named() -> None:
    """One clear error."""
    with pytest.raises(BadInput, match="arrays='some'"):
        JsonFieldVote(arrays="some")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="JSON schema"):
        JsonVote("x")  # type: ignore[arg-type]


async def test_a_wide_document_is_merged_in_linear_time() -> None:
    """Thousands of keys that nobody shares with anybody end at once."""
    texts = [{f"{i}-{k}": k for k in range(3000)} for i in range(8)]
    assert (await voted(JsonFieldVote(), texts)).answer == "{}"
