"""The objects of a reply's body, wherever the network cuts it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.agents.endpoint.framing import Frames, Malformed

OBJECTS = st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=9), max_size=3), max_size=4)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)
NOISE = [b"", b": ping\n\n", b"data:\n\n", b"data: null\n\n", b"data: : busy\n\n", b"event: ping\n\n"]


def read(body: bytes, cuts: list[int] = []) -> tuple[list[dict[str, Any]], Frames]:  # noqa: B006 - never changed
    frames, at = Frames(), 0
    found: list[dict[str, Any]] = []
    for cut in [*sorted(c % (len(body) + 1) for c in cuts), len(body)]:
        if cut > at and not frames.done:
            found += frames.take(body[at:cut])
        at = max(at, cut)
    return (found if frames.done else [*found, *frames.take(b"")]), frames


@given(OBJECTS, st.lists(st.sampled_from(NOISE), max_size=4), st.sampled_from(["", "\ufeff", "\n"]), CUTS)
def test_events_do_not_depend_on_the_cuts(objects: list[Any], noise: list[bytes], head: str, cuts: list[int]) -> None:
    """Whatever stands between them."""
    between = [*noise, *[b""] * len(objects)]
    events = [b"data: " + json.dumps(o).encode() + b"\n\n" + space for o, space in zip(objects, between, strict=False)]
    found, frames = read(head.encode() + b": begin\n\n" + b"".join(events) + b"data: [DONE]\n\n", cuts)
    assert (found, frames.done, frames.is_document) == (objects, True, False)


@given(OBJECTS.filter(bool), st.sampled_from(["", "\n", "\r\n\n"]), st.sampled_from(["", "data: [DONE]\n\n"]), CUTS)
def test_documents_in_a_row_do_not_depend_on_the_cuts(objects: list[Any], gap: str, tail: str, cuts: list[int]) -> None:
    """With or without a space between them, in a list or not."""
    body = (gap.join(map(json.dumps, objects)) + gap + tail).encode()
    found, frames = read(body, cuts)
    assert (found, frames.is_document, frames.done) == (objects, True, bool(tail))
    assert read(json.dumps(objects).encode(), cuts)[0] == objects


@given(st.binary(max_size=60), CUTS)
def test_whatever_comes_is_read_or_malformed(body: bytes, cuts: list[int]) -> None:
    """Never another error."""
    with suppress(Malformed):
        found, _ = read(body, cuts)
        assert all(isinstance(each, dict) for each in found)


@pytest.mark.parametrize(
    "body", [b'data: {"a": \n\n', b'{"a": 1}{"b"', b'data: {"a": 1}\ndata: {"b"\n\n', b'{"a": "\xff"}', b"[" * 100_000]
)
def test_half_an_object_is_malformed(body: bytes) -> None:
    """What was in it is lost."""
    with pytest.raises(Malformed, match="not JSON"):
        read(body)


def test_many_documents_are_read_in_linear_time() -> None:
    """A reply may have 64 MiB."""
    found, _ = read(b'{"a": 1}\n' * 50_000 + b"[DONE]")
    assert len(found) == 50_000
