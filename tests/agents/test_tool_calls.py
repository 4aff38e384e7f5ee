"""Tool calls put together from the pieces of streams."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.agents.endpoint.tool_calls import ToolCalls


def piece(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"function": {key: value for key, value in function.items() if value is not None}, **more}


def collect(*events: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    calls = ToolCalls()
    for event in events:
        calls.add(event, whole=False)
    return [(call["function"]["name"], call["function"]["arguments"]) for call in calls.dump()]


@given(
    st.lists(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=9), max_size=3), max_size=3),
    st.lists(st.integers(0, 60), max_size=6),
    st.sets(st.sampled_from(["index", "id", "name again", "id again"])),
)
def test_calls_one_after_the_other_are_told_apart(values: list[Any], cuts: list[int], habits: set[str]) -> None:
    """Cut anywhere, with any of the ways to number them, or none."""
    events: list[list[dict[str, Any]]] = []
    for number, value in enumerate(values):
        written = json.dumps(value)
        at = sorted({0, len(written), *(c % (len(written) + 1) for c in cuts)})
        parts = [written[a:b] for a, b in itertools.pairwise(at)]
        for place, part in enumerate(parts):
            known: dict[str, Any] = {"index": number} if "index" in habits else {}
            if "id" in habits and (place == 0 or "id again" in habits):
                known["id"] = f"call_{number}"
            events.append([piece("look" if place == 0 or "name again" in habits else None, part, **known)])
    assert collect(*events) == [("look", json.dumps(value)) for value in values]


@pytest.mark.parametrize(
    ("events", "calls"),
    [
        # interleaved, by their index or by their id
        (
            [[piece("a", "{", index=0)], [piece("b", "{", index=1)], [piece(arguments="}", index=0)]],
            [("a", "{}"), ("b", "{")],
        ),
        (
            [[piece("a", "{", id="x")], [piece("b", "{", id="y")], [piece(arguments="}", id="x")]],
            [("a", "{}"), ("b", "{")],
        ),
        # two without any mark in one event, and their next pieces together
        (
            [[piece("a", "{"), piece("b", "{")], [piece(arguments="}"), piece(arguments="}")]],
            [("a", "{}"), ("b", "{}")],
        ),
        # a new id with every piece
        ([[piece("a", "{", id="1", index=0)], [piece(arguments="}", id="2", index=0)]], [("a", "{}")]),
        # no arguments at all
        ([[piece("now", "", id="1", index=0)], [piece("now", "", id="2", index=0)]], [("now", ""), ("now", "")]),
        ([[piece("now", "")], [piece("today", "")]], [("now", ""), ("today", "")]),
        ([[piece("now", "{}")], [piece("now", "{}")]], [("now", "{}"), ("now", "{}")]),
        # the name in two pieces, or growing
        (
            [[piece("get_", "", index=0)], [piece("time", "", index=0)], [piece(arguments="{}", index=0)]],
            [("get_time", "{}")],
        ),
        ([[piece("get", "", index=0)], [piece("get_time", "{}", index=0)]], [("get_time", "{}")]),
        # an empty object that stands for what follows
        ([[piece("a", "{}", index=0, id="x")], [piece(arguments='{"b": 1}', index=0)]], [("a", '{"b": 1}')]),
        # all of it again at the end
        ([[piece("a", '{"b": 1}', index=0, id="x")], [piece("a", '{"b": 1}', index=0, id="x")]], [("a", '{"b": 1}')]),
        # an index for every piece
        ([[piece("a", "{", index=0)], [piece(arguments="}", index=1)]], [("a", "{}")]),
        # the last call first
        ([[piece("b", "{}", index=1)], [piece("a", "{}", index=0)]], [("a", "{}"), ("b", "{}")]),
        ([[{"index": 0, "id": "x"}], [piece("a", "{}", index=0)]], [("a", "{}")]),
    ],
)
def test_pieces_go_to_their_calls(events: list[Any], calls: list[tuple[str, str]]) -> None:
    """By id, index, and whether arguments are complete."""
    assert collect(*events) == calls


def test_ids_of_ours_are_the_same_each_time_and_differ() -> None:
    """So that results name one call, and a replayed reply is the same."""
    made = []
    for _ in range(2):
        calls = ToolCalls()
        calls.add([piece("now", "{}"), piece("now", "{}")], whole=True)
        made.append([call["id"] for call in calls.dump()])
    assert made[0] == made[1]
    assert len(set(made[0])) == 2
