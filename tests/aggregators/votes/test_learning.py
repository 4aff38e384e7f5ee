"""Rules that learn from agreement: the reference, the arrays, and what others compute."""

from __future__ import annotations

import random
from math import exp
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.votes import (
    Abilities,
    Ballot,
    CrowdLab,
    DawidSkene,
    LabelFree,
    OneCoin,
    Plurality,
    Weights,
    leaders,
)
from quorate.aggregators.votes.arrays import Votes
from quorate.orchestrator.errors import BadInput, DataError

from .ballots import ballots, crowd

CROWD = [
    ".1101", "00..1", ".1.02", "12221", "002.2", "00..1", ".211.",
    "0..00", "11221", "222.2", "12002", "2..22", "0.002", "0.20.",
]  # fmt: skip
CROWD_KIT = "10010010122200"
"""Labels of crowd-kit 1.4.2, DawidSkene(100), which gives item 2 the probability 0.99722."""


def test_full_dawid_skene_equals_crowd_kit() -> None:
    """Labels and the one probability that is not 1, in the reference and in arrays."""
    cases = crowd(CROWD)
    votes = Votes.of(cases)
    for found in (DawidSkene().fit_weights(cases), votes.list_weights(votes.dawid_skene())):
        best = [max(weights, key=lambda c, w=weights: w[c]) for weights in found]  # type: ignore[misc]
        assert "".join(map(str, best)) == CROWD_KIT
        assert found[2][0] == pytest.approx(0.99722, abs=1e-4)


@settings(max_examples=40)
@given(st.lists(ballots(most=6), min_size=1, max_size=6))
def test_arrays_equal_the_reference(batch: list[Ballot]) -> None:
    """Plurality and one-coin Dawid-Skene, with abstentions, repeated voters and questions without votes."""
    votes = Votes.of(batch)
    _same(votes.list_weights(votes.plurality()), [Plurality().weights(b) for b in batch])
    _same(votes.list_weights(votes.one_coin()), OneCoin().fit_weights(batch))
    winners = votes.winners(votes.plurality())
    for winner, ballot in zip(winners, batch, strict=True):
        assert int(winner) in (leaders(Plurality().weights(ballot)) or [-1])


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=3, max_size=8))
def test_the_full_matrix_in_arrays_equals_the_reference(rows: list[list[int]]) -> None:
    """Posterior of every class that has votes, after a few rounds."""
    batch = [Ballot((0, 1, 2), ("x", "y", "z")), *(Ballot(tuple(row), ("x", "y", "z")) for row in rows)]
    votes = Votes.of(batch)
    reference = DawidSkene(rounds=4).fit_weights(batch)
    for found, expected in zip(votes.list_weights(votes.dawid_skene(rounds=4)), reference, strict=True):
        assert found == pytest.approx({c: expected[c] for c in found}, abs=1e-6)


def test_questions_without_votes_have_no_weights() -> None:
    """They neither break the others nor get an answer."""
    batch = [Ballot((0, 1, 0), ("x", "y", "z")), Ballot((None, None), ("x", "y")), Ballot(())]
    for found in (OneCoin().fit_weights(batch), DawidSkene().fit_weights(batch), LabelFree().fit_weights(batch)):
        assert [bool(weights) for weights in found] == [True, False, False]


STRENGTHS = {"s1": 4.0, "s2": 3.0, "m1": 1.0, "m2": 0.5, "w1": -0.5, "w2": -1.0, "w3": -1.0, "w4": -1.5, "w5": -2.0}


def planted(questions: int, seed: int = 0) -> tuple[list[Ballot], list[int]]:
    """Two strong models, two middling and five weak ones; half of the wrong answers fall into one trap."""
    rng = random.Random(seed)
    batch, truth = [], []
    for _ in range(questions):
        right, trap, *others = rng.sample(range(8), 8)
        difficulty = rng.gauss(0, 2)
        votes = []
        for strength in STRENGTHS.values():
            able = rng.random() < 1 / (1 + exp(difficulty - strength))
            votes.append(right if able else trap if rng.random() < 0.5 else rng.choice(others))
        batch.append(Ballot(tuple(votes), tuple(STRENGTHS)))
        truth.append(right)
    return batch, truth


def share_right(found: list[Weights], truth: list[int]) -> float:
    return sum(leaders(w) == [t] for w, t in zip(found, truth, strict=True)) / len(truth)


def test_label_free_weighting_finds_the_strong_without_labels() -> None:
    """Where a weak majority shares its errors it beats counting and one-coin Dawid-Skene."""
    batch, truth = planted(300)
    rule = LabelFree()
    learned = share_right(rule.fit_weights(batch), truth)
    assert learned > share_right([Plurality().weights(b) for b in batch], truth) + 0.1
    assert learned >= share_right(OneCoin().fit_weights(batch), truth)
    ability = {name: a.mean for name, a in rule.abilities.models.items()}
    assert min(ability["s1"], ability["s2"]) > max(a for name, a in ability.items() if name[0] == "w")


def test_what_was_learned_judges_new_questions_alone() -> None:
    """Fitted on one batch, kept in a file, used on single questions of another."""
    batch, truth = planted(300)
    rule = LabelFree().fit(batch[:200])
    fresh = [rule.weights(ballot) for ballot in batch[200:]]
    assert (
        share_right(fresh, truth[200:]) > share_right([Plurality().weights(b) for b in batch[200:]], truth[200:]) + 0.1
    )


def test_learning_question_by_question_comes_to_the_same() -> None:
    """Starting from nothing, the second half is judged far better than by counting."""
    batch, truth = planted(300)
    rule = LabelFree()
    found = []
    for ballot in batch:
        found.append(rule.weights(ballot))
        rule.update(ballot)
    half = [Plurality().weights(b) for b in batch[150:]]
    assert share_right(found[150:], truth[150:]) > share_right(half, truth[150:]) + 0.1
    assert rule.abilities.of("s1").answers == 300
    assert rule.abilities.of("s1").precision > rule.abilities.of("never seen").precision


def test_abilities_are_kept_in_a_file(tmp_path: Path) -> None:
    """Saved and loaded they are the same, and nothing else lies about."""
    folder = tmp_path
    learned = LabelFree().fit(planted(20)[0]).abilities
    learned.save(folder / "abilities.json")
    assert Abilities.load(folder / "abilities.json") == learned
    assert [path.name for path in folder.iterdir()] == ["abilities.json"]
    (folder / "broken.json").write_text('{"models": {"m": {"mean": "high"}}}')
    with pytest.raises(DataError, match=r"broken.json: models.m.mean"):
        Abilities.load(folder / "broken.json")
    with pytest.raises(DataError, match="cannot be read"):
        Abilities.load(folder / "absent.json")
    with pytest.raises(BadInput, match="cannot be written"):
        learned.save(folder / "no folder" / "abilities.json")


def test_crowdlab_listens_to_a_good_classifier_and_to_good_voters() -> None:
    """Voters x and y agree with each other, z does not; the classifier decides the tie."""
    batch = [Ballot((c, c, (c + 1) % 3), ("x", "y", "z")) for c in (0, 1, 2, 0, 1, 2, 0, 1)]
    tie = Ballot((0, 1), ("x", "y"))
    sure = [{c: 0.9, (c + 1) % 3: 0.05, (c + 2) % 3: 0.05} for c in (0, 1, 2, 0, 1, 2, 0, 1)]
    found = CrowdLab([*sure, {1: 0.8, 0: 0.1, 2: 0.1}, {2: 1.0}]).fit_weights([*batch, tie, Ballot(())])
    assert [leaders(w) for w in found] == [[0], [1], [2], [0], [1], [2], [0], [1], [1], [2]]
    assert all(sum(w.values()) == pytest.approx(1) for w in found)
    assert found[0][0] > found[8][1]


def test_crowdlab_refuses_what_is_no_posterior() -> None:
    """Empty, negative, not finite, or too few."""
    for broken in ({}, {0: -1.0, 1: 2.0}, {0: float("nan")}):
        with pytest.raises(BadInput, match="posterior 0"):
            CrowdLab([broken])
    with pytest.raises(BadInput, match="1 posteriors for 2 ballots"):
        CrowdLab([{0: 1.0}]).fit_weights([Ballot((0,)), Ballot((0,))])


def test_arrays_of_unequal_length_are_refused() -> None:
    """A vote is a question, a voter and a class."""
    with pytest.raises(BadInput, match="one entry a vote"):
        Votes([0, 1], [0], [0, 1])


def _same(found: list[Weights], expected: list[Weights]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other)
