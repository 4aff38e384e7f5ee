"""How far the drafter goes, when its token stands and when all models decide.

SAFE (arXiv 2510.15346, section 3.2): it stands where a verifier could not have read the text like this
(OOV-like), and where there is consensus: it is every verifier's first choice, or its mean probability is
above one half. The baseline asks all models at every token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import Distribution

from .alignment import AlignedDraft, AlignedToken, VerifierContext
from .decode_state import DraftLength, Why
from .token_bytes import TokenBytes

HALF = 0.5


class Lookahead(Protocol):
    """How far the drafter goes on before the verifiers look.

    What a greedy ensemble says does not depend on this; how fast it is does. With a drafter step of cost 1,
    a verification of cost V and a share p of tokens that get ensembled, drafts of about sqrt(2 V / p) tokens
    cost least when nothing tells where the ensemble will step in. The drafter tells: tokens it is unsure of
    are where verifiers disagree, so a draft also ends behind the first of these.
    """

    def start(self, verifiers: int) -> DraftLength:
        """The draft lengths of a new answer with so many verifiers."""
        ...


@dataclass(frozen=True)
class Fixed:
    """Drafts of n tokens, as the paper has them (n = 5)."""

    n: int = 5
    until: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.until <= 1:
            raise BadInput(f"Fixed(n={self.n}, until={self.until}): n is at least 1, until a probability")

    def start(self, verifiers: int) -> DraftLength:  # noqa: ARG002
        return self

    def next_length(self) -> int:
        return self.n

    def note(self, drafted: int, kept: int) -> None:
        """Changes nothing."""


@dataclass(frozen=True)
class Adaptive:
    """As long as what was kept so far makes cheapest, and never beyond an unsure token."""

    least: int = 2
    most: int = 24
    until: float = 0.5
    cost: float = 1.2
    """Of one verification, in steps of the drafter."""

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most or not 0 <= self.until <= 1 or self.cost <= 0:
            raise BadInput(f"{self}: 1 <= least <= most, until is a probability, cost above 0")

    def start(self, verifiers: int) -> DraftLength:
        return _AdaptiveLength(self, verifiers)


@dataclass
class _AdaptiveLength:
    rule: Adaptive
    verifiers: int
    drafted: float = 30.0
    """Tokens seen by the verifiers, with what is assumed before the first."""
    wasted: float = 1.0
    """Drafts of which a part had to be thrown away."""

    @property
    def until(self) -> float:
        return self.rule.until

    def next_length(self) -> int:
        share = self.wasted / self.drafted
        best = math.sqrt(2 * self.rule.cost * max(1, self.verifiers) / share)
        return max(self.rule.least, min(self.rule.most, round(best)))

    def note(self, drafted: int, kept: int) -> None:
        """Only what a draft's end could have spared counts: an ensembled last token wasted nothing."""
        self.drafted += min(drafted, kept + 1)
        self.wasted += kept + 1 < drafted


@dataclass(frozen=True, slots=True)
class VerifierVote:
    """What one verifier says to a drafted token."""

    token_bytes: TokenBytes
    distribution: Distribution
    own: int
    """Its token that begins the drafted one."""
    weight: float

    @property
    def agrees(self) -> bool:
        """Whether this is its first choice."""
        best, ends = self.distribution.best, self.token_bytes.vocabulary.ends
        return best == self.own or (best in ends and self.own in ends)

    @property
    def probability(self) -> float:
        ends = self.token_bytes.vocabulary.ends
        if self.own < 0:
            return 0.0
        if self.own in ends:
            return sum(math.exp(self.distribution.logprob(token)) for token in ends)
        return math.exp(self.distribution.logprob(self.own))


class Conditions(Protocol):
    """Decides at every token whether the models are asked together."""

    @property
    def lookahead(self) -> Lookahead: ...

    def align(
        self,
        verifier: VerifierContext,
        text: bytes,
        ids: Sequence[int],
        draft: Sequence[int],
        keys: Sequence[bytes | None],
    ) -> AlignedDraft:
        """Where in a draft a verifier has its say."""
        ...

    def keep_draft(self, drafted: float, votes: Sequence[VerifierVote]) -> Why | None:
        """Whether the drafted token stands without asking further, and why; None to ensemble.

        Args:
            drafted: the drafter's probability of it, times the drafter's weight.
            votes: of every verifier.
        """
        ...


@dataclass(frozen=True)
class Safe:
    """SAFE's conditions."""

    lookahead: Lookahead

    def align(
        self,
        verifier: VerifierContext,
        text: bytes,
        ids: Sequence[int],
        draft: Sequence[int],
        keys: Sequence[bytes | None],
    ) -> AlignedDraft:
        return verifier.align(text, ids, draft, keys)

    def keep_draft(self, drafted: float, votes: Sequence[VerifierVote]) -> Why | None:
        if all(vote.agrees for vote in votes):
            return "agreed"
        mean = math.fsum([drafted, *(vote.weight * vote.probability for vote in votes)])
        return "sure" if mean > HALF else None


@dataclass(frozen=True)
class EveryToken:
    """All models decide on every token, wherever the text may stand in theirs."""

    lookahead: Lookahead = field(default_factory=lambda: Fixed(1))

    def align(
        self,
        verifier: VerifierContext,
        text: bytes,
        ids: Sequence[int],
        draft: Sequence[int],  # noqa: ARG002
        keys: Sequence[bytes | None],  # noqa: ARG002
    ) -> AlignedDraft:
        context = verifier.read_all(text, ids)
        return AlignedDraft(context, [AlignedToken(len(context), -1)], 1)

    def keep_draft(self, drafted: float, votes: Sequence[VerifierVote]) -> Why | None:  # noqa: ARG002
        return None
