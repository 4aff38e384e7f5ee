"""Requests leave no cycles of objects behind: the server has Python search for these seldom."""

from __future__ import annotations

import gc
from collections import Counter

import pytest

from quorate import Endpoint
from quorate.orchestrator.errors import QuorateError
from quorate.testing import Reply, ScriptedUpstream

from .conftest import Start


async def _list_left_behind(start: Start, model: str, *, stream: bool, upstream: ScriptedUpstream) -> Counter[str]:
    """The objects of this package that only a search for cycles finds after some requests, by class."""
    async with Endpoint("m", base_url=upstream.url) as endpoint, start(endpoint) as served:
        for number in range(6):
            if number == 2:  # the first ones fill caches and open connections
                gc.collect()
                gc.disable()
                gc.set_debug(gc.DEBUG_SAVEALL)
            await served.post(model=model, stream=stream)
        gc.collect()
        kinds = [kind for kind in map(type, gc.garbage) if kind.__module__.startswith("quorate.")]
        return Counter(kind.__name__ for kind in kinds if "testing" not in kind.__module__)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["m", "majority@3/m", "gate@3/m", "self-moa@2/m", "usc@2/m", "debate@2/m"])
async def test_a_request_is_freed_as_soon_as_it_is_over(start: Start, model: str, stream: bool) -> None:
    async with ScriptedUpstream(Reply("6 * 7 is 42. Answer: 42"), refuses=["n"]) as upstream:
        try:
            assert await _list_left_behind(start, model, stream=stream, upstream=upstream) == Counter()
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


def test_the_search_finds_a_cycle() -> None:
    error = QuorateError("a cycle")
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        error.args = (error,)
        del error
        gc.collect()
        assert QuorateError in map(type, gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
