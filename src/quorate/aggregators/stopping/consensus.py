"""DeepConf's consensus stop (Fu et al., arXiv 2508.15260, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Candidate, Cluster

__all__ = ["Consensus"]


class Consensus:
    """Stop when one answer has almost all of the weight.

    Unlike the other rules this one counts weights, as the aggregator gives them; under a plain vote
    they are votes.

    Args:
        share: of the whole weight, above 0.5 and at most 1.
        after: samples that must have ended first, at least 1.
    """

    def __init__(self, share: float = 0.95, after: int = 16) -> None:
        if not 0.5 < share <= 1:
            raise BadInput(f"Consensus(share={share}): the share lies above 0.5 and is at most 1, such as 0.95")
        if after < 1:
            raise BadInput(f"Consensus(after={after}): wait for at least 1 sample, such as 16")
        self.share = share
        self.after = after

    def stop(self, candidates: Sequence[Candidate], tally: Sequence[Cluster]) -> str | None:
        """See `protocols.StoppingRule`."""
        total = fsum(cluster.weight for cluster in tally)
        if len(candidates) < self.after or total <= 0:
            return None
        share = max(cluster.weight for cluster in tally) / total
        if share < self.share:
            return None
        return f"consensus: {share:.3f} of the weight on one answer >= {self.share:g}, after {len(candidates)} samples"

    def __str__(self) -> str:
        return f"stop at {self.share:.0%} of the weight after {self.after} samples"

    def __repr__(self) -> str:
        return f"Consensus({self.share:g}, after={self.after})"
