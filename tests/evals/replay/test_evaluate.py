"""What a replay measures: expectations over subsets, ties, intervals, and gains at equal tokens."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.evals.records import AnswerRecord, RecordedBank
from quorate.evals.replay import ReplayRule, RuleResult, count_classes, replay
from quorate.evals.replay import rules as known
from quorate.evals.replay.rules import replay_rules
from quorate.evals.replay.subsets import expected_plurality
from quorate.orchestrator.errors import BadInput, UnknownName

from .banks import recorded

VOTES = st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=8)


def bank_of(*records: AnswerRecord, panel: bool = False, has: frozenset[str] = frozenset({"samples"})) -> RecordedBank:
    return RecordedBank("bank", panel, {"m": records}, len(records), has)


@given(VOTES, st.data())
def test_exact_plurality_is_the_mean_over_all_subsets(classes: list[int | None], data: st.DataObject) -> None:
    """Ties share the credit, abstentions vote for nothing, and right answers may be wrong programs."""
    marks = data.draw(st.lists(st.booleans(), min_size=len(classes), max_size=len(classes)))
    record = AnswerRecord("q", ("m",) * len(classes), tuple(map(str, classes)), tuple(classes), tuple(marks))
    k = data.draw(st.integers(1, len(classes)))
    drawn = [record.take(positions) for positions in combinations(range(len(classes)), k)]
    assert expected_plurality(record, k) == pytest.approx(
        fmean(one.credit(count_classes(one.classes)) for one in drawn)
    )


def test_ties_share_the_credit() -> None:
    """Two of three leading classes wrong: a third. Nobody answered: none."""
    assert recorded([0, 1, 2]).credit({0: 1.0, 1: 1.0, 2: 1.0}) == pytest.approx(1 / 3)
    assert recorded([0, 1]).credit({0: 0.1 + 0.2, 1: 0.3}) == 0.5
    assert recorded([None]).credit({}) == 0.0


def test_pass_and_plurality_at_every_k() -> None:
    """Three right of four: a single answer is right in 3 of 4, plurality of 3 always, pass@2 always."""
    found = replay(bank_of(recorded([0, 0, 1, 0], tokens=[1, 2, 3, 4])), ["plurality", "pass"], k=[1, 2, 3])
    value = {(r.aggregator, r.k): r.accuracy for r in found}
    assert value["plurality", 1] == value["pass", 1] == 0.75
    assert value["pass", 2] == value["plurality", 3] == 1.0
    assert value["plurality", 2] == 0.75
    assert [(r.tokens, r.samples) for r in found[:3]] == [(2.5, 1.0), (5.0, 2.0), (7.5, 3.0)]


@pytest.mark.parametrize(("answer", "low", "high"), [(0, 0.51, 1.0), (1, 0.0, 0.49)])
def test_four_questions_that_are_all_alike_are_no_certainty(answer: int, low: float, high: float) -> None:
    """Resamples of four right answers are four right answers; the interval is Wilson's."""
    [result] = replay(bank_of(*[recorded([answer])] * 4), ["plurality"])
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.005)


def test_all_answers_are_taken_if_no_k_is_given() -> None:
    """Questions with fewer answers give what they have; tokens are null where none were recorded."""
    [result] = replay(bank_of(recorded([0, 0, 1]), recorded([1])), ["plurality"])
    assert (result.k, result.samples, result.tokens, result.accuracy) == (3, 2.0, None, 0.5)
    told = {"aggregator", "model", "k", "accuracy", "low", "high", "tokens", "cost", "seconds", "samples"}
    assert set(result.as_json()) == told


def test_intervals_hold_the_value_and_shrink_with_questions() -> None:
    """A bootstrap over questions."""
    few = replay(bank_of(*[recorded([i % 2]) for i in range(8)]), ["plurality"])[0]
    records = [AnswerRecord(f"{i}", ("m",), ("0",), (0,), (bool(i % 2),)) for i in range(400)]
    many = replay(bank_of(*records), ["plurality"])[0]
    assert many.low < 0.5 < many.high
    assert many.high - many.low < 0.12
    assert few.low <= few.accuracy <= few.high


def test_the_same_seed_draws_the_same_subsets() -> None:
    """Another seed draws others."""
    record = recorded([0, 1, 2, 0, 1, 0, 3, 3, 0, 1, 2, 2] * 2, scores=range(24))
    bank = bank_of(record, has=frozenset({"samples", "scores"}))

    def drawn(seed: int) -> list[float]:
        return [r.accuracy for r in replay(bank, ["borda", "run-off"], k=[7, 9], seed=seed)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.fixture
def _first(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(drawn: AnswerRecord) -> RuleResult:
        return RuleResult(count_classes(drawn.classes[:1]), samples=1)

    entry = ReplayRule("first", "the first answer", "test", choose, ordered=True)
    monkeypatch.setattr(known, "replay_rules", lambda: {**replay_rules(), "first": entry})


@pytest.mark.usefixtures("_first")
def test_gains_are_measured_at_equal_tokens() -> None:
    """An aggregator that needs one sample of four is compared with plurality of as much as one sample costs."""
    bank = bank_of(*[recorded([0, 0, 0, 1], tokens=[10, 10, 10, 10])] * 3)
    [result] = replay(bank, ["first"])
    assert (result.k, result.samples, result.tokens) == (4, 1.0, 10.0)
    assert result.gain is not None
    assert result.gain.votes == pytest.approx(1.0, abs=1e-4)
    assert abs(result.gain.difference) < 0.1


def test_what_a_bank_lacks_is_named() -> None:
    """The aggregator, what it needs, and what there is."""
    bank = bank_of(recorded([0, 1]))
    with pytest.raises(BadInput, match=r"crowdlab needs labels, panel, posterior, which bank lacks; it has: samples"):
        replay(bank, ["plurality", "crowdlab"])
    with pytest.raises(UnknownName, match="no aggregator named 'pluralty'"):
        replay(bank, ["pluralty"])


@pytest.mark.parametrize(("k", "says"), [([0], "k=0"), ([3], "from 1 to 2")])
def test_impossible_sizes_are_refused(k: list[int], says: str) -> None:
    """Below one, or more answers than any question has."""
    with pytest.raises(BadInput, match=says):
        replay(bank_of(recorded([0, 1])), ["plurality"], k=k)


def test_nothing_to_replay_is_refused() -> None:
    """No aggregator, or no subset."""
    with pytest.raises(BadInput, match="at least one aggregator"):
        replay(bank_of(recorded([0])), [])
    with pytest.raises(BadInput, match="draws=0"):
        replay(bank_of(recorded([0])), ["plurality"], draws=0)


def test_questions_of_one_family_are_resampled_together() -> None:
    """Ten families of ten equal questions tell as much as ten questions, not as a hundred."""
    alone = [AnswerRecord(f"{i}", ("m",), ("0",), (0,), (i % 20 < 10,)) for i in range(100)]
    kin = [replace(record, facts={"cluster": f"f{n // 10}"}) for n, record in enumerate(alone)]
    [independent], [together] = (replay(bank_of(*records), ["plurality"]) for records in (alone, kin))
    assert independent.accuracy == together.accuracy == 0.5
    assert together.high - together.low > 2.5 * (independent.high - independent.low)


def panel_of(questions: int, voters: int = 5) -> RecordedBank:
    """Voter v0 is always right, the others agree on a wrong answer on every third question."""
    records = []
    for i in range(questions):
        classes = [0, *([1 if i % 3 == 0 else 0] * (voters - 1))]
        names = tuple(f"v{n}" for n in range(voters))
        records.append(
            AnswerRecord(str(i), names, tuple(map(str, classes)), tuple(classes), tuple(c == 0 for c in classes))
        )
    return bank_of(*records, panel=True, has=frozenset({"panel", "labels"}))


def test_a_panel_of_k_is_the_same_k_voters_everywhere() -> None:
    """Batch rules learn from it; with all voters there is one panel."""
    found = {(r.aggregator, r.k): r for r in replay(panel_of(30), ["plurality", "best-single", "label-free"], k=[3, 5])}
    assert found["plurality", 5].accuracy == pytest.approx(2 / 3)
    assert found["best-single", 5].accuracy == 1.0
    assert found["label-free", 3].samples == 3.0
    assert found["best-single", 3].accuracy < 1.0


def test_every_entry_says_what_it_is() -> None:
    """Names differ; each has a summary and a source."""
    for name, entry in replay_rules().items():
        assert entry.name == name
        assert entry.summary
        assert entry.source
