"""What a stopping rule looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

from .types import Candidate, Cluster


@dataclass
class SamplingProgress:
    """How far a sampling stage has come."""

    limit: int
    """Candidates that it draws at most."""
    candidates: list[Candidate] = field(default_factory=list)
    """Those that have ended, in the order in which they did; where a rule may stop, the first ones by index."""
    tally: tuple[Cluster, ...] = ()
    """Of their votes, where there is a counter."""

    @property
    def good(self) -> int:
        return sum(c.ok for c in self.candidates)

    @property
    def certain(self) -> bool:
        """Whether a rule may stop by the classes of the tally."""
        return all(cluster.certain for cluster in self.tally)
