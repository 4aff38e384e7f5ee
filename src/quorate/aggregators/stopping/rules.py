"""Rules that read the votes so far and say when to stop, for live sampling and replay alike.

`AdaptiveConsistency`, `ESC`, `BestOfInfinity`, `FixedVotes` and `TokenLimit` see integers (`Draws`); `Consensus`
and `Agreement` look at weights and shares of the tally.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import comb, exp, fsum, inf, lgamma, log, prod, sqrt

from pydantic import Field

from quorate.orchestrator.checks import is_number, is_whole
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.progress import SamplingProgress

from ..specs import Options, StoppingSpec
from .progress import Draws, SequenceRule

__all__ = [
    "ESC",
    "AdaptiveConsistency",
    "Agreement",
    "BestOfInfinity",
    "Consensus",
    "FixedVotes",
    "TokenLimit",
    "lead_probability",
    "mode_probability",
]

POINTS = 128
"""Intervals of the quadrature of `mode_probability`; the error is below 1e-6."""


class AdaptiveConsistency(SequenceRule):
    """Stop when the leading answer would very likely keep its lead (Aggarwal et al., arXiv 2305.11860, section 3).

    That is the paper's Beta criterion: with a votes for the first and b for the second, P(X > 1/2) for
    X ~ Beta(a + 1, b + 1).
    Candidates that failed or abstained count for nothing, so at 0.95 four equal answers are enough.

    Args:
        threshold: the probability asked for, above 0.5 and below 1.
    """

    def __init__(self, threshold: float = 0.95) -> None:
        if not (is_number(threshold) and 0.5 < threshold < 1):
            raise BadInput(f"AdaptiveConsistency({threshold}): the threshold must lie between 0.5 and 1, such as 0.95")
        self.threshold = threshold
        self._exact = Fraction(threshold)

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return bool(draws.counts) and lead_probability(*_top_two(draws)) >= self._exact

    def explain(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        a, b = _top_two(draws)
        lead = float(lead_probability(a, b))
        return f"adaptive consistency: {a} to {b} votes, P(lead holds) = {lead:.3f} >= {self.threshold:g}"

    def __str__(self) -> str:
        return f"stop when P(lead holds) >= {self.threshold:g}"

    def __repr__(self) -> str:
        return f"AdaptiveConsistency({self.threshold:g})"


def _top_two(draws: Draws) -> tuple[int, int]:
    first, second, *_ = [*draws.votes, 0]
    return first, second


@lru_cache(maxsize=4096)
def lead_probability(a: int, b: int) -> Fraction:
    """P(X > 1/2) for X ~ Beta(a + 1, b + 1), exactly: that of at most a heads in a + b + 1 tosses."""
    n = a + b + 1
    return Fraction(sum(comb(n, heads) for heads in range(a + 1)), 2**n)


class ESC(SequenceRule):
    """Stop when a whole window of samples gave the same answer (Li et al., arXiv 2401.10480, section 3).

    Windows do not overlap. A sample that abstains breaks the unanimity of its window. Different from the paper:
    samples that failed belong to no window.

    Args:
        window: samples in a window, at least 2; the paper has 5 for mathematics.
    """

    def __init__(self, window: int = 5) -> None:
        if not (is_whole(window) and window >= 2):
            raise BadInput(f"ESC(window={window}): a window holds at least 2 samples, such as 5")
        self.window = window

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        end = len(draws.classes) // self.window * self.window
        return any(self._unanimous(draws.classes[start : start + self.window]) for start in range(0, end, self.window))

    def explain(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        return f"ESC: a window of {self.window} samples is unanimous after {draws.drawn}"

    @staticmethod
    def _unanimous(window: list[int | None]) -> bool:
        return window[0] is not None and len(set(window)) == 1

    def __str__(self) -> str:
        return f"stop when {self.window} samples agree"

    def __repr__(self) -> str:
        return f"ESC({self.window})"


class BestOfInfinity(SequenceRule):
    """Stop when the votes say strongly that the leader is what infinitely many samples would choose.

    Komiyama et al., arXiv 2509.21091, section 3: Bayesian stopping. The shares of the answers have a Dirichlet
    posterior whose parameters are the votes + 1, with one more bucket of 0.3 votes for answers not seen. The Bayes
    factor of "the leader has the largest share" is K P / (1 - P), K being the number of buckets; stop at 10.

    Different from the released code: P is computed by quadrature rather than from 1,000 random draws, so that the
    same votes always give the same verdict, and tied leaders never stop.

    Args:
        bayes_factor: how strongly, above 1.
        unknown: votes that count for answers not seen yet, above 0.
    """

    def __init__(self, bayes_factor: float = 10.0, unknown: float = 0.3) -> None:
        if not (is_number(bayes_factor) and 1 < bayes_factor < inf):
            raise BadInput(f"BestOfInfinity(bayes_factor={bayes_factor}): give a number above 1, such as 10")
        if not (is_number(unknown) and 0 < unknown < inf):
            raise BadInput(f"BestOfInfinity(unknown={unknown}): give a positive number of votes, such as 0.3")
        self.bayes_factor = bayes_factor
        self.unknown = unknown

    def factor(self, votes: tuple[int, ...]) -> float:
        """The Bayes factor of the leader, from the votes of all classes, the largest first."""
        if not votes or votes[0] == 0 or (len(votes) > 1 and votes[0] == votes[1]):
            return 0.0
        probability = mode_probability(votes[0] + 1, (*(v + 1 for v in votes[1:]), self.unknown + 1))
        return inf if probability >= 1 else (len(votes) + 1) * probability / (1 - probability)

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return self.factor(tuple(draws.votes)) >= self.bayes_factor

    def explain(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        factor = self.factor(tuple(draws.votes))
        return f"best of infinity: {max(draws.votes)} of {draws.drawn} agree, Bayes factor {factor:.3g}"

    def __str__(self) -> str:
        return f"stop at a Bayes factor of {self.bayes_factor:g}"

    def __repr__(self) -> str:
        return f"BestOfInfinity({self.bayes_factor:g}, unknown={self.unknown:g})"


@lru_cache(maxsize=65536)
def mode_probability(leader: float, rivals: tuple[float, ...]) -> float:
    """P(the first share is the largest) under a Dirichlet distribution with these parameters.

    Shares are gamma variables over their sum, so it is the mean, over a Gamma(leader) variable, of
    the probability that each Gamma(rival) variable is smaller.
    """
    weights = _density(leader)
    below = [_below(leader, rival) for rival in rivals]
    return min(1.0, sum(weights[i] * prod(column[i] for column in below) for i in range(POINTS + 1)))


def _points(shape: float) -> list[float]:
    """Square roots of where to evaluate: all that matters of a Gamma(shape) variable, whose root spreads by 1/2."""
    low, high = max(0.0, sqrt(shape) - 4.5), sqrt(shape) + 4.5
    return [low + (high - low) * i / POINTS for i in range(POINTS + 1)]


@lru_cache(maxsize=4096)
def _density(shape: float) -> tuple[float, ...]:
    """Simpson's weights times the density of the root, made to sum to one."""
    simpson = (1 if i in (0, POINTS) else 4 if i % 2 else 2 for i in range(POINTS + 1))
    roots = _points(shape)
    values = [
        s * exp((2 * shape - 1) * log(t) - t * t - lgamma(shape)) if t else 0.0
        for s, t in zip(simpson, roots, strict=True)
    ]
    total = sum(values)
    return tuple(value / total for value in values)


@lru_cache(maxsize=65536)
def _below(leader: float, rival: float) -> tuple[float, ...]:
    """P(Gamma(rival) < x) at the leader's points."""
    return tuple(_gamma_cdf(rival, root * root) for root in _points(leader))


def _gamma_cdf(a: float, x: float) -> float:
    """The regularized lower incomplete gamma function, by its series or its continued fraction."""
    if x <= 0:
        return 0.0
    front = exp(a * log(x) - x - lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while term > total * 1e-12:
            n += 1
            term *= x / n
            total += term
        return min(1.0, front * total)
    b, c, d = x + 1 - a, inf, 1 / (x + 1 - a)
    h, i = d, 0
    while True:  # Lentz; converges in some tens of steps for x > a + 1
        i += 1
        b += 2
        step = i * (i - a)
        d = 1 / (b - step * d)
        c = b - step / c
        h *= d * c
        if abs(d * c - 1) < 1e-12:
            return max(0.0, 1 - front * h)


class FixedVotes(SequenceRule):
    """Stop at n votes; samples that failed or abstained do not count, so they are drawn again up to the limit.

    Args:
        n: votes, at least 1.
    """

    reads_classes = False

    def __init__(self, n: int) -> None:
        if not (is_whole(n) and n >= 1):
            raise BadInput(f"FixedVotes({n}): ask for at least 1 vote")
        self.n = n

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return draws.counts.total() >= self.n

    def explain(self, draws: Draws) -> str:
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

    reads_classes = False

    def __init__(self, tokens: int) -> None:
        if not (is_whole(tokens) and tokens >= 1):
            raise BadInput(f"TokenLimit({tokens}): allow at least 1 token")
        self.tokens = tokens

    def is_enough(self, draws: Draws) -> bool:
        """See `SequenceRule`."""
        return draws.tokens >= self.tokens

    def explain(self, draws: Draws) -> str:
        """See `SequenceRule`."""
        return f"token limit: {draws.tokens} of {self.tokens} spent on samples"

    def __str__(self) -> str:
        return f"stop at {self.tokens} tokens"

    def __repr__(self) -> str:
        return f"TokenLimit({self.tokens})"


class Consensus:
    """Stop when one answer has almost all of the weight (DeepConf, Fu et al., arXiv 2508.15260, section 3.3).

    Unlike the other rules this one counts weights, as the aggregator gives them; under a plain vote
    they are votes.

    Args:
        share: of the whole weight, above 0.5 and at most 1.
        after: samples that must have ended first, at least 1.
    """

    def __init__(self, share: float = 0.95, after: int = 16) -> None:
        if not (is_number(share) and 0.5 < share <= 1):
            raise BadInput(f"Consensus(share={share}): the share lies above 0.5 and is at most 1, such as 0.95")
        if not (is_whole(after) and after >= 1):
            raise BadInput(f"Consensus(after={after}): wait for at least 1 sample, such as 16")
        self.share = share
        self.after = after

    def stop(self, progress: SamplingProgress) -> str | None:
        """See `protocols.StoppingRule`."""
        total = fsum(cluster.weight for cluster in progress.tally)
        ended = len(progress.candidates)
        if ended < self.after or total <= 0 or not progress.certain:
            return None
        share = max(cluster.weight for cluster in progress.tally) / total
        if share < self.share:
            return None
        return f"consensus: {share:.3f} of the weight on one answer >= {self.share:g}, after {ended} samples"

    def __str__(self) -> str:
        return f"stop at {self.share:.0%} of the weight after {self.after} samples"

    def __repr__(self) -> str:
        return f"Consensus({self.share:g}, after={self.after})"


class Agreement:
    """Stop once the leading answer has this share of all candidates that did not fail.

    Args:
        share: above 0, at most 1; candidates that abstain count against it.
        min_votes: votes without which nothing is sure.
    """

    def __init__(self, share: float = 0.75, *, min_votes: int = 3) -> None:
        if not (is_number(share) and 0 < share <= 1):
            raise BadInput(f"Agreement({share}): the share must lie above 0 and at most at 1, such as 0.75")
        if not (is_whole(min_votes) and min_votes >= 1):
            raise BadInput(f"Agreement(min_votes={min_votes}): give at least 1 vote")
        self.share = share
        self.min_votes = min_votes

    def stop(self, progress: SamplingProgress) -> str | None:
        """See `protocols.StoppingRule`."""
        votes, of = (progress.tally[0].votes if progress.tally else 0), progress.good
        if votes < self.min_votes or votes < self.share * of or not progress.certain:
            return None
        return f"agreement: {votes} of {of} candidates, at least {self.share:g}"

    def __str__(self) -> str:
        return f"{100 * self.share:g} % agree, {self.min_votes} votes or more"

    def __repr__(self) -> str:
        return f"Agreement({self.share:g}, min_votes={self.min_votes})"


class AdaptiveConsistencyOptions(Options):
    """When a majority counts as safe."""

    threshold: float = Field(default=0.95, gt=0.5, lt=1)
    """Probability that the leading answer stays ahead of the second."""


class ESCOptions(Options):
    """When a window counts as agreement."""

    window: int = Field(default=5, ge=2)
    """Samples that must agree."""


class BestOfInfinityOptions(Options):
    """How strong the evidence must be."""

    bayes_factor: float = Field(default=10.0, gt=1, allow_inf_nan=False)
    """For the leading answer being the likeliest."""
    unknown: float = Field(default=0.3, gt=0, allow_inf_nan=False)
    """Votes that count for answers not seen yet."""


class FixedOptions(Options):
    """How many votes."""

    votes: int = Field(default=8, ge=1)
    """At which to stop; samples that failed or abstained do not count."""


class TokenLimitOptions(Options):
    """How many tokens."""

    tokens: int = Field(default=100_000, ge=1)
    """That the samples may cost before no more are drawn."""


class ConsensusOptions(Options):
    """How much of the weight."""

    share: float = Field(default=0.95, gt=0.5, le=1)
    """On one answer."""
    after: int = Field(default=16, ge=1)
    """Samples that must have ended first."""


RULES = (
    StoppingSpec(
        "adaptive-consistency",
        "stop once the leading answer is safe against the second",
        "arXiv 2305.11860, section 3 (Beta stopping criterion)",
        lambda options: AdaptiveConsistency(options.threshold),
        options=AdaptiveConsistencyOptions,
        vote="a majority vote that stops once 95 % sure, after at most N samples",
    ),
    StoppingSpec(
        "esc",
        "stop once a window of samples is unanimous",
        "arXiv 2401.10480, section 3",
        lambda options: ESC(options.window),
        options=ESCOptions,
        vote="a majority vote that stops once five samples in a row agree, after at most N",
    ),
    StoppingSpec(
        "best-of-infinity",
        "stop once the leading answer is very likely the one of infinitely many samples",
        "arXiv 2509.21091, section 3 (Bayes factor of a Dirichlet posterior)",
        lambda options: BestOfInfinity(options.bayes_factor, options.unknown),
        options=BestOfInfinityOptions,
        vote="a majority vote that stops at a Bayes factor of 10, after at most N samples",
    ),
    StoppingSpec(
        "fixed",
        "stop at a number of votes",
        "common practice",
        lambda options: FixedVotes(options.votes),
        options=FixedOptions,
    ),
    StoppingSpec(
        "token-limit",
        "stop at a number of tokens",
        "common practice",
        lambda options: TokenLimit(options.tokens),
        options=TokenLimitOptions,
    ),
    StoppingSpec(
        "weight-share",
        "stop once one answer has almost all of the weight",
        "arXiv 2508.15260, section 3.3",
        lambda options: Consensus(options.share, options.after),
        options=ConsensusOptions,
    ),
)
