"""Recursive self-aggregation (Venkatraman et al., arXiv 2509.26626, section 3).

P_0 are N samples; in loop t each of N members of P_t is the model's aggregation of K members of
P_(t-1), drawn at random without replacement; after T loops a majority of P_T or one random member is
the answer. The paper: N = 16, K = 4, T = 10, temperature 1. Different from it: a member whose call
failed keeps its place with what stood there before, thinking is stripped, the context is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Candidate, Degradation, Question

from .material import item
from .members import Ask
from .population import Population
from .wording import as_user

__all__ = ["RecursiveSelfAggregation"]


class RecursiveSelfAggregation(Population):
    """Aggregations of random subsets of aggregations, then a vote.

    Args:
        aggregator: aggregates; see `Synthesis`, as all further arguments.
        subset: members that one aggregation reads (the paper's K); all of them where fewer are left.
        loops: how often the whole population is renewed (T); 0 is the vote.
        final: `MajorityVote()`, the default, or `RandomMember()`.
    """

    name = "rsa"
    prompt_name = "rsa"
    rounds_name = "loop"
    placed = staticmethod(as_user)

    def __init__(
        self, aggregator: Model, *, subset: int = 4, loops: int = 10, final: Aggregator | None = None, **options: Any
    ) -> None:
        super().__init__(aggregator, rounds=loops, final=final, **options)
        if subset < 1:
            raise BadInput(f"RecursiveSelfAggregation(subset={subset}): a subset holds at least 1 member")
        self.subset = subset

    def asks(
        self,
        question: Question,
        members: Sequence[Candidate],
        first: Sequence[Candidate],  # noqa: ARG002 - only the loop before counts
        run: RunContext,
    ) -> tuple[list[Ask], list[Degradation]]:
        """One aggregation for each place."""
        rng, asks, notes = run.rng("subsets"), list[Ask](), list[Degradation]()
        for place in range(len(members)):
            drawn = rng.sample(members, min(self.subset, len(members)))
            brief = self.worded(question, [item(c) for c in drawn], self.aggregator, run.node)
            notes += brief.notes
            if brief.asked is not None:
                asks.append(Ask(self.aggregator, brief.asked, (place,)))
        return asks, notes
