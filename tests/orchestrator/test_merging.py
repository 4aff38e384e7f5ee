"""Merged streams lose nothing, end when all end, and leave nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.orchestrator.merging import merge, until


async def counted(n: int, ended: list[int], *, fails: bool = False, pause: float = 0) -> AsyncGenerator[int, None]:
    try:
        for i in range(n):
            await asyncio.sleep(pause)
            yield i
        if fails:
            raise ValueError("broken")
    finally:
        ended.append(n)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_every_item_arrives_once(sizes: list[int]) -> None:
    """The merged items are those of all streams."""

    async def merged() -> list[int]:
        return [item async for item in merge([counted(n, []) for n in sizes])]

    assert sorted(asyncio.run(merged())) == sorted(i for n in sizes for i in range(n))


async def test_an_error_ends_all_streams() -> None:
    """The error reaches the reader after every other stream has been closed."""
    ended: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        async for _ in merge([counted(1, ended, fails=True), counted(10_000, ended, pause=1)]):
            pass
    assert sorted(ended) == [1, 10_000]


async def test_closing_ends_all_streams() -> None:
    """`aclose` returns when every stream's clean-up has run."""
    ended: list[int] = []
    merged = merge([counted(10_000, ended), counted(10_001, ended)])
    await anext(merged)
    await merged.aclose()
    assert sorted(ended) == [10_000, 10_001]


async def test_a_deadline_ends_a_stream_that_hangs() -> None:
    """What came before the deadline was delivered; the stream is closed after it."""
    ended: list[int] = []
    stream = until(asyncio.get_running_loop().time() + 0.05, merge([counted(2, ended, pause=3600)]))
    with pytest.raises(TimeoutError):
        await anext(stream)
    assert ended == [2]


async def test_without_a_deadline_nothing_is_cut() -> None:
    """None waits for the end."""
    assert [item async for item in until(None, counted(3, []))] == [0, 1, 2]
