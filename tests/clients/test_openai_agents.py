"""The OpenAI Agents SDK: a loop of twenty turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.testing import ScriptedUpstream

from .loops import ARRIVED, PIPELINES, STEPS, Walk, begin_walk, check_walk, serve_walk

openai = pytest.importorskip("openai")


def load_sdk() -> Any:
    """The SDK, whose package has the name of a folder here."""
    here = Path(__file__).parents[2]
    before = list(sys.path)
    sys.path[:] = [place for place in before if Path(place or ".").resolve() != here]
    try:
        pytest.importorskip("agents.run")
        return sys.modules["agents"]
    finally:
        sys.path[:] = before


agents = load_sdk()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ScriptedUpstream]]:
    """The server and its upstream."""
    with serve_walk(tmp_path_factory.mktemp("walk")) as both:
        yield both


def walker(client: Any, pipeline: str, walk: Walk) -> Any:
    """An agent with the one tool."""
    agents.set_tracing_disabled(True)

    @agents.function_tool  # type: ignore[untyped-decorator]
    def step(number: int, reason: str) -> str:
        """Takes a step."""
        return walk.step(number)

    model = agents.OpenAIChatCompletionsModel(model=pipeline, openai_client=client)
    return agents.Agent(name="walker", instructions="Walk.", model=model, tools=[step])


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_twenty_turns(pipeline: str, served: tuple[str, ScriptedUpstream]) -> None:
    """No call is lost, none is made twice."""
    walk = begin_walk(served)
    async with openai.AsyncOpenAI(base_url=served[0], api_key="any", max_retries=0, timeout=60) as client:
        agent = walker(client, pipeline, walk)
        result = await agents.Runner.run(agent, "Walk twenty steps.", max_turns=STEPS + 5)
    check_walk(walk, served[1], panel=pipeline != "voting")
    assert result.final_output == ARRIVED


@pytest.mark.parametrize("pipeline", PIPELINES)
async def test_twenty_turns_streamed(pipeline: str, served: tuple[str, ScriptedUpstream]) -> None:
    """The same with streams: the last answer comes in pieces where one model writes it."""
    walk, pieces = begin_walk(served), []
    async with openai.AsyncOpenAI(base_url=served[0], api_key="any", max_retries=0, timeout=60) as client:
        agent = walker(client, pipeline, walk)
        result = agents.Runner.run_streamed(agent, "Walk twenty steps.", max_turns=STEPS + 5)
        async for event in result.stream_events():
            data = getattr(event, "data", None)
            if data is not None and data.type == "response.output_text.delta":
                pieces.append(data.delta)
    check_walk(walk, served[1], panel=pipeline != "voting")
    assert "".join(pieces) == result.final_output == ARRIVED
    assert len(pieces) > 1 or pipeline == "voting"
