"""Self-MoA: one model synthesizes several of its own samples (Li et al., arXiv 2502.00674, section 3).

The system prompt follows Mixture-of-Agents (arXiv 2406.04692, table 1) in words of ours. Different
from the papers: the samples come in a seeded order and without their thinking, the context is
bounded, and where the model fails a vote answers instead, saying so.

`SelfMoASeq` is the paper's sequential variant (section 5): a window slides over the samples, and each
step folds those in it into a running synthesis, which stands in the next window several times, "to
bias the aggregator to it". No prompt holds more than one window, whatever the number of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, Degradation, Question

from .base import Brief, Writer
from .material import Item, item, shuffled, told
from .members import Ask, draw

__all__ = ["SelfMoA", "SelfMoASeq"]


class SelfMoA(Writer):
    """A new answer that a model writes after reading all candidates; arguments as `Synthesis`'."""

    name = "self-moa"
    prompt_name = "self-moa"


class SelfMoASeq(Writer):
    """Self-MoA over a sliding window; with a window as large as the sample it is Self-MoA.

    A step whose model fails leaves the synthesis before it, and its new samples are named in a note
    `candidate_dropped`. The last step is streamed.

    Args:
        aggregator: see `Synthesis`, as all further arguments.
        window: responses in one prompt.
        repeats: how many of them are copies of the running synthesis; half of the window if not given.
    """

    name = "self-moa-seq"
    prompt_name = "self-moa"

    def __init__(self, aggregator: Model, *, window: int = 6, repeats: int | None = None, **options: Any) -> None:
        super().__init__(aggregator, **options)
        if window < 2:
            raise BadInput(f"SelfMoASeq(window={window}): a window holds at least the synthesis and a new response, 2")
        self.window = window
        self.repeats = window // 2 if repeats is None else repeats
        if not 1 <= self.repeats < window:
            raise BadInput(f"SelfMoASeq(repeats={repeats}): give 1 to {window - 1}, fewer than window={window}")

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return 1 + ceil(max(0, n - self.window) / (self.window - self.repeats))

    async def brief(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> Brief:
        """Every step but the last is taken here."""
        waiting = [item(c) for c in shuffled(candidates, run)]
        fresh, waiting = waiting[: self.window], waiting[self.window :]
        running: list[Item] = []
        notes: list[Degradation] = []
        step = 1
        while waiting:
            here = run.at_node(f"{run.node}/step-{step}")
            brief = self.worded(question, running + fresh, self.aggregator, here.node)
            drawn = await draw([Ask(self.aggregator, brief.asked, (0,))] if brief.asked else [], here)
            notes += [*brief.notes, *drawn.notes]
            if drawn.stopped is not None:
                return Brief(None, tuple(notes), stopped=drawn.stopped)
            if drawn.members:
                running = [Item("(the synthesis so far)", told(drawn.members[0]))] * self.repeats
            else:
                notes.append(_dropped(fresh, f"{here.node}: {self.aggregator.name}"))
            take = self.window - len(running)
            fresh, waiting, step = waiting[:take], waiting[take:], step + 1
        last = self.worded(question, running + fresh, self.aggregator, run.node)
        return Brief(last.asked, (*notes, *last.notes), last.problem)


def _dropped(items: Sequence[Item], where: str) -> Degradation:
    labels = ", ".join(label for label, _ in items)
    return Degradation(code="candidate_dropped", where=where, detail=f"the synthesis does not hold {labels}")
