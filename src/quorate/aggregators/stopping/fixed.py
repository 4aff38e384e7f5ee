"""The two rules that look at no answers: a number of votes, and a number of tokens."""

from __future__ import annotations

from quorate.orchestrator.errors import BadInput

from .draws import Draws, SequenceRule

__all__ = ["FixedVotes", "TokenLimit"]


class FixedVotes(SequenceRule):
    """Stop at n votes; samples that failed or abstained do not count, so they are drawn again up to the limit.

    Args:
        n: votes, at least 1.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise BadInput(f"FixedVotes({n}): ask for at least 1 vote")
        self.n = n

    def enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return draws.counts.total() >= self.n

    def why(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        return f"fixed: {draws.counts.total()} votes"

    def __str__(self) -> str:
        return f"stop at {self.n} votes"

    def __repr__(self) -> str:
        return f"FixedVotes({self.n})"


class TokenLimit(SequenceRule):
    """Stop once the samples of this stage have cost so many tokens, prompts included.

    Unlike `Budget.tokens` this cuts nothing off and is no degradation: samples under way are let
    end only if they end before the limit is seen, and no further ones begin.

    Args:
        tokens: at least 1.
    """

    def __init__(self, tokens: int) -> None:
        if tokens < 1:
            raise BadInput(f"TokenLimit({tokens}): allow at least 1 token")
        self.tokens = tokens

    def enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return draws.tokens >= self.tokens

    def why(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        return f"token limit: {draws.tokens} of {self.tokens} spent on samples"

    def __str__(self) -> str:
        return f"stop at {self.tokens} tokens"

    def __repr__(self) -> str:
        return f"TokenLimit({self.tokens})"
