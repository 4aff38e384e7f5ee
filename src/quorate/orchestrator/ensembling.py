"""How several models wrote one answer together, token by token."""

from __future__ import annotations

from collections.abc import Mapping

from .frozen import Frozen
from .usage import Usage

__all__ = ["Ensembling", "Member", "TokenChoice", "TokenStep"]


class TokenChoice(Frozen):
    """What one of several models that write together would have said."""

    model: str
    text: str | None
    """None for a token without text; empty for the end of the answer."""
    probability: float


class TokenStep(Frozen):
    """One token that several models wrote together, and why it stands."""

    text: str
    """Empty for the end of the answer; a part of a character is shown as a replacement mark."""
    why: str
    """`agreed`, `sure`, `boundary`, `textless`, `alone`, `accepted`, `ensembled`, `spoken`, `opened` or `routed`; see
    docs/token-level.md."""
    drafted: str | None = None
    """What the drafter proposed."""
    probability: float | None = None
    """Of the token in the mixture of all models, where one was made."""
    choices: tuple[TokenChoice, ...] = ()
    """Every model's likeliest token, the drafter's first; empty where only the drafter was asked."""


class Member(Frozen):
    """The part of one of several models that write together."""

    model: str
    usage: Usage = Usage()
    judged: int = 0
    """Drafted tokens that it looked at as a verifier, up to the first one of each draft that was overruled."""
    agreed: int = 0
    """Those of them that were its own first choice."""


class Ensembling(Frozen):
    """How several models wrote one answer together."""

    counts: Mapping[str, int]
    """Tokens by why they stand, see `TokenStep.why`."""
    drafted: int
    """Tokens that the drafter wrote, those thrown away included."""
    verifications: int
    """How often the verifiers were asked."""
    lost: tuple[str, ...] = ()
    """Verifiers that dropped out, and why."""
    members: tuple[Member, ...] = ()
    """The models, the drafter first; those that could not even be opened are left out."""
    bounded: bool = False
    """Whether some probability was only known to lie below a bound, because a server tells the best few."""
    steps: tuple[TokenStep, ...] = ()
    """Every token's story, where it was asked for."""

    @property
    def tokens(self) -> int:
        return sum(self.counts.values())

    @property
    def share(self) -> float:
        """Part of the tokens that the models decided together."""
        return self.counts.get("ensembled", 0) / max(1, self.tokens)
