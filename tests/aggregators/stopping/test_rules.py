"""ESC, Best-of-infinity, the two fixed rules and the consensus stop, and what all rules on classes share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from quorate.aggregators.stopping import (
    ESC,
    AdaptiveConsistency,
    Agreement,
    BestOfInfinity,
    Consensus,
    Draws,
    FixedVotes,
    LookAhead,
    SequenceRule,
    TokenLimit,
    find_stopping_point,
    mode_probability,
)
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.protocols import StoppingRule
from quorate.orchestrator.types import Candidate, Cluster, Failure
from quorate.orchestrator.usage import Usage

RULES: list[SequenceRule] = [
    AdaptiveConsistency(),
    ESC(),
    BestOfInfinity(),
    LookAhead(),
    LookAhead(limit=40),
    FixedVotes(3),
    TokenLimit(100),
]


def draws(*classes: int | None, limit: int | None = None) -> Draws:
    made = Draws(limit)
    for number in classes:
        made.add(number, 10)
    return made


def tally(*weights: float) -> list[Cluster]:
    return [Cluster(answer=str(i), votes=1, weight=w, voters=(i,)) for i, w in enumerate(weights)]


def progress(candidates: Sequence[Candidate], tally: Sequence[Cluster], limit: int = 64) -> SamplingProgress:
    return SamplingProgress(limit, list(candidates), tuple(tally))


def candidate(index: int, **changes: object) -> Candidate:
    made = Candidate(index=index, model="m", text="x", finish_reason="stop", usage=Usage(completion_tokens=10))
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("classes", "stops"),
    [
        ((), False),
        ((0, 0, 0), False),
        ((0, 0, 0, 0), True),
        ((1, 0, 0, 0, 0), False),
        ((1, 0, 0, 0, 0, 0, 0, 0), True),
        ((0, 0, None, 0), False),
        ((None,) * 4, False),
    ],
)
def test_esc_wants_a_whole_window(classes: tuple[int | None, ...], stops: bool) -> None:
    """Windows do not overlap, and an abstention breaks one."""
    assert ESC(4).is_enough(draws(*classes)) == stops


@pytest.mark.parametrize(("a", "b"), [(1, 0), (4, 0), (3, 2), (9, 4), (60, 41)])
def test_the_mode_of_two_shares_is_that_of_the_beta_distribution(a: int, b: int) -> None:
    """With one rival the leader has the larger share where a Beta variable is above one half."""
    assert math.isclose(mode_probability(a + 1.3, (b + 1.0,)), beta.sf(0.5, a + 1.3, b + 1), abs_tol=1e-6)


def test_equal_shares_are_equally_likely_the_largest() -> None:
    """The probabilities of being the mode sum to one."""
    assert math.isclose(mode_probability(2, (2, 2, 2)), 1 / 4, abs_tol=1e-6)
    asked = (4.0, 2.0, 1.3)
    total = sum(mode_probability(a, tuple(b for b in asked if b != a)) for a in asked)
    assert math.isclose(total, 1, abs_tol=1e-5)


@pytest.mark.parametrize(
    ("votes", "stops"), [((), False), ((2,), False), ((3,), True), ((2, 2), False), ((3, 1), False), ((5, 1), True)]
)
def test_best_of_infinity_stops_at_its_bayes_factor(votes: tuple[int, ...], stops: bool) -> None:
    """At 10 three equal answers are enough, one dissenter asks for more, and a tie never stops."""
    classes = [number for number, count in enumerate(votes) for _ in range(count)]
    assert BestOfInfinity().is_enough(draws(*classes)) == stops


def test_large_votes_neither_overflow_nor_hang() -> None:
    """A thousand samples are within reach."""
    assert BestOfInfinity().factor((900, 100, 24)) > 1e6
    assert 0 < BestOfInfinity().factor((510, 500, 14)) < math.inf


def test_fixed_votes_and_tokens() -> None:
    """Abstentions are no votes; tokens count whatever came of them."""
    assert not FixedVotes(3).is_enough(draws(0, None, 1))
    assert FixedVotes(3).is_enough(draws(0, None, 1, 0))
    assert not TokenLimit(31).is_enough(draws(0, None, 1))
    assert TokenLimit(30).is_enough(draws(0, None, 1))


def test_the_consensus_counts_weights() -> None:
    """Not before the warm-up is through; then the heaviest class's share decides."""
    rule = Consensus(0.95, after=2)
    two = [candidate(0), candidate(1)]
    assert rule.stop(progress(two[:1], tally(1.0))) is None
    assert rule.stop(progress(two, tally(19.0, 1.1))) is None
    assert (
        rule.stop(progress(two, tally(19.0, 1.0)))
        == "consensus: 0.950 of the weight on one answer >= 0.95, after 2 samples"
    )
    assert rule.stop(progress(two, [])) is None
    assert rule.stop(progress(two, tally(0.0, 0.0))) is None


@pytest.mark.parametrize("rule", [*RULES, Consensus()])
def test_each_rule_is_a_stopping_rule_and_names_itself(rule: StoppingRule) -> None:
    """Drawings and reprs need words; nothing drawn yet is no reason to stop."""
    assert isinstance(rule, StoppingRule)
    assert type(rule).__name__ in repr(rule)
    assert str(rule).startswith("stop ")
    assert rule.stop(progress([], [])) is None


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_says_why(rule: SequenceRule) -> None:
    """Ten equal answers satisfy all of them, live as in replay."""
    voters = [candidate(i) for i in range(10)]
    reason = rule.stop(progress(voters, [Cluster(answer="7", votes=10, weight=10, voters=tuple(range(10)))]))
    assert reason is not None
    assert ":" in reason
    assert rule.is_enough(draws(*[0] * 10))


@settings(deadline=None, max_examples=60)
@given(classes=st.lists(st.none() | st.integers(0, 3), max_size=12), data=st.data())
def test_rules_on_counts_do_not_mind_the_order(classes: list[int | None], data: st.DataObject) -> None:
    """Only ESC, by its definition, depends on the order of the samples."""
    shuffled = data.draw(st.permutations(classes))
    for rule in RULES:
        if not isinstance(rule, ESC):
            assert rule.is_enough(draws(*classes, limit=40)) == rule.is_enough(draws(*shuffled, limit=40))


def test_draws_of_a_stage() -> None:
    """Failures and cancelled samples have no class but count as drawn and paid; abstentions are None."""
    lost = Failure(code="boom", message="no luck")
    stage = [candidate(3), candidate(0, error=lost), candidate(1, finish_reason="cancelled"), candidate(2)]
    made = Draws.of(progress(stage, [Cluster(answer="7", votes=1, weight=0.1, voters=(3,))], limit=9))
    assert (made.drawn, made.tokens, made.classes, made.votes, made.limit) == (4, 40, [0, None], [1], 9)


def test_waves_pay_for_all_of_their_samples() -> None:
    """Four equal answers are enough singly; in waves of three the rule is asked after six."""
    rule = AdaptiveConsistency()
    assert find_stopping_point(rule, [0] * 20, limit=16) == 4
    assert find_stopping_point(rule, [0] * 20, limit=16, wave=3) == 6
    assert find_stopping_point(rule, [0, 1] * 10, limit=16) == 16
    assert find_stopping_point(TokenLimit(50), [0] * 20, limit=16, tokens=[20] * 20) == 3
    assert find_stopping_point(rule, [], limit=16) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: ESC(1),
        lambda: BestOfInfinity(1),
        lambda: BestOfInfinity(math.nan),
        lambda: BestOfInfinity(10, unknown=0),
        lambda: FixedVotes(0),
        lambda: TokenLimit(0),
        lambda: LookAhead(0),
        lambda: LookAhead(0.5),
        lambda: LookAhead(math.nan),
        lambda: LookAhead(limit=0),
        lambda: Consensus(0.5),
        lambda: Consensus(after=0),
        lambda: ESC(2.5),  # type: ignore[arg-type]
        lambda: Agreement("0.5"),  # type: ignore[arg-type]
        lambda: AdaptiveConsistency(True),
        lambda: LookAhead(limit="3"),  # type: ignore[arg-type]
    ],
)
def test_impossible_parameters_are_refused(make: object) -> None:
    """One clear error that names the class."""
    with pytest.raises(BadInput, match=r"\w+\("):
        make()  # type: ignore[operator]


def test_agreement_is_a_share_of_those_that_did_not_fail() -> None:
    """Abstentions count against it, and a few votes are not enough."""
    rule = Agreement(0.75, min_votes=3)

    def says(votes: int, of: int) -> str | None:
        cluster = Cluster(answer="4", votes=votes, weight=votes, voters=tuple(range(votes)))
        return rule.stop(progress([candidate(i) for i in range(of)], [cluster]))

    assert says(3, 4) == "agreement: 3 of 4 candidates, at least 0.75"
    assert says(3, 5) is None
    assert says(2, 2) is None
    assert rule.stop(progress([], [])) is None
    assert str(rule) == "75 % agree, 3 votes or more"


@pytest.mark.parametrize(("share", "min_votes"), [(0.0, 3), (1.1, 3), (float("nan"), 3), (0.5, 0)])
def test_impossible_agreement(share: float, min_votes: int) -> None:
    """Named with what is possible."""
    with pytest.raises(BadInput, match="Agreement"):
        Agreement(share, min_votes=min_votes)
