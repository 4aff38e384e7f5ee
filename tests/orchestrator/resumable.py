"""A run that can be killed and taken up again: `python -m tests.orchestrator.resumable CHECKPOINTS LOG`.

Every node writes a line to the log when it begins and one when it has ended, and prints the answer in the end.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from quorate import Answer, Checkpoints, Edge, Graph, Node, Question
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.nodes import ModelNode
from quorate.orchestrator.state import ELSE, END, START, State
from quorate.orchestrator.usage import Usage

__all__ = ["build_graph", "run_once"]

PAUSE = 0.06
"""Seconds that a node takes."""


@dataclass(frozen=True)
class Logged(Node):
    """Answers with its name, how often it has run, and what it has read."""

    log: Path
    _: KW_ONLY
    steps: int = 1

    @property
    def answers(self) -> bool:
        return True

    async def run(self, state: State, run: RunContext) -> Answer:
        name = f"{run.thread.partition('/')[2]}:{self.name}.{run.visit}"
        self._write("begin", name)
        await asyncio.sleep(PAUSE * self.steps)
        run.record("model", Usage(completion_tokens=1))
        read = ",".join(result.text for result in state.results if isinstance(result, Answer))
        self._write("end", name)
        return Answer(text=f"{self.name}{run.visit}({read})", model=self.name)

    def _write(self, what: str, name: str) -> None:
        file = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{time.time():.4f} {what} {name}\n".encode())
        os.close(file)


def build_graph(log: Path) -> Graph:
    """A fan-out whose branches differ in length, a graph inside, and a loop."""
    inner = Graph(
        [Logged("x", log), Logged("y", log)], [Edge(START, "x"), Edge("x", "y"), Edge("y", END)], name="inner"
    )
    nodes: list[Node] = [
        Logged("a", log),
        Logged("slow", log, steps=8),
        Logged("quick", log),
        ModelNode("inside", inner),
        Logged("join", log),
        Logged("again", log, max_visits=3),
        Logged("last", log),
    ]
    plain = ["start a", "a slow", "a quick", "quick inside", "slow join", "inside join", "join again", "last end"]
    places = {"start": START, "end": END}
    pairs = [line.split() for line in plain]
    edges = [Edge(places.get(a, a), places.get(b, b)) for a, b in pairs]
    loop = [Edge("again", "again", lambda state: state.visited("again") < 3), Edge("again", "last", ELSE)]
    return Graph(nodes, [*edges, *loop], name="resumable")


async def run_once(checkpoints: Path, log: Path) -> Answer:
    """The answer, from wherever an earlier try has come to."""
    async with Checkpoints(checkpoints) as kept:
        return await build_graph(log).answer(Question.of("which?"), checkpoints=kept, thread="t")


if __name__ == "__main__":
    answer = asyncio.run(run_once(Path(sys.argv[1]), Path(sys.argv[2])))
    print(answer.text, answer.usage.completion_tokens)
