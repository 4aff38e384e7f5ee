"""Rules of one question: their formulas, laws and limits."""

from __future__ import annotations

import random
from itertools import product
from math import inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.votes import (
    Abilities,
    Ability,
    Ballot,
    Borda,
    ByConfidence,
    ByModel,
    LabelFree,
    LogOdds,
    MajorityOfTheBests,
    Plurality,
    Rule,
    RunOff,
    leaders,
    plurality_is_optimal,
)
from quorate.orchestrator.errors import BadInput

from .ballots import ballots, shuffled

KNOWN = LabelFree(Abilities(models={"a": Ability(mean=2.0), "b": Ability(mean=-1.0)}))
RULES: list[Rule] = [
    Plurality(),
    ByModel({"a": 2.0, "b": 0.0}),
    LogOdds({"a": 0.9, "b": 0.3}),
    ByConfidence(),
    Borda(),
    RunOff(),
    MajorityOfTheBests(),
    KNOWN,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(ballot=ballots(), shuffler=st.randoms(use_true_random=False))
def test_the_order_of_the_votes_does_not_matter(rule: Rule, ballot: Ballot, shuffler: random.Random) -> None:
    """The same weights, to the last bit for ties, in any order."""
    first, second = rule.weights(ballot), rule.weights(shuffled(ballot, shuffler))
    assert first == pytest.approx(second)
    assert set(leaders(first)) == set(leaders(second))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(ballot=ballots())
def test_only_classes_with_votes_have_weights(rule: Rule, ballot: Ballot) -> None:
    """Nobody's answer wins nothing, and where all abstain there are no weights and no leaders."""
    weights = rule.weights(ballot)
    assert set(weights) <= {c for c in ballot.classes if c is not None}
    assert all(w == w and abs(w) < inf for w in weights.values())
    assert bool(leaders(weights)) == bool(ballot.cast)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_one_candidate_wins_whatever_it_scores(rule: Rule) -> None:
    """k = 1 is the plain answer, with a score, without, and with one that is no number."""
    for score in (0.3, None, nan, -inf):
        assert leaders(rule.weights(Ballot((4,), ("a",), (score,)))) == [4]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_candidates_and_only_abstentions_have_no_winner(rule: Rule) -> None:
    """Nothing to choose from is an empty result, not an error."""
    assert rule.weights(Ballot(())) == {}
    assert rule.weights(Ballot((None, None), ("a", "b"), (1.0, None))) == {}


@given(ballot=ballots())
def test_borda_by_a_power_of_0_and_rules_without_scores_are_plurality(ballot: Ballot) -> None:
    """What is not known weighs nothing."""
    bare = Ballot(ballot.classes, ballot.voters)
    expected = leaders(Plurality().weights(ballot))
    assert leaders(Borda(0).weights(ballot)) == expected
    for rule in (Borda(), ByConfidence(), MajorityOfTheBests(), MajorityOfTheBests(1), ByModel({})):
        assert leaders(rule.weights(bare)) == expected


def test_borda_weighs_by_rank() -> None:
    """v(r) = (N - r + 1)^p; equal scores share the values of their ranks; None ranks last."""
    assert Borda(1).weights(Ballot((0, 1, 1), (), (0.9, 0.5, 0.1))) == {0: 3.0, 1: 3.0}
    assert Borda(1).weights(Ballot((0, 1, 2), (), (0.5, 0.5, None))) == {0: 2.5, 1: 2.5, 2: 1.0}
    assert Borda().weights(Ballot((0, 1), (), (2.0, 1.0))) == pytest.approx({0: 2**0.5, 1: 1.0})


def test_log_odds_are_those_of_the_one_coin_form() -> None:
    """log((K - 1) a / (1 - a)) with one more class than was seen; a vote below chance counts against."""
    weights = LogOdds({"a": 0.9, "b": 0.6}).weights(Ballot((0, 1), ("a", "b")))
    assert weights == pytest.approx({0: log(2 * 9), 1: log(2 * 1.5)})
    assert LogOdds({"a": 0.1}, classes=2).weights(Ballot((0,), ("a",)))[0] < 0


def test_confidence_shares_a_softmax_and_the_unknown_weigh_the_mean() -> None:
    """As in CISC; a small temperature trusts the surest alone."""
    weights = ByConfidence().weights(Ballot((0, 1, 1), (), (0.0, 0.0, None)))
    assert weights == pytest.approx({0: 0.5, 1: 1.0})
    assert leaders(ByConfidence(0.01).weights(Ballot((0, 1, 1), (), (0.9, 0.8, 0.8)))) == [0]


def test_models_of_weight_0_drop_out_unless_nobody_is_left() -> None:
    """A prior of zero silences; silencing everyone counts votes instead."""
    rule = ByModel({"a": 0.0, "b": 0.0}, default=1.0)
    assert leaders(rule.weights(Ballot((0, 0, 1), ("a", "b", "c")))) == [1]
    assert leaders(rule.weights(Ballot((0, 0, 1), ("a", "b", "b")))) == [0]


def test_a_run_off_is_decided_by_those_who_lost_the_first_round() -> None:
    """Samples are 4 : 3 : 2, but of the three models two prefer 1 to 0."""
    ballot = Ballot((0, 0, 0, 0, 1, 1, 2, 1, 2), ("x",) * 4 + ("y",) * 3 + ("z",) * 2)
    assert leaders(Plurality().weights(ballot)) == [0]
    assert RunOff().weights(ballot) == {0: 1.0, 1: 2.0}


def test_a_voter_without_a_preference_gives_half_a_vote_to_each_finalist() -> None:
    """It named neither, or both as often; one that abstained has no preference."""
    ballot = Ballot((0, 0, 1, 1, 2, None), ("x", "x", "y", "y", "z", "w"))
    assert RunOff().weights(ballot) == {0: 2.0, 1: 2.0}


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, 2.0])), min_size=1, max_size=4), st.integers(1, 3)
)
def test_majority_of_the_bests_equals_its_bootstrap(votes: list[tuple[int, float]], m: int) -> None:
    """Every subset of m drawn with replacement, ties for the best shared."""
    expected = dict.fromkeys({c for c, _ in votes}, 0.0)
    subsets = list(product(votes, repeat=m))
    for subset in subsets:
        best = [c for c, score in subset if score == max(s for _, s in subset)]
        for c in best:
            expected[c] += 1 / len(best) / len(subsets)
    found = MajorityOfTheBests(m).weights(Ballot(tuple(c for c, _ in votes), (), tuple(s for _, s in votes)))
    assert found == pytest.approx(expected)


@given(ballot=ballots())
def test_equal_voters_are_counted_by_label_free(ballot: Ballot) -> None:
    """Votes alone cannot tell a hard question from a wrong majority, so among equals the plurality wins."""
    for mean in (-4.0, 0.0, 5.0):
        ability = {"a": Ability(mean=mean), "b": Ability(mean=mean), "c": Ability(mean=mean + 1e-7)}
        found = leaders(LabelFree(Abilities(models=ability)).weights(ballot))
        assert set(found) <= set(leaders(Plurality().weights(ballot)))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ByModel({"m": -1.0}), "'m' is -1.0"),
        (lambda: ByModel({"m": nan}), "'m' is nan"),
        (lambda: ByModel({}, default=inf), "inf"),
        (lambda: LogOdds({"m": 1.5}), "from 0 to 1"),
        (lambda: LogOdds({}, classes=1), "classes=1"),
        (lambda: ByConfidence(0.0), "temperature=0.0"),
        (lambda: Borda(-1), "power=-1"),
        (lambda: MajorityOfTheBests(0), "m=0"),
        (lambda: Ballot((0, -1)), "from 0"),
        (lambda: Ballot((0, 1), ("a",)), "1 voters for 2 candidates"),
        (lambda: plurality_is_optimal([]), "at least one"),
        (lambda: plurality_is_optimal([0.7, nan]), "from 0 to 1"),
        (lambda: plurality_is_optimal([0.7, 0.8], prior=0.6), "flat prior"),
        (lambda: plurality_is_optimal([0.7], classes=1), "classes=1"),
    ],
)
def test_absurd_parameters_are_refused_by_name(make: object, says: str) -> None:
    """Each error names the parameter and its value."""
    assert callable(make)
    with pytest.raises(BadInput, match=says.replace("(", r"\(")):
        make()


@given(st.lists(st.floats(0.51, 0.99), min_size=1, max_size=5))
def test_the_certificate_is_what_all_ballots_say(accuracies: list[float]) -> None:
    """Two answers, flat prior: no ballot on which the log-odds contradict the count."""
    weights = [log(a / (1 - a)) for a in accuracies]
    agree = True
    for ballot in product((1, -1), repeat=len(weights)):
        count, odds = sum(ballot), sum(s * w for s, w in zip(ballot, weights, strict=True))
        agree &= (count > 0) <= (odds >= -1e-12) and (count != 0 or abs(odds) <= 1e-12)
    assert plurality_is_optimal(accuracies) == agree


def test_the_certificate_with_a_prior_and_for_several_answers() -> None:
    """Equal accuracies beat a prior between 1 - a and a; a voter at chance proves nothing."""
    assert plurality_is_optimal([0.8, 0.8, 0.8], prior=0.75)
    assert not plurality_is_optimal([0.8, 0.8, 0.8], prior=0.85)
    assert plurality_is_optimal([0.6, 0.6, 0.6], classes=4)
    assert not plurality_is_optimal([0.9, 0.4, 0.4], classes=4)
    assert not plurality_is_optimal([0.5, 0.7, 0.7])
