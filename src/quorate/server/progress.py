"""How a vote goes, as short lines for people who wait: `3/16 sampled: 42 x2, 41 x1`."""

from __future__ import annotations

from quorate.orchestrator.context import Budget
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, Event, StoppedEarly, TallyChanged
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model, VoteCounter
from quorate.orchestrator.types import Cluster

__all__ = ["Progress"]

SHOWN = 5
"""Answers named in a line."""
WIDTH = 40
"""Characters of an answer that a line has room for."""


class Progress:
    """Turns the events of a pipeline into lines; of a single model there is nothing to tell."""

    def __init__(self, model: Model, budget: Budget) -> None:
        self._told = isinstance(model, Pipeline)
        self._tallied = isinstance(model, Pipeline) and isinstance(model.aggregator, VoteCounter)
        self._n = model.sampler.n if isinstance(model, Pipeline) else 1
        if budget.samples is not None:
            self._n = min(self._n, budget.samples)
        self._ended = 0
        self._failed = 0
        self._tally: tuple[Cluster, ...] = ()
        self._due = False

    def line(self, event: Event) -> str | None:
        """The line that this event gives rise to, ending in a newline."""
        match event:
            case StoppedEarly(reason=reason) if self._told:
                return f"stopped: {reason}\n"
            case CandidateFailed():
                self._count(failed=True)
            case CandidateFinished():
                self._count()
                if self._tallied:  # its vote is in the tally that follows
                    return None
            case TallyChanged(tally=tally):
                self._tally = tally
        return self._sampled() if self._told and self._due else None

    def _count(self, *, failed: bool = False) -> None:
        self._ended += 1
        self._failed += failed
        self._due = True

    def _sampled(self) -> str:
        self._due = False
        votes = ", ".join(f"{_short(cluster.answer)} x{cluster.votes}" for cluster in self._tally[:SHOWN])
        more = ", ..." if len(self._tally) > SHOWN else ""
        failed = f" ({self._failed} failed)" if self._failed else ""
        return f"{self._ended}/{self._n} sampled{failed}{': ' if votes else ''}{votes}{more}\n"


def _short(answer: str) -> str:
    line = " ".join(answer.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
