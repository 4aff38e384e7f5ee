"""Ranks of systems over tasks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.evals.ranking import METHODS, rank
from quorate.orchestrator.errors import BadInput, UnknownName

SCORES = {
    "gsm": {"a": 0.9, "b": 0.8, "c": 0.7},
    "math": {"a": 0.6, "b": 0.5, "c": 0.55},
    "code": {"a": 0.3, "b": 0.5, "c": 0.1},
}


@pytest.mark.parametrize("method", METHODS)
def test_who_is_better_nearly_everywhere_is_first(method: str) -> None:
    """By every method; by the mean two are equal."""
    found = rank(SCORES, method)
    assert [r.system for r in found.systems] == ["a", "b", "c"]
    assert found.systems[0].rank == (1.5 if method == "mean" else 1.0)
    assert found.tasks == 3


def test_scores_by_hand() -> None:
    """Means, shares beaten, pairs won."""
    assert {r.system: r.score for r in rank(SCORES, "mean").systems} == pytest.approx({"a": 0.6, "b": 0.6, "c": 0.45})
    assert {r.system: r.score for r in rank(SCORES, "borda").systems} == pytest.approx(
        {"a": 2.5 / 3, "b": 1.5 / 3, "c": 0.5 / 3}
    )
    assert {r.system: r.score for r in rank(SCORES, "copeland").systems} == {"a": 2.0, "b": 1.0, "c": 0.0}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [2, 4, 5, 7, 16])
def test_systems_of_equal_scores_share_the_mean_of_their_ranks(method: str, count: int) -> None:
    """However many they are, beside a better one and on a task of their own."""
    alike = {f"s{i}": 0.0 for i in range(count)}
    found = rank({"one": {**alike, "best": 1.0}, "other": alike}, method)
    ranks = {r.system: r.rank for r in found.systems}
    assert ranks.pop("best") == 1.0
    assert set(ranks.values()) == {1 + (count + 1) / 2}


def test_plackett_luce_of_two_systems_is_their_log_odds() -> None:
    """Three wins to one are a strength of log 3, but for the shrinkage."""
    from math import log

    found = {r.system: r.score for r in rank({str(i): {"a": float(i < 3), "b": 0.5} for i in range(4)}).systems}
    assert found["a"] - found["b"] == pytest.approx(log(3), rel=0.05)


def test_systems_are_compared_where_both_were_asked() -> None:
    """Missing scores: c was asked only the hard task, where it beats a, who beats b elsewhere."""
    scores = {"easy": {"a": 0.9, "b": 0.8}, "easier": {"a": 0.95, "b": 0.9}, "hard": {"a": 0.2, "c": 0.3}}
    for method in ("copeland", "plackett-luce"):
        assert [r.system for r in rank(scores, method).systems] == ["c", "a", "b"]
    assert {r.system: r.tasks for r in rank(scores).systems} == {"a": 3, "b": 2, "c": 1}
    assert next(r.system for r in rank(scores, "mean").systems) == "b"


NAMES = ["a", "b", "c", "d"]
TABLES = st.lists(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), min_size=2), min_size=1, max_size=4)


@pytest.mark.parametrize("method", METHODS)
@given(TABLES, st.data())
@settings(deadline=None, max_examples=20)
def test_names_and_order_of_tasks_do_not_matter(method: str, tables: list[dict[str, int]], data: st.DataObject) -> None:
    """Whoever is renamed keeps the place, ties included."""
    new = dict(zip(NAMES, data.draw(st.permutations(["w", "x", "y", "z"])), strict=True))
    tasks = {str(i): {n: v / 4 for n, v in t.items()} for i, t in enumerate(tables)}
    renamed = {f"-{i}": {new[n]: v for n, v in t.items()} for i, t in reversed(tasks.items())}
    first = {new[r.system]: r.score for r in rank(tasks, method, resamples=1).systems}
    assert {r.system: r.score for r in rank(renamed, method, resamples=1).systems} == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize("method", ["borda", "copeland", "plackett-luce"])
def test_scales_do_not_matter_to_orders(method: str) -> None:
    """Only the mean looks at distances."""
    squeezed = {name: {s: v**3 for s, v in task.items()} for name, task in SCORES.items()}
    assert rank(SCORES, method) == rank(squeezed, method)


def test_equal_systems_share_a_rank() -> None:
    """Two at the top are both 1.5."""
    for method in METHODS:
        found = rank({"x": {"a": 1.0, "b": 1.0, "c": 0.0}}, method)
        assert [(r.system, r.rank) for r in found.systems] == [("a", 1.5), ("b", 1.5), ("c", 3.0)]


def test_intervals_hold_the_rank_and_repeat() -> None:
    """Over resampled tasks, or given replicates."""
    found = rank(SCORES, "mean", seed=3)
    assert found == rank(SCORES, "mean", seed=3)
    assert all(r.low <= r.rank <= r.high for r in found.systems)
    swapped = {t: {"a": s["b"], "b": s["a"], "c": s["c"]} for t, s in SCORES.items()}
    sure = rank(SCORES, "copeland", replicates=[SCORES] * 5)
    unsure = rank(SCORES, "copeland", replicates=[SCORES, swapped] * 5)
    assert (sure.systems[0].low, sure.systems[0].high) == (1.0, 1.0)
    assert (unsure.systems[0].low, unsure.systems[0].high) == (1.0, 2.0)


def test_who_always_wins_has_a_finite_strength() -> None:
    """Shrinkage keeps it so."""
    found = rank({str(i): {"a": 1.0, "b": 0.0} for i in range(5)}).systems
    assert 1 < found[0].score - found[1].score < 20


def test_nothing_to_rank_is_refused() -> None:
    """And unknown methods are named."""
    with pytest.raises(BadInput, match="nothing to rank"):
        rank({})
    with pytest.raises(UnknownName, match="plackett-luce"):
        rank(SCORES, "elo")
