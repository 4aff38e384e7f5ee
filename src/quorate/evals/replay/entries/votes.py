"""Votes: plurality, and what no vote can exceed."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.evals.statistics import pass_at_k

from ..records import Recorded
from ..registry import Chosen, Entry, Outcome, Replayable, counts

__all__ = ["ENTRIES"]


class PassAtK:
    """The chance that a subset holds a right answer: what a perfect selector would reach."""

    name = "pass"
    summary = "pass@k: some answer of k is right; no aggregator, but the bound of all that select"
    source = "Chen et al. 2021 (arXiv 2107.03374), section 2.1"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[Recorded]) -> list[Outcome]:
        """See `Replayable`."""
        return [Outcome(float(any(one.right)), len(one), one.spent(len(one))) for one in drawn]

    def expected(self, recorded: Recorded, k: int) -> float:
        """See `Exact`."""
        return pass_at_k(len(recorded), sum(recorded.right), k)


def _plurality(drawn: Recorded) -> Chosen:
    return Chosen(counts(drawn.classes))


ENTRIES: Sequence[Replayable] = (
    Entry("plurality", "the most frequent answer", "arXiv 2203.11171, section 2", _plurality),
    PassAtK(),
)
