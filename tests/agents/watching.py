"""An observer that writes down what it is told of nodes and of calls to servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import (
    CandidateToken,
    Event,
    NodeStarted,
    UpstreamEnded,
    UpstreamRetried,
    UpstreamStarted,
)

__all__ = ["NotedCall", "Notes"]


@dataclass
class NotedCall:
    """One call, as it was told."""

    start: UpstreamStarted
    log: list[str] = field(default_factory=list)
    """Tries that failed, and the outcome."""
    end: UpstreamEnded | None = None
    headers: int = 0
    """How often they were asked for."""


class Notes:
    def __init__(self) -> None:
        self.nodes: list[str] = []
        self.tokens = 0
        self._calls: dict[int, NotedCall] = {}

    @property
    def calls(self) -> list[NotedCall]:
        return list(self._calls.values())

    def run(self, **settings: Any) -> RunContext:
        """A run that tells all of this."""
        return RunContext(**{"emit": self.note, "trace_headers": self.headers, **settings})

    def note(self, event: Event) -> None:
        match event:
            case NodeStarted(thread=thread, node=node):
                self.nodes.append(f"{thread}:{node}")
            case CandidateToken():
                self.tokens += 1
            case UpstreamStarted(call=call):
                self._calls[call] = NotedCall(event)
            case UpstreamRetried(call=call):
                self._calls[call].log.append(f"{event.code} {event.status}")
            case UpstreamEnded(call=call):
                self._calls[call].log.append(event.outcome)
                self._calls[call].end = event

    def headers(self, started: UpstreamStarted) -> Mapping[str, str]:
        call = self._calls[started.call]
        call.headers += 1
        return {"traceparent": f"00-{call.headers - 1:032x}-01-01"}
