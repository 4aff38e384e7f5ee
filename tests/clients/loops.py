"""An agent that walks twenty steps: an upstream that calls by script, and what became of each call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorate.testing import Received, Reply, ScriptedUpstream

from .conftest import serving

__all__ = ["ARRIVED", "PIPELINES", "STEPS", "Walk", "begin_walk", "check_walk", "serve_walk"]

STEPS = 20
ARRIVED = "I have arrived after twenty steps."
ANALYSIS = '{"consensus": ["one more step"]}'
PIPELINES = ("acting", "fused", "voting")
"""Advisers and an actor; the same with an analyst; a vote over calls that leaves out an argument."""


class Walk:
    """What the tool was called with, in order, by the agent."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, number: int) -> str:
        self.steps.append(number)
        return f"at {number}"


def walk_on(received: Received) -> Reply:
    """The next call, by the results that there are; advice and analyses where there are no tools.

    Votes differ in an argument that does not count.
    """
    body = received.body
    if not body.get("tools"):
        return Reply(ANALYSIS if "JSON object" in json.dumps(body["messages"]) else "Take the next step.")
    done = sum(message["role"] == "tool" for message in body["messages"])
    if done == STEPS:
        return Reply(ARRIVED)
    arguments = json.dumps({"number": done, "reason": f"seed {body.get('seed')}"})
    call = {"id": f"call_{done}", "type": "function", "function": {"name": "step", "arguments": arguments}}
    return Reply("", tool_calls=[call], finish_reason="tool_calls")


@contextmanager
def serve_walk(folder: Path) -> Iterator[tuple[str, ScriptedUpstream]]:
    """The server's API over such an upstream, and the upstream."""
    with ScriptedUpstream(walk_on, models=("adviser", "actor")) as upstream:
        models = {name: {"base_url": upstream.url, "model": name} for name in ("adviser", "actor")}
        acting = {"models": ["adviser"], "n": 2, "aggregator_model": "actor"}
        options = {"ignore_arguments": ["reason"]}
        pipelines = {
            "acting": {"pipeline": "act", **acting},
            "fused": {"pipeline": "fusion", **acting},
            "voting": {"pipeline": "majority", "models": ["actor"], "n": 3, "options": options},
        }
        config = folder / "quorate.yaml"
        config.write_text(json.dumps({"models": models, "pipelines": pipelines}))
        with serving(config, folder / "log.txt") as root:
            yield f"{root}/v1", upstream


def begin_walk(served: tuple[str, ScriptedUpstream]) -> Walk:
    """A new walk, of which the upstream has heard nothing."""
    served[1].requests.clear()
    return Walk()


def check_walk(walk: Walk, upstream: ScriptedUpstream, *, panel: bool) -> None:
    """No call is lost and none is made twice; only the actor had tools and saw results."""
    assert walk.steps == list(range(STEPS))
    bodies = [received.body for received in upstream.requests]
    advised = [body for body in bodies if body["model"] == "adviser"]
    assert bool(advised) == panel
    assert not any(body.get("tools") or "at 0" in json.dumps(body["messages"]) for body in advised)
    acted = [body for body in bodies if body.get("tools")]
    assert {body["model"] for body in acted} == {"actor"}
    if panel:
        assert len(acted) == STEPS + 1
