"""Votes ranked by a verifier: Borda, and Majority-of-the-Bests.

Scores, failures of the verifier and the fallback to the plain vote are those of `RewardVote`.
Candidates that state no answer are not ranked, unless none does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.types import Candidate, Cluster

from ..judges.reward import RewardVote
from ..vote import MajorityVote
from .bests import MajorityOfTheBests
from .counting import Borda

__all__ = ["BordaVote", "MajorityOfTheBestsVote"]


class BordaVote(RewardVote):
    """Votes weigh (N - r + 1)^power, r being the rank of the candidate's score; see `counting.Borda`.

    Args:
        verifier: scores candidates.
        power: 0 counts votes, large ones trust the first alone.
        vote: as for `RewardVote`.
        concurrency: as for `RewardVote`.
    """

    name = "borda"

    def __init__(
        self, verifier: Verifier, *, power: float = 0.5, vote: MajorityVote | None = None, concurrency: int = 16
    ) -> None:
        super().__init__(verifier, vote=vote, concurrency=concurrency)
        self.rule = Borda(power)

    def weights(self, scores: Sequence[float]) -> list[float]:
        """See `RewardVote`."""
        return self.rule.values(scores)

    async def decided(
        self, scored: Sequence[Candidate], scores: Mapping[int, float], run: RunContext
    ) -> tuple[Candidate, tuple[Cluster, ...]]:
        """See `RewardVote`."""
        return await super().decided([c for c in scored if c.answer is not None] or scored, scores, run)


class MajorityOfTheBestsVote(RewardVote):
    """Votes weigh how often their candidate is the best of m; see `bests.MajorityOfTheBests`.

    Args:
        verifier: scores candidates.
        m: size of the bootstrapped subsets, ceil(sqrt(N)) if not given.
        vote: as for `RewardVote`.
        concurrency: as for `RewardVote`.
    """

    name = "majority-of-bests"

    def __init__(
        self, verifier: Verifier, *, m: int | None = None, vote: MajorityVote | None = None, concurrency: int = 16
    ) -> None:
        super().__init__(verifier, vote=vote, concurrency=concurrency)
        self.rule = MajorityOfTheBests(m)

    def weights(self, scores: Sequence[float]) -> list[float]:
        """See `RewardVote`."""
        return self.rule.values(scores)

    async def decided(
        self, scored: Sequence[Candidate], scores: Mapping[int, float], run: RunContext
    ) -> tuple[Candidate, tuple[Cluster, ...]]:
        """See `RewardVote`."""
        return await super().decided([c for c in scored if c.answer is not None] or scored, scores, run)
