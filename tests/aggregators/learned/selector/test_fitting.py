"""Training: what is learned, what is refused, and that no question is judged by those who saw it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.learned.selector import SelectorSettings, TrainedSelector, cut_sets, fit, predict_out_of_fold
from quorate.aggregators.learned.selector.model import count_least_questions, find_threshold
from quorate.orchestrator.errors import BadInput, DataError, UnknownName
from quorate.orchestrator.types import CandidateSet

from .sets import crowd, examples, labelled, said

pytest.importorskip("sklearn")


async def test_it_learns_whom_to_trust() -> None:
    """The able model is trusted against three who err together, where the vote follows them."""
    known = await examples(crowd(150))
    picks = predict_out_of_fold(known, SelectorSettings(folds=3))
    votes = [e.credit(e.choose({n: len(p) for n, p in e.view.members.items()}, 0)) for e in known]
    assert sum(pick.right for pick in picks) > sum(votes) + 20
    learned = fit(known)
    assert learned.terms["model:able"].weight > learned.terms["model:weak a"].weight
    assert learned.families == ("votes", "models", "length", "text")
    assert (learned.origin.questions, learned.origin.candidates) == (150, (4, 4))


async def test_probabilities_are_calibrated() -> None:
    """Where it says nine of ten, about nine of ten are right."""
    picks = predict_out_of_fold(await examples(crowd(300)), SelectorSettings(folds=3))
    mean = sum(pick.probability for pick in picks) / len(picks)
    assert mean == pytest.approx(sum(pick.right for pick in picks) / len(picks), abs=0.05)


async def test_the_same_seed_gives_the_same_selector() -> None:
    """To the last digit, from the same sets in the same order."""
    known = await examples(crowd(60))
    assert fit(known, SelectorSettings(seed=3, folds=3)) == fit(known, SelectorSettings(seed=3, folds=3))


async def test_sets_of_one_cluster_stay_on_one_side() -> None:
    """Every pick comes from a fold in which nothing of its cluster was trained on."""
    sets = [one.model_copy(update={"cluster": f"c{i % 20}"}) for i, one in enumerate(crowd(80))]
    picks = predict_out_of_fold(await examples(sets), SelectorSettings(folds=4))
    fold_of: dict[str, int] = {}
    for pick in picks:
        assert fold_of.setdefault(pick.example.group, pick.fold) == pick.fold
    assert len(picks) == 80


async def test_sets_that_are_cut_stay_together() -> None:
    """Parts of a question are no questions of their own; what is left over is dropped."""
    parts = cut_sets(crowd(10), 2, seed=1)
    assert [len(part.candidates) for part in parts] == [2] * 20
    assert len({example.group for example in await examples(parts)}) == 10
    with pytest.raises(BadInput, match="candidates=9"):
        cut_sets(crowd(10), 9)


async def refused(sets: list[CandidateSet], says: str, settings: SelectorSettings | None = None) -> None:
    with pytest.raises(BadInput, match=says):
        predict_out_of_fold(await examples(sets), settings)


async def test_a_bank_without_gold_answers_is_refused() -> None:
    """And told how to make one that has them."""
    await refused([one.model_copy(update={"correct": (None,) * 4}) for one in crowd(20)], "no gold answers")


async def test_one_class_only_is_refused() -> None:
    """All right or all wrong: nothing to tell apart."""
    for mark in (True, False):
        told = "right" if mark else "wrong"
        await refused([one.model_copy(update={"correct": (mark,) * 4}) for one in crowd(20)], f"every answer .* {told}")


async def test_fewer_questions_than_folds_are_refused() -> None:
    """So is a single fold, and folds that show one kind of answer."""
    await refused(crowd(4), "folds=5, but there are 4 questions")
    await refused(crowd(4), "folds=1", SelectorSettings(folds=1))
    right = [labelled(f"r{i}", [said(0, "1"), said(1, "1")]) for i in range(8)]
    await refused(
        [*right, labelled("w", [said(0, "2"), said(1, "2")])], "only right answers", SelectorSettings(folds=3)
    )


async def test_features_that_the_bank_lacks_are_refused() -> None:
    """With what they need; an unknown family too."""
    await refused(
        crowd(20),
        "'confidence' need log-probabilities, which 20 of 20 sets lack",
        SelectorSettings(families=("votes", "confidence")),
    )
    with pytest.raises(UnknownName, match="vibes"):
        fit(await examples(crowd(20)), SelectorSettings(families=("vibes",)))


async def test_nothing_to_learn_is_said() -> None:
    """Features that say nothing of what is right are no selector."""
    rng = random.Random(5)
    coin = [labelled(f"q{i}", [said(0, "1"), said(1, "2")], gold=rng.choice("12")) for i in range(40)]
    await refused(coin, "nothing to learn", SelectorSettings(families=("position",), folds=2))


async def test_abstention_keeps_the_risk() -> None:
    """Of 300 questions out of fold, at most about a tenth are answered wrongly."""
    picks = predict_out_of_fold(await examples(crowd(300, seed=2)), SelectorSettings(folds=3, risk=0.1))
    assert sum(pick.answered and not pick.right for pick in picks) / len(picks) < 0.14
    assert any(pick.answered for pick in picks)


async def test_a_risk_needs_questions() -> None:
    """The message says how many."""
    await refused(crowd(40), "needs at least 99 questions held out", SelectorSettings(folds=2, risk=0.01))
    await refused(crowd(40), "risk=2", SelectorSettings(folds=2, risk=2.0))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=10, max_size=40), st.sampled_from([0.1, 0.2, 0.5]))
def test_the_threshold_is_that_of_split_conformal(winners: list[tuple[float, bool]], risk: float) -> None:
    """Any of n + 1 exchangeable questions lies above with a chance of at most the risk."""
    total = 0
    for place, (probability, right) in enumerate(winners):
        rest = winners[:place] + winners[place + 1 :]
        if len(rest) >= count_least_questions(risk):
            total += not right and probability > find_threshold(rest, risk)
    assert total <= risk * len(winners) + 1e-9


async def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And it is JSON that a person can read."""
    learned = fit(await examples(crowd(60)), SelectorSettings(folds=3, risk=0.2))
    learned.save(tmp_path / "s.json")
    assert TrainedSelector.load(tmp_path / "s.json") == learned
    assert json.loads((tmp_path / "s.json").read_text())["terms"]["share"]["scale"] > 0


async def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Another version, other features, other content, nothing at all: one message, with the file."""
    learned = fit(await examples(crowd(60)), SelectorSettings(folds=3))
    good = learned.model_dump(mode="json")
    term = {"mean": 0.0, "scale": 1.0, "weight": 1.0}
    for content, says in [
        ({**good, "version": 2}, "a selector of version 2, and this quorate reads version 1"),
        ({**good, "terms": {"vibes": term}}, "uses vibes, which this quorate does not know"),
        ({**good, "families": ["vibes"]}, "uses vibes"),
        ({**good, "terms": {"share": {**term, "scale": 0}}}, "terms.share.scale"),
        ({"models": {}}, "no selector"),
        ([], "no selector"),
    ]:
        (tmp_path / "s.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=says) as error:
            TrainedSelector.load(tmp_path / "s.json")
        assert "s.json" in str(error.value)
    (tmp_path / "s.json").write_bytes(b"\x80\x04pickle")
    with pytest.raises(DataError, match="not even JSON"):
        TrainedSelector.load(tmp_path / "s.json")
    with pytest.raises(DataError, match="cannot be read"):
        TrainedSelector.load(tmp_path / "absent.json")
    with pytest.raises(BadInput, match="cannot be written"):
        learned.save(tmp_path / "absent" / "s.json")
