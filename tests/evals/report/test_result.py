"""The report's own arithmetic and its tables."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.evals.measures import Comparison
from quorate.evals.outcome import Outcome, Together
from quorate.evals.report import EvalResult, markdown, summarize, tables
from quorate.orchestrator.types import Failure


def outcome(pipeline: str, item: int, *samples: bool, correct: bool = True, **more: Any) -> Outcome:
    return Outcome.model_validate(
        {"pipeline": pipeline, "item": str(item), "gold": "1", "correct": correct, "samples": samples, **more}
    )


def result(*outcomes: Outcome, names: tuple[str, ...] = ("a", "b"), expected: int = 2) -> EvalResult:
    return summarize(outcomes, names, task="sums", tier="small", seed=0, expected=expected)


def test_only_questions_that_every_pipeline_was_asked_count() -> None:
    """So that pairs are pairs; the rest makes the result incomplete."""
    found = result(outcome("a", 1, True), outcome("b", 1, True), outcome("a", 2, True), outcome("a", 3, True))
    assert (found.questions, found.complete) == (1, False)
    assert result(outcome("a", 1, True), names=("a",), expected=1).complete


def test_pass_at_k_is_the_ceiling_and_failed_questions_count_as_wrong() -> None:
    """Means over questions, of what each question's samples say."""
    failed = outcome("a", 3, correct=False, error=Failure(code="x", message="gone"))
    found = result(
        outcome("a", 1, True, False, False, False),
        outcome("a", 2, True, True, correct=False),
        failed,
        names=("a",),
        expected=3,
    ).pipelines[0]
    assert found.accuracy.value == pytest.approx(1 / 3)
    assert found.pass_1 is not None
    assert found.pass_1.value == pytest.approx((0.25 + 1 + 0) / 3)
    assert found.pass_k is not None
    assert found.pass_k.value == pytest.approx(2 / 3)
    assert (found.k, found.samples, found.errors, found.error) == (4, 2.0, 1, "gone")


def test_means_are_per_question_and_money_is_told_only_where_known() -> None:
    """Tokens, what was spent, seconds."""
    one: dict[str, Any] = {"tokens": 30, "prompt_tokens": 4, "spent": 10, "seconds": 1.0}
    found = result(outcome("a", 1, True, **one, cost=0.5), outcome("a", 2, True), names=("a",)).pipelines[0]
    assert (found.tokens, found.prompt_tokens, found.spent, found.seconds, found.cost) == (15, 2, 5, 0.5, 0.25)
    assert result(outcome("a", 1, True), names=("a",)).pipelines[0].cost is None


def test_models_that_write_together_have_figures_of_their_own() -> None:
    """Shares are over all tokens, so a long answer counts more; the columns are there for no one else."""
    plain: dict[str, Any] = {"written": 10, "writing": 0.5}
    short = Together(tokens=10, ensembled=5, judged={"v": 4, "w": 8}, agreed={"v": 4, "w": 4})
    long = Together(tokens=90, ensembled=5, judged={"v": 36}, agreed={"v": 26})
    found = result(
        outcome("a", 1, True, written=10, writing=1.0, together=short),
        outcome("a", 2, True, written=90, writing=1.0, together=long),
        *(outcome("b", n, True, **plain) for n in (1, 2)),
    )
    pair, single = found.pipelines
    assert pair.ensembling is not None
    assert pair.ensembling.share == pytest.approx(0.1)
    assert pair.ensembling.agreement == {"v": 0.75, "w": 0.5}
    assert (pair.tokens_per_second, single.tokens_per_second, single.ensembling) == (50, 20, None)
    [head, rows] = tables(found)[0]
    assert [dict(zip(head, row, strict=True))["agreement"] for row in rows] == ["v 0.750, w 0.500", ""]
    assert [dict(zip(head, row, strict=True))["tokens/s"] for row in rows] == ["50.0", "20.0"]
    assert "Ensembled:" in markdown(found)
    alone = result(*(outcome(name, 1, True, **plain) for name in "ab"), expected=1)
    assert not {"tokens/s", "ensembled", "agreement"} & set(tables(alone)[0][0])
    assert "Ensembled:" not in markdown(alone)
    assert Outcome.model_validate_json(outcome("a", 1, together=short).model_dump_json()).together == short


def test_json_rounds_only_at_the_end() -> None:
    """Six significant digits, small p values kept."""
    outcomes = [o for n in range(40) for o in (outcome("a", n, True), outcome("b", n, False, correct=False))]
    found = result(*outcomes, expected=40)
    pair = found.as_json()["comparisons"][0]
    assert (pair["a"], pair["b"], pair["difference"]) == ("a", "b", 1.0)
    assert pair["p"] == pytest.approx(2 / 2**40, rel=1e-5)
    assert found.comparisons[0].low != pair["low"] == pytest.approx(found.comparisons[0].low, rel=1e-5)


def test_tables_have_a_cell_for_every_head_and_pairs_only_for_several() -> None:
    """Rows of strings, for any front end."""
    one = result(outcome("a|x", 1, True), names=("a|x",), expected=1)
    two = result(outcome("a", 1, True), outcome("b", 1, True), expected=1)
    assert (len(tables(one)), len(tables(two))) == (1, 2)
    for head, rows in tables(two):
        assert all(len(row) == len(head) for row in rows)
    assert "| a\\|x |" in markdown(one)
    assert "| a - b |" in markdown(two)


def test_of_many_pipelines_the_best_is_compared_with_the_others() -> None:
    """Every pair counts in the correction, and is kept in JSON."""
    outcomes = [outcome(name, n, True, correct=n < "cabed".index(name)) for name in "abcde" for n in range(5)]
    found = result(*outcomes, names=tuple("abcde"), expected=5)
    _, (head, rows) = tables(found)
    assert [row[0] for row in rows] == ["a - d", "b - d", "c - d", "d - e"]
    assert "of all pairs" in head[0]
    assert len(found.as_json()["comparisons"]) == 10


@pytest.mark.parametrize(
    ("low", "high", "p", "at_odds"),
    [(0.01, 0.2, 0.03, False), (-0.1, 0.2, 0.4, False), (-0.4, -0.01, 0.06, True), (-0.01, 0.3, 0.04, True)],
)
def test_an_interval_and_a_test_that_disagree_are_told(low: float, high: float, p: float, at_odds: bool) -> None:
    """With few families the two can, and a reader should know which one to trust."""
    pair = Comparison(a="a", b="b", difference=(low + high) / 2, low=low, high=high, p=p, adjusted=p)
    assert pair.at_odds is at_odds
