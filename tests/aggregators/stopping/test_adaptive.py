"""The stopping rule, against the distribution it is defined by."""

from __future__ import annotations

import math

import pytest
from scipy.stats import beta

from quorate.aggregators import AdaptiveConsistency
from quorate.aggregators.stopping import lead_probability
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.protocols import StoppingRule
from quorate.orchestrator.types import Cluster


def progress(*votes: int) -> SamplingProgress:
    tally = [Cluster(answer=str(i), votes=v, weight=v, voters=tuple(range(v))) for i, v in enumerate(votes)]
    return SamplingProgress(limit=64, tally=tuple(tally))


@pytest.mark.parametrize("a", [*range(12), 20, 64])
@pytest.mark.parametrize("b", [0, 1, 2, 3, 5, 8, 13, 40])
def test_the_lead_is_that_of_the_beta_distribution(a: int, b: int) -> None:
    """The exact binomial sum equals scipy's survival function of Beta(a + 1, b + 1) at one half."""
    assert math.isclose(lead_probability(a, b), beta.sf(0.5, a + 1, b + 1), abs_tol=1e-12)


@pytest.mark.parametrize(
    ("votes", "stops"),
    [((), False), ((3,), False), ((4,), True), ((4, 1), False), ((6, 1), True), ((5, 5), False), ((6, 1, 1), True)],
)
def test_when_it_stops(votes: tuple[int, ...], stops: bool) -> None:
    """At 0.95 four equal answers are enough, one dissenter asks for six, and a tie never stops."""
    assert (AdaptiveConsistency().stop(progress(*votes)) is not None) == stops


def test_the_order_of_the_tally_does_not_matter() -> None:
    """The two top classes are compared, whichever comes first."""
    assert AdaptiveConsistency().stop(progress(1, 6)) == AdaptiveConsistency().stop(progress(6, 1))


def test_it_says_why() -> None:
    """The words name the votes and the probability; the rule prints itself for drawings."""
    rule = AdaptiveConsistency(0.9)
    assert isinstance(rule, StoppingRule)
    assert rule.stop(progress(4, 0)) == "adaptive consistency: 4 to 0 votes, P(lead holds) = 0.969 >= 0.9"
    assert str(rule) == "stop when P(lead holds) >= 0.9"
    assert repr(rule) == "AdaptiveConsistency(0.9)"


@pytest.mark.parametrize("threshold", [0.5, 1.0, -1, 2, math.nan])
def test_a_threshold_that_means_nothing_is_refused(threshold: float) -> None:
    """The message names the range."""
    with pytest.raises(BadInput, match=r"between 0\.5 and 1"):
        AdaptiveConsistency(threshold)
