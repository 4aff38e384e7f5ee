"""The endpoint's parts that need no server: event streams, accounts, text in pieces."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Endpoint
from quorate.agents.endpoint.response import ReplyChoice
from quorate.agents.endpoint.sse import Decoder
from quorate.agents.endpoint.usage import Counts, UsageSplitter
from quorate.testing import Raw, ScriptedUpstream

from .asking import draw

TEXTS = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1), max_size=5)


def decode(stream: bytes, cuts: list[int]) -> list[str]:
    """The events in a stream that arrives in pieces."""
    decoder, at = Decoder(), 0
    data: list[bytes] = []
    for cut in [*sorted(c % (len(stream) + 1) for c in cuts), len(stream)]:
        if cut > at:
            data += decoder.decode(stream[at:cut])
        at = max(at, cut)
    return [d.decode() for d in (*data, *decoder.end())]


@given(TEXTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 10_000), max_size=20))
def test_events_do_not_depend_on_how_the_bytes_are_cut(texts: list[str], end: str, cuts: list[int]) -> None:
    """Wherever the network cuts, be it inside a character or between CR and LF."""
    stream = "".join(f": keep-alive{end}event: x{end}data: {text}{end}{end}" for text in texts).encode()
    assert decode(stream, cuts) == texts


@given(st.lists(st.integers(0, 200), max_size=8))
def test_several_data_lines_are_one_event(cuts: list[int]) -> None:
    """Joined by line feeds; the space after the colon is optional; the last blank line too."""
    assert decode(b"data:a\ndata: b\ndata\n\nid: 3\n\n\ndata:  c", cuts) == ["a\nb", " c"]


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=20), st.integers(0, 50))
def test_shares_sum_to_the_total(extra: int, sizes: list[int], ended: int) -> None:
    """However much each choice wrote, and whichever ended before."""
    total = len(sizes) + extra  # a text has a token at least
    choices = [ReplyChoice(index, text="x" * size) for index, size in enumerate(sizes)]
    splitter = UsageSplitter(lambda: "prompt", None, tries=2)
    early = choices[: ended % len(choices)]
    for choice in early:
        choice.counts = Counts(7, 1)
    parts = [splitter.part(choice, first=choice is choices[0]) for choice in early]
    splitter.total = Counts(7, total + len(early), min(total, 3))
    parts += splitter.rest(choices[len(early) :])
    assert sum(p.completion_tokens for p in parts) == total + len(early)
    assert sum(p.reasoning_tokens for p in parts) == min(total, 3)
    assert [p.prompt_tokens for p in parts] == [7] + [0] * (len(parts) - 1)
    assert [p.requests for p in parts] == [2] + [0] * (len(parts) - 1)
    assert not splitter.guessed


@given(st.text(min_size=1), st.lists(st.integers(0, 100), max_size=6))
def test_text_comes_whole_from_its_pieces(text: str, cuts: list[int]) -> None:
    """Also where a server cuts a surrogate pair of its JSON in two."""
    utf16 = text.encode("utf-16-le", "surrogatepass")
    at = sorted({0, len(utf16), *(2 * c % len(utf16) for c in cuts)})
    pieces = [utf16[a:b].decode("utf-16-le", "surrogatepass") for a, b in itertools.pairwise(at)]
    choice = ReplyChoice(0)
    told = "".join(choice.take({"delta": {"content": piece}})[1] for piece in pieces)
    assert choice.text == told
    assert choice.text == utf16.decode("utf-16-le", "replace") or any("\ud800" <= c <= "\udfff" for c in text)
    json.dumps(told).encode()
    told.encode()


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_a_stream_in_awkward_pieces_is_read(end: bytes) -> None:
    """Comments, CRLF, several data lines, and a character cut in the middle."""
    event = '{"choices":[{"index":0,"delta":{"content":"Grüße, 世界 🌍"}}]}'.encode()
    lines = [b": ping", b"", b"event: message", b"data: " + event[:12], b"data: " + event[12:], b""]
    last = [b'data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}', b"", b"data: [DONE]", b"", b""]
    stream = end.join([*lines, *last])
    pieces = [stream[i : i + 7] for i in range(0, len(stream), 7)]
    async with ScriptedUpstream(Raw(pieces)) as up, Endpoint("m", base_url=up.url) as agent:
        result = await draw(agent, live=True)
    assert result.texts == ["Grüße, 世界 🌍"]
