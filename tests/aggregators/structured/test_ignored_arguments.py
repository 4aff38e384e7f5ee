"""Votes over tool calls that leave out named arguments."""

from __future__ import annotations

import json

import pytest

from quorate.aggregators import StructuredVote, ToolCallVote
from quorate.aggregators.registry import build_aggregator
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Candidate
from quorate.testing import ScriptedModel

from ..helpers import aggregated


def calling(index: int, name: str, **arguments: object) -> Candidate:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": f"c{index}", "type": "function", "function": function}
    return Candidate(index=index, model="m", tool_calls=(call,), finish_reason="tool_calls")


CALLS = [
    calling(0, "search", city="Bonn", reason="near", limit=2.0),
    calling(1, "search", city="Bonn", reason="old", limit=2),
    calling(2, "search", city="Kiel", reason="far", limit=2),
    calling(3, "search", city="Kiel", reason="far", limit=2),
    calling(4, "search", city="Bonn", reason="Rhine", limit=2),
]


@pytest.mark.parametrize(
    ("aggregator", "city"),
    [
        (ToolCallVote(), "Kiel"),
        (ToolCallVote(ignore_arguments=["reason"]), "Bonn"),
        (ToolCallVote(ignore_arguments=["search.reason"]), "Bonn"),
        (ToolCallVote(ignore_arguments=["other.reason"]), "Kiel"),
        (StructuredVote(ignore_arguments=["reason"]), "Bonn"),
        (build_aggregator("majority", [ScriptedModel()], options={"ignore_arguments": ["reason"]}), "Bonn"),
        (build_aggregator("tool-vote", [ScriptedModel()], options={"ignore_arguments": ["reason"]}), "Bonn"),
    ],
)
async def test_they_do_not_count(aggregator: Aggregator, city: str) -> None:
    """Calls that differ in nothing else are one vote; what is called has them as a candidate wrote them."""
    answer = await aggregated(aggregator, CALLS)
    made = json.loads(answer.tool_calls[0]["function"]["arguments"])
    assert made["city"] == city
    assert made["reason"] in ("near", "old", "Rhine", "far")
    assert answer.tally[0].votes == (3 if city == "Bonn" else 2)


@pytest.mark.parametrize("names", ["reason", [""], ["a", " "]])
def test_names_must_be_names(names: list[str]) -> None:
    """A single text would be read letter by letter."""
    with pytest.raises(BadInput, match="ignore_arguments"):
        ToolCallVote(ignore_arguments=names)
