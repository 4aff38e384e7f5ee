"""A request's events as the deltas that a streaming client is to see, whatever the API writes them in.

Every choice opens as soon as its model shows a sign of life; a synthesis arrives as its tokens do, a
vote's progress as lines (`3/16 sampled: 42 x2, 41 x1`) and its answer when it is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateFailed,
    CandidateFinished,
    CandidateToken,
    Event,
    NodeStarted,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.nodes import LayerNode, ModelNode, SampleNode
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Cluster, Question

__all__ = ["Delta", "DeltaStream", "ProgressLines"]

SHOWN = 5
"""Answers named in a line."""
WIDTH = 40
"""Characters of an answer that a line has room for."""


class Delta(NamedTuple):
    """Something to be seen of one choice."""

    choice: int
    kind: Literal["opened", "progress", "reasoning", "text", "calls"]
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()


class DeltaStream:
    """The observer of one choice that is streamed: tells the deltas of its events, and in the end those of its answer.

    Args:
        choice: its index.
        write: is told each delta; the first one comes when success is likely, so that an early error can still be
            a status.
        progress: the lines about its votes, where they are wanted.
    """

    def __init__(self, choice: int, write: Callable[[Delta], None], progress: ProgressLines | None = None) -> None:
        self._choice = choice
        self._write = write
        self._progress = progress
        self._open = self._has_text = self._has_reasoning = False

    def __call__(self, event: Event) -> None:
        """Tells what the client is to see of an event."""
        kind = type(event)
        if kind is CandidateToken:
            if not self._open:
                self._begin()
        elif isinstance(event, AnswerToken):
            self._tell(event.text, reasoning=event.reasoning)
        elif self._progress is not None and (line := self._progress.update(event)) and self._opens(event):
            self._begin()
            self._write(Delta(self._choice, "progress", line))
        elif kind is CandidateFinished or kind is TallyChanged:
            self._begin()

    def finish(self, answer: Answer) -> None:
        """Tells the parts of the answer that did not come as tokens."""
        self._begin()
        if answer.reasoning and not self._has_reasoning:
            self._tell(answer.reasoning, reasoning=True)
        if answer.text and not self._has_text:
            self._tell(answer.text, reasoning=False)
        if answer.tool_calls:
            self._write(Delta(self._choice, "calls", calls=answer.tool_calls))

    def _opens(self, event: Event) -> bool:
        """Whether there is a reply of an upstream: failures may be all that comes of the request."""
        return self._open or not isinstance(event, CandidateFailed | StoppedEarly)

    def _begin(self) -> None:
        if not self._open:
            self._open = True
            self._write(Delta(self._choice, "opened"))

    def _tell(self, text: str, *, reasoning: bool) -> None:
        self._begin()
        if reasoning:
            self._has_reasoning = True
            self._write(Delta(self._choice, "reasoning", text))
        else:
            self._has_text = True
            self._write(Delta(self._choice, "text", text))


class ProgressLines:
    """How the sampling of a graph goes, as short lines for people who wait; of a single model there is nothing to tell.

    Args:
        model: that is asked.
        question: that it answers.
        budget: may limit the samples of each stage.
    """

    def __init__(self, model: Model, question: Question, budget: Budget) -> None:
        self._question, self._budget = question, budget
        self._nodes: dict[tuple[str, str], tuple[str, SampleNode | LayerNode]] = {}
        """Those that sample, by thread and name, each with how its lines begin."""
        self._stages: dict[str, _StageProgress] = {}
        """Those that run, by their nodes."""
        if isinstance(model, Graph):
            self._add(model, "", "")

    def update(self, event: Event) -> str | None:
        """The line that this event gives rise to, ending in a newline."""
        if isinstance(event, CandidateFinished | CandidateFailed | TallyChanged | StoppedEarly):
            stage = self._stages.get(event.node)
            return None if stage is None else stage.update(event)
        if isinstance(event, NodeStarted) and (known := self._nodes.get((event.thread, event.node))) is not None:
            self._stages[event.node] = self._start(*known)
        return None

    def _add(self, graph: Graph, thread: str, label: str) -> None:
        """The nodes of a graph, and of those that its nodes ask."""
        for name, node in graph.nodes.items():
            if isinstance(node, SampleNode | LayerNode):
                self._nodes[thread, name] = label if isinstance(node, SampleNode) else f"{label}{name}: ", node
            elif isinstance(node, ModelNode) and isinstance(node.model, Graph):
                self._add(node.model, f"{thread}/{name}.{name}", f"{label}{name}: ")

    def _start(self, label: str, node: SampleNode | LayerNode) -> _StageProgress:
        n, most = node.stage.n, self._budget.samples
        aggregator = node.counted_by
        counted = aggregator is not None and aggregator.counter(self._question, RunContext()) is not None
        return _StageProgress(label, n if most is None else min(n, most), counted=counted)


class _StageProgress:
    """The samples of one stage, and their votes."""

    def __init__(self, label: str, n: int, *, counted: bool) -> None:
        self._label = label
        self._n = n
        self._counted = counted
        """The vote of a sample is in the tally that follows."""
        self._finished = self._failed = self._tallies = self._told = 0
        self._tally: tuple[Cluster, ...] = ()

    def update(self, event: Event) -> str | None:
        """See `ProgressLines.update`."""
        match event:
            case StoppedEarly(reason=reason):
                return f"{self._label}stopped: {reason}\n"
            case CandidateFailed():
                self._failed += 1
            case CandidateFinished():
                self._finished += 1
            case TallyChanged(tally=tally):
                self._tallies += 1
                self._tally = tally
        return self._count()

    def _count(self) -> str | None:
        """A line where more samples than before have ended, those that are counted with their votes."""
        finished = self._finished
        if self._counted:
            finished = min(finished, max(self._tallies, sum(cluster.votes for cluster in self._tally)))
        ended = finished + self._failed
        if ended <= self._told:
            return None
        self._told = ended
        votes = ", ".join(f"{_shorten(cluster.answer)} x{cluster.votes}" for cluster in self._tally[:SHOWN])
        more = ", ..." if len(self._tally) > SHOWN else ""
        failed = f" ({self._failed} failed)" if self._failed else ""
        return f"{self._label}{ended}/{self._n} sampled{failed}{': ' if votes else ''}{votes}{more}\n"


def _shorten(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
