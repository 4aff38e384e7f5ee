"""The vote that fits what comes, and its pipelines."""

from __future__ import annotations

import pytest

from quorate import AdaptiveConsistency, Candidate, MajorityVote, Question, sample
from quorate.aggregators import StructuredVote
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import Done, TallyChanged
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Answer
from quorate.testing import ScriptedModel

from ..helpers import Exact, aggregate_at_node, candidate, counter_of, failed, tallied
from .test_calls import WEATHER, call, calling

JSON = {"type": "json_object"}


def vote() -> StructuredVote:
    return StructuredVote(MajorityVote(equivalence=Exact()))


async def voted(candidates: list[Candidate], question: Question) -> Answer:
    return await aggregate_at_node(vote(), candidates, question=question)


async def test_it_votes_on_what_there_is() -> None:
    """Calls where some are made, documents where they are asked for, else answers."""
    plain = Question.of("?")
    asked = plain.model_copy(update={"response_format": JSON})
    texts = [candidate(0, "#### 4"), candidate(1, "#### 4.0"), candidate(2, "#### 5")]
    assert (await voted(texts, plain)).answer in {"4", "4.0"}
    documents = [candidate(0, '{"a": 1}'), candidate(1, '{"a": 1.0}'), candidate(2, "1"), candidate(3, "1")]
    assert (await voted(documents, asked)).answer == '{"a":1}'
    assert (await voted([*documents, calling(4, call())], asked)).answer == '{"a":1}'
    calls = [calling(i, call()) for i in range(5, 8)]
    assert (await voted([*texts, calls[0]], plain)).answer in {"4", "4.0"}
    assert (await voted([texts[0], *calls], plain)).tool_calls == (call(),)
    with pytest.raises(NoAnswer):
        await voted([failed(0)], plain)


async def test_the_tally_while_sampling_knows_the_question() -> None:
    """Documents count against the format, calls against the tools, and texts by their answers until one calls."""
    documents = [candidate(0, '{"a":1}'), candidate(1, '{"a":1.0}'), candidate(2, "I think 1")]
    counter = counter_of(vote(), question=Question.of("?").model_copy(update={"response_format": JSON}))
    assert [counter.extract(c) for c in documents] == ['{"a":1}', '{"a":1}', None]
    assert [c.voters for c in await counter.tally(documents)] == [(0, 1)]
    texts = [candidate(0, "#### 4"), candidate(1, "#### 5"), candidate(2, "Which city?")]
    counter = counter_of(vote(), question=Question.of("?").model_copy(update={"tools": (WEATHER,)}))
    assert [c.votes for c in await counter.tally(texts)] == [1, 1]
    assert [c.voters for c in await counter.tally([*texts, calling(3, call()), calling(4, call(name="x"))])] == [
        (0, 1, 2),
        (3,),
    ]
    assert [c.votes for c in await tallied(vote(), [*texts, calling(3, call())])] == [3, 1]


async def test_sampling_stops_by_the_documents() -> None:
    """Four equal documents, spelled in four ways, are sure enough; prose beside them is not counted."""
    spelled = ['{"a":1,"b":2}', '{"b":2,"a":1}', '{"a": 1.0, "b": 2}', '```json\n{"a":1,"b":2e0}\n```']
    model = ScriptedModel(["no", *spelled, "never", "asked"])
    pipeline = sample(model, n=7, stop=AdaptiveConsistency(0.95), wave=1) | vote()
    question = Question.of("?").model_copy(update={"response_format": JSON})
    events = [event async for event in pipeline.events(question, seed=1)]
    last = events[-1]
    assert isinstance(last, Done)
    assert last.answer.answer == '{"a":1,"b":2}'
    assert last.answer.stopped.startswith("adaptive consistency: 4 to 0")
    assert len(last.answer.candidates) == 5
    assert [event.tally[0].votes if event.tally else 0 for event in events if isinstance(event, TallyChanged)] == [
        *range(5)
    ]


@pytest.mark.parametrize(
    ("name", "lines", "answer"),
    [
        ("json-vote@3", ['{"a": 1}', '{"a": 1.0}', '{"a": 2}'], '{"a":1}'),
        ("json-fields@3", ['{"a":1,"b":1}', '{"a":1,"b":2}', '{"a":2,"b":2}'], '{"a":1,"b":2}'),
        ("tool-vote@3", ["#### 1", "#### 2", "#### 2"], "2"),
        ("centroid@3", ["so #### 7", "so #### 7.", "hm"], "7"),
    ],
)
async def test_pipelines_by_name(name: str, lines: list[str], answer: str) -> None:
    """As the command line and the wire call them."""
    model = ScriptedModel(lines, name="m")
    pipeline = Catalog({"m": model}).resolve(f"{name}/m")
    assert isinstance(pipeline, Pipeline)
    async with pipeline:
        assert (await pipeline.answer("?", seed=1)).answer == answer
