"""When the drafter's token stands and when all models decide.

SAFE (arXiv 2510.15346, section 3.2): it stands where a verifier could not have read the text like this
(OOV-like), and where there is consensus: it is every verifier's first choice, or its mean probability is
above one half. The baseline asks all models at every token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quorate.orchestrator.tokens import Distribution

from .follower import Follower, Reading, Spot
from .lexicon import Lexicon
from .lookahead import Fixed, Lookahead
from .writing import Why

__all__ = ["Conditions", "EveryToken", "Safe", "Vote"]

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Vote:
    """What one verifier says to a drafted token."""

    lexicon: Lexicon
    distribution: Distribution
    own: int
    """Its token that begins the drafted one."""
    weight: float

    @property
    def agrees(self) -> bool:
        """Whether this is its first choice."""
        best = self.distribution.best
        return best == self.own or (best in self.lexicon.vocabulary.ends and self.own in self.lexicon.vocabulary.ends)

    @property
    def probability(self) -> float:
        ends = self.lexicon.vocabulary.ends
        if self.own < 0:
            return 0.0
        if self.own in ends:
            return sum(math.exp(self.distribution.logprob(token)) for token in ends)
        return math.exp(self.distribution.logprob(self.own))


class Conditions(Protocol):
    """Decides at every token whether the models are asked together."""

    @property
    def lookahead(self) -> Lookahead: ...

    def read(
        self, follower: Follower, text: bytes, ids: Sequence[int], draft: Sequence[int], keys: Sequence[bytes | None]
    ) -> Reading:
        """Where in a draft a verifier has its say."""
        ...

    def stands(self, drafted: float, votes: Sequence[Vote]) -> Why | None:
        """Why the drafted token stands without asking further; None to ensemble.

        Args:
            drafted: the drafter's probability of it, times the drafter's weight.
            votes: of every verifier.
        """
        ...


@dataclass(frozen=True)
class Safe:
    """SAFE's conditions."""

    lookahead: Lookahead

    def read(
        self, follower: Follower, text: bytes, ids: Sequence[int], draft: Sequence[int], keys: Sequence[bytes | None]
    ) -> Reading:
        """See `Conditions`."""
        return follower.reading(text, ids, draft, keys)

    def stands(self, drafted: float, votes: Sequence[Vote]) -> Why | None:
        """See `Conditions`."""
        if all(vote.agrees for vote in votes):
            return "agreed"
        mean = math.fsum([drafted, *(vote.weight * vote.probability for vote in votes)])
        return "sure" if mean > HALF else None


@dataclass(frozen=True)
class EveryToken:
    """All models decide on every token, wherever the text may stand in theirs."""

    lookahead: Lookahead = field(default_factory=lambda: Fixed(1))

    def read(
        self,
        follower: Follower,
        text: bytes,
        ids: Sequence[int],
        draft: Sequence[int],  # noqa: ARG002
        keys: Sequence[bytes | None],  # noqa: ARG002
    ) -> Reading:
        """See `Conditions`."""
        context = follower.context(text, ids)
        return Reading(context, [Spot(len(context), -1)], 1)

    def stands(self, drafted: float, votes: Sequence[Vote]) -> Why | None:  # noqa: ARG002
        """See `Conditions`."""
        return None
