"""pydantic-ai: a loop of twenty turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from quorate.testing import ScriptedUpstream

from .loops import ARRIVED, PIPELINES, Walk, begin_walk, check_walk, serve_walk

pytest.importorskip("pydantic_ai")
openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedUpstream]]:
    """The server and its upstream."""
    with serve_walk(tmp_path_factory.mktemp("walk")) as both:
        yield both


def walker(client: Any, pipeline: str, walk: Walk) -> Any:
    """An agent with the one tool."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    agent = Agent(OpenAIChatModel(pipeline, provider=OpenAIProvider(openai_client=client)), instructions="Walk.")

    @agent.tool_plain  # type: ignore[untyped-decorator]
    def step(number: int, reason: str) -> str:
        """Takes a step."""
        return walk.step(number)

    return agent


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_twenty_turns(pipeline: str, served: tuple[str, ScriptedUpstream]) -> None:
    """No call is lost, none is made twice."""
    walk = begin_walk(served)
    async with openai.AsyncOpenAI(base_url=served[0], api_key="any", max_retries=0, timeout=60) as client:
        result = await walker(client, pipeline, walk).run("Walk twenty steps.")
    check_walk(walk, served[1], panel=pipeline != "voting")
    assert result.output == ARRIVED


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_twenty_turns_streamed(pipeline: str, served: tuple[str, ScriptedUpstream]) -> None:
    """The same with streams: the last answer comes in pieces where one model writes it."""
    walk = begin_walk(served)
    async with (
        openai.AsyncOpenAI(base_url=served[0], api_key="any", max_retries=0, timeout=60) as client,
        walker(client, pipeline, walk).run_stream("Walk twenty steps.") as result,
    ):
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    check_walk(walk, served[1], panel=pipeline != "voting")
    assert "".join(pieces) == ARRIVED
    assert len(pieces) > 1 or pipeline == "voting"
