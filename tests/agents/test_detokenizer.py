"""IncrementalDetokenizer that grows token by token."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from quorate.agents.embedded.chat import IncrementalDetokenizer


def utf8(tokens: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes."""
    return bytes(tokens).decode(errors="replace")


def push_all(text: IncrementalDetokenizer, tokens: bytes) -> list[str]:
    """The pieces, up to a stop string."""
    pieces = []
    for token in tokens:
        pieces.append(text.push(token))
        if text.stopped:
            break
    return [*pieces, text.end()]


@given(st.binary(max_size=60))
def test_pieces_join_to_the_whole(tokens: bytes) -> None:
    """Whatever the bytes, pieces join to the text that decoding all of them gives."""
    text = IncrementalDetokenizer(utf8)
    assert "".join(push_all(text, tokens)) == text.whole == utf8(tokens)


@given(st.text(max_size=40))
def test_no_half_characters(written: str) -> None:
    """Pieces of proper text are proper text."""
    pieces = push_all(IncrementalDetokenizer(utf8), written.encode())
    assert "".join(pieces) == written
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in written


@given(st.text("ab\n", max_size=40), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3))
def test_text_ends_before_the_first_stop_string(written: str, stop: list[str]) -> None:
    """As soon as a stop string is complete the text ends before it, and no piece has shown any of it."""
    ends = [end for s in stop if (end := written.find(s) + len(s)) >= len(s)]
    first = min(ends, default=None)
    kept = written if first is None else written[: min(first - len(s) for s in stop if written[:first].endswith(s))]
    text = IncrementalDetokenizer(utf8, stop)
    assert "".join(push_all(text, written.encode())) == text.whole == kept
    assert text.stopped == (first is not None)


def test_decoders_that_strip_the_first_space() -> None:
    """A decoder that drops a leading space does so only at the beginning of the text."""
    words = [" one", " two", " three"]
    text = IncrementalDetokenizer(lambda tokens: "".join(words[t] for t in tokens).removeprefix(" "))
    assert [text.push(0), text.push(1), text.push(2)] == ["one", " two", " three"]
