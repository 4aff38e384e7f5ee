"""Systems in pairs at equal tokens."""

from __future__ import annotations

import pytest

from quorate.evals.measures import (
    System,
    compare_systems,
    list_systems,
    recorded_systems,
    resampled_scores,
    task_scores,
)
from quorate.evals.measures.systems import Played
from quorate.evals.outcome import Outcome
from quorate.evals.records import AnswerRecord, RecordedBank, Spent
from quorate.orchestrator.errors import BadInput, UnknownName

QUESTIONS = 12


def record(number: int) -> AnswerRecord:
    """Three of four samples right, ten tokens each; on every third question one of four."""
    classes = (0, 0, 1, 0) if number % 3 else (1, 0, 1, 1)
    family = {"cluster": f"f{number // 2}"}
    right = tuple(c == 0 for c in classes)
    return AnswerRecord(
        str(number), ("m",) * 4, tuple(map(str, classes)), classes, right, {"tokens": (10,) * 4}, family
    )


BANK = RecordedBank(
    "bank", False, {"m": tuple(map(record, range(QUESTIONS)))}, QUESTIONS, frozenset({"samples", "tokens"})
)


def outcomes(pipeline: str, tokens: int, right: int = QUESTIONS) -> list[Outcome]:
    return [
        Outcome(pipeline=pipeline, item=str(i), gold="0", correct=i < right, tokens=tokens, cluster=f"f{i // 2}")
        for i in range(QUESTIONS)
    ]


def test_the_costlier_system_is_brought_down_to_the_others_tokens() -> None:
    """Majority at four samples against something that took twenty tokens: two samples."""
    found = compare_systems(list_systems([*outcomes("usc@2/m", 20), *outcomes("majority@4/m", 40, right=8)], BANK))
    [pair] = found.pairs
    assert (pair.a, pair.b, pair.equal, pair.budget, pair.scaled) == (
        "usc@2/m",
        "majority@4/m",
        True,
        20,
        "majority@4/m",
    )
    assert pair.samples == pytest.approx(2)
    assert pair.accuracy_a == 1.0
    assert pair.accuracy_b == pytest.approx((8 * 0.75 + 4 * 0.25) / 12)
    assert pair.as_run == pytest.approx(1 - 8 / 12)
    assert pair.paired.families == 6


def test_the_cheaper_one_is_brought_up_where_the_other_has_no_curve() -> None:
    """One sample of the model becomes three, which the bank has."""
    [pair] = compare_systems(list_systems([*outcomes("m", 10), *outcomes("usc@2/m", 30)], BANK)).pairs
    assert (pair.scaled, pair.samples, pair.budget) == ("m", 3.0, 30)


def test_a_pair_that_cannot_meet_stands_as_it_ran_and_says_why() -> None:
    """Too few samples recorded; no samples of the model; one rule at two sizes; no tokens."""
    [pair] = compare_systems(list_systems([*outcomes("m", 10), *outcomes("usc@2/m", 90)], BANK)).pairs
    assert (pair.equal, pair.budget, pair.scaled) == (False, None, None)
    assert "'usc' cannot be replayed" in pair.note
    assert "all 4 recorded samples take 40 tokens; sample more" in pair.note
    [pair] = compare_systems(list_systems([*outcomes("n", 10), *outcomes("majority@2/o+p", 90)], BANK)).pairs
    assert "no samples of 'n' by itself" in pair.note
    [pair] = compare_systems(list_systems([*outcomes("m", 10), *outcomes("majority@4/m", 40)], BANK)).pairs
    assert "one rule over one model's samples at two sizes" in pair.note
    bare = [System(name, {"1": Played(1.0)}) for name in "ab"]
    assert "no tokens were recorded" in compare_systems(bare).pairs[0].note


def test_equal_tokens_need_no_curve() -> None:
    """Within one per cent."""
    [pair] = compare_systems(list_systems([*outcomes("x", 1000), *outcomes("y", 1005, right=3)])).pairs
    assert (pair.equal, pair.budget, pair.scaled, pair.note) == (True, 1005, None, "")


def test_as_they_ran_if_asked() -> None:
    """No curve is looked at."""
    [pair] = compare_systems(
        list_systems([*outcomes("usc@2/m", 20), *outcomes("majority@4/m", 40)], BANK), equal=False
    ).pairs
    assert (pair.equal, pair.note, pair.paired.difference) == (False, "as they ran", 0.0)


def test_p_is_corrected_for_all_pairs_and_a_baseline_has_fewer() -> None:
    """Three systems are three pairs, or two with a baseline, over which each is a gain."""
    some = list_systems([*outcomes("x", 10), *outcomes("y", 10, right=2), *outcomes("z", 10, right=11)])
    everything = compare_systems(some).pairs
    assert [(p.a, p.b) for p in everything] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert all(pair.p_holm >= pair.paired.p for pair in everything)
    assert max(p.p_holm / p.paired.p for p in everything) == pytest.approx(3)
    assert [(p.a, p.b) for p in compare_systems(some, baseline="z").pairs] == [("x", "z"), ("y", "z")]
    with pytest.raises(UnknownName, match="z"):
        compare_systems(some, baseline="w")


def test_systems_without_a_common_question_are_told() -> None:
    """Rather than compared."""
    played = Played(1.0, Spent(tokens=1.0))
    found = compare_systems([System("a", {"1": played}), System("b", {"2": played})])
    assert found.pairs == ()
    assert found.notes[0] == "a and b were asked no common question"
    assert found.notes[1].startswith("not every system was asked every question")
    with pytest.raises(BadInput, match="nothing to compare"):
        compare_systems([])


def test_cut_candidates_are_told() -> None:
    """Their share of each system, and a warning where it is more than a few."""
    some = [o.model_copy(update={"cut": 1, "samples": (True,) * 4}) for o in outcomes("majority@4/m", 40)]
    found = compare_systems(list_systems([*outcomes("usc@2/m", 20), *some]))
    assert [system.cut for system in found.systems] == [0, 0.25]
    assert found.as_json()["systems"][1]["cut"] == 0.25
    assert found.notes[0].startswith("25 % of the candidates of majority@4/m were cut off")


def test_the_front_and_the_json() -> None:
    """Who is beaten on both is off the front; everything is plain JSON."""
    found = compare_systems(
        list_systems([*outcomes("x", 10, right=6), *outcomes("y", 20, right=5), *outcomes("z", 30)])
    )
    assert [(s.name, "tokens" in s.fronts) for s in found.systems] == [("x", True), ("y", False), ("z", True)]
    assert found.as_json()["pairs"][0]["paired"]["test"] == "exchange"


def test_the_same_seed_gives_the_same_comparison() -> None:
    """Subsets, exchanges and resamples."""
    some = [*outcomes("usc@2/m", 20), *outcomes("run-off@4/m", 40, right=8)]
    assert compare_systems(list_systems(some, BANK, seed=2), seed=2) == compare_systems(
        list_systems(some, BANK, seed=2), seed=2
    )


def test_a_question_that_failed_is_wrong_at_any_budget() -> None:
    """It has no samples and costs nothing, so the others have twelve elevenths of the budget."""
    bank = RecordedBank("bank", False, {"m": BANK.groups["m"][1:]}, QUESTIONS - 1, BANK.has)
    failed = [o.model_copy(update={"tokens": 0, "correct": False}) if o.item == "0" else o for o in outcomes("m", 10)]
    [pair] = compare_systems(list_systems([*failed, *outcomes("usc@2/m", 20)], bank)).pairs
    assert pair.scaled == "m"
    more = 20 * 12 / 11 / 10 - 2
    assert pair.samples == pytest.approx(2 + more)
    assert pair.accuracy_a == pytest.approx((8 * (0.75 + more * 0.25) + 3 * (0.25 - more * 0.25)) / 12)


def test_recorded_answers_are_systems_too() -> None:
    """One answer and the vote of all; of a panel its models and their vote."""
    found = recorded_systems(BANK)
    assert [s.name for s in found] == ["m", "majority@4/m"]
    assert found[1].played["1"] == Played(1.0, Spent(tokens=40.0), "f0")
    voters = [AnswerRecord(str(i), ("u", "v"), ("0", str(i)), (0, i), (True, i == 0)) for i in range(2)]
    panel = RecordedBank("panel", True, {"panel": tuple(voters)}, 2, frozenset({"panel"}))
    assert {s.name: [p.credit for p in s.played.values()] for s in recorded_systems(panel)} == {
        "u": [1.0, 1.0],
        "v": [1.0, 0.0],
        "plurality of all": [1.0, 0.5],
    }


def test_scores_of_tasks_and_their_resamples() -> None:
    """Around the accuracy, the same for the same seed."""
    tasks = {"t": list_systems(outcomes("x", 10, right=6)), "u": list_systems(outcomes("x", 10))}
    assert task_scores(tasks) == {"t": {"x": 0.5}, "u": {"x": 1.0}}
    again = resampled_scores(tasks, seed=1, resamples=50)
    assert again == resampled_scores(tasks, seed=1, resamples=50)
    assert {one["u"]["x"] for one in again} == {1.0}
    assert min(one["t"]["x"] for one in again) < 0.5 < max(one["t"]["x"] for one in again)


def test_models_of_different_price_are_compared_at_equal_money() -> None:
    """Two cheap samples cost as much as one dear one, whatever the tokens; and seconds are another matter."""
    columns = {"tokens": (10,) * 4, "cost": (0.25,) * 4, "seconds": (1.0, 2.0, 3.0, 4.0)}
    priced = [AnswerRecord(str(i), ("m",) * 4, ("0",) * 4, (0,) * 4, (True,) * 4, columns) for i in range(QUESTIONS)]
    bank = RecordedBank("bank", False, {"m": tuple(priced)}, QUESTIONS, frozenset({"samples", *columns}))

    def ran(pipeline: str, cost: float | None, seconds: float) -> list[Outcome]:
        return [o.model_copy(update={"cost": cost, "seconds": seconds}) for o in outcomes(pipeline, 10, right=6)]

    some = list_systems([*ran("dear", 0.5, 3.0), *ran("majority@4/m", 1.0, 4.0)], bank)
    [pair] = compare_systems(some, by="money").pairs
    assert (pair.by, pair.scaled, pair.budget, pair.samples, pair.accuracy_b) == (
        "money",
        "majority@4/m",
        0.5,
        2.0,
        1.0,
    )
    [pair] = compare_systems(some, by="seconds").pairs
    # The slower one of two that are drawn at once takes 10/3 seconds in the mean, a single one 2.5.
    assert pair.samples == pytest.approx(1 + (3 - 2.5) / (10 / 3 - 2.5))
    found = compare_systems(some, by="money")
    assert [(s.cost, s.seconds, s.fronts) for s in found.systems] == [
        (0.5, 3.0, ("tokens", "money", "seconds")),
        (1.0, 4.0, ("tokens",)),
    ]
    unpriced = list_systems([*ran("dear", None, 3.0), *ran("m", 1.0, 4.0)], bank)
    assert "not every answer has a price" in compare_systems(unpriced, by="money").pairs[0].note
