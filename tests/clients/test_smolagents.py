"""smolagents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quorate.testing import Received, Reply, ScriptedUpstream

from .conftest import VOTE, serving

smolagents = pytest.importorskip("smolagents")


def act(received: Received) -> Reply:
    """Code for an agent that writes code; for the other, a call and then the call of what ends it."""
    body = received.body
    asked = json.dumps(body["messages"])
    if not body.get("tools"):
        return Reply("Thought: I multiply.\n<code>\nfinal_answer(17 * 24)\n</code>")
    name, arguments = ("weather", {"city": "Berlin"})
    if "sunny in Berlin" in asked:
        name, arguments = ("final_answer", {"answer": "sunny"})
    call = {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return Reply("", tool_calls=[call], finish_reason="tool_calls")


@pytest.fixture
def model(tmp_path: Path) -> Any:
    with ScriptedUpstream(act, models=("scripted",)) as upstream:
        config = tmp_path / "quorate.yaml"
        config.write_text(json.dumps({"models": {"scripted": {"base_url": upstream.url}}}))
        with serving(config, tmp_path / "log.txt") as root:
            yield smolagents.OpenAIModel(VOTE, api_base=f"{root}/v1", api_key="any")


@pytest.mark.parametrize("stream", [False, True])
def test_agents(model: Any, stream: bool) -> None:
    """One that writes code and one that calls tools, plain and streamed."""
    coding = smolagents.CodeAgent(tools=[], model=model, stream_outputs=stream, verbosity_level=0)
    assert coding.run("What is 17 * 24?") == 408

    def weather(city: str) -> str:
        """How it is.

        Args:
            city: where.
        """
        return f"sunny in {city}"

    calling = smolagents.ToolCallingAgent(
        tools=[smolagents.tool(weather)], model=model, stream_outputs=stream, verbosity_level=0
    )
    assert calling.run("Weather in Berlin?") == "sunny"
    assert calling.monitor.get_total_token_counts().input_tokens > 0
