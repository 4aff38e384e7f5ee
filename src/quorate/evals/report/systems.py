"""What a report compares: pipelines that were asked, or aggregators replayed on recorded samples.

The samples of one model, or the answers of a panel: how they scale and how much they agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from ..measures import (
    AtK,
    Comparison,
    Curve,
    SystemResult,
    agreement,
    at_k,
    calibration,
    compare_pairs,
    compare_systems,
    curve,
    headroom,
    list_systems,
    mark_fronts,
    measure_effective_votes,
    measure_pipeline,
    sizes,
    tally_confidence,
)
from ..outcome import Outcome
from ..records import AnswerRecord, RecordedBank
from .data import QuestionRow, SamplePool

MOST_COMPARED = 8
"""Systems of which all pairs are compared; of more, each is compared with the best."""
DRAWS = 250_000
"""Subsets drawn for an equal-token comparison, over all questions together; 20 to 200 a question."""
MOST_REPLAYED = 60
"""Systems in a summary of recorded samples."""
TESTS = {
    "mcnemar": "exact McNemar test, two-sided",
    "exchange": "exchange test, two-sided: answers of the two are swapped question by question, or family by family",
}


def pipeline_results(outcomes: Sequence[Outcome], pipelines: Sequence[str]) -> tuple[SystemResult, ...]:
    """A system a pipeline, over the questions that all of them were asked; over its own where there are none."""
    shared = _shared_items(outcomes, pipelines)
    of = {name: [o for o in outcomes if o.pipeline == name and (not shared or o.item in shared)] for name in pipelines}
    return mark_fronts(measure_pipeline(name, of[name]) for name in pipelines)


def _shared_items(outcomes: Sequence[Outcome], pipelines: Sequence[str]) -> set[str]:
    by_pipeline = [{o.item for o in outcomes if o.pipeline == name} for name in pipelines]
    return set.intersection(*by_pipeline)


def recorded_results(
    groups: Mapping[str, Sequence[AnswerRecord]], rows: Sequence[QuestionRow]
) -> tuple[tuple[SystemResult, ...], tuple[QuestionRow, ...]]:
    """One sample and plurality of each group as systems (a panel by accuracy), and the rows with their credit."""
    found: list[tuple[SystemResult, dict[str, float]]] = []
    for group, records in groups.items():
        if len(found) >= MOST_REPLAYED:
            break
        most = max(map(len, records))
        single, vote, oracle = (at_k(records, *how) for how in (("pass", 1), ("plurality", most), ("pass", most)))
        ways = [(f"majority@{most} of {group}", vote, most)] if most > 1 else [(group, vote, 1)]
        if most > 1 and group != PANEL:
            ways.insert(0, (f"one sample of {group}", single, 1))
        for name, at, k in ways:
            credit = dict(zip((r.id for r in records), at.credits, strict=True))
            found.append((_recorded_result(name, at, single, oracle, k), credit))
    if PANEL in groups:
        found.sort(key=lambda one: -one[0].accuracy.value)
    credited = tuple(replace(row, credit=tuple(credit.get(row.id) for _, credit in found)) for row in rows)
    return mark_fronts(system for system, _ in found), credited


def _recorded_result(name: str, at: AtK, single: AtK, oracle: AtK, k: int) -> SystemResult:
    return SystemResult(
        name=name,
        accuracy=at.accuracy,
        questions=len(at.credits),
        samples=at.samples,
        tokens=at.tokens,
        cost=at.cost,
        seconds=at.seconds,
        pass_1=single.accuracy,
        pass_k=oracle.accuracy if k > 1 else single.accuracy,
        k=k,
        replayed=True,
    )


def compare_all(systems: Sequence[SystemResult], rows: Sequence[QuestionRow]) -> tuple[tuple[Comparison, ...], str]:
    """The systems in pairs over the questions that all of them answered, and the words of the test."""
    whole = [row for row in rows if None not in row.credit]
    if len(systems) < 2 or not whole:
        return (), TESTS["mcnemar"]
    names = [s.name for s in systems]
    pairs = list(combinations(names, 2))
    if len(systems) > MOST_COMPARED:
        best = max(systems, key=lambda s: s.accuracy.value).name
        pairs = [(best, name) for name in names if name != best]
    credit = {name: [row.credit[i] or 0.0 for row in whole] for i, name in enumerate(names)}
    found = compare_pairs(credit, [row.cluster for row in whole], pairs)
    return found, "; ".join(dict.fromkeys(TESTS[c.test] for c in found))


def compare_at_equal_tokens(
    outcomes: Sequence[Outcome], records: Mapping[str, Sequence[AnswerRecord]], names: Sequence[str]
) -> tuple[Comparison, ...]:
    """The pipelines in pairs, the costlier one brought down to the other's tokens where its samples allow it.

    Nothing where that works for no pair, or where there are too many.
    """
    if not 1 < len(names) <= MOST_COMPARED or not _shared_items(outcomes, names):
        return ()
    shared = _shared_items(outcomes, names)
    groups = {name: tuple(found) for name, found in records.items()}
    has = set.intersection(*({*r.columns} for found in groups.values() for r in found)) if groups else set()
    bank = RecordedBank("", False, groups, len(shared), frozenset({"samples", *has})) if groups else None
    draws = min(200, max(20, DRAWS // len(shared)))
    ran = list_systems((o for o in outcomes if o.item in shared and o.pipeline in names), bank, draws=draws)
    order = {name: i for i, name in enumerate(names)}
    pairs = compare_systems(sorted(ran, key=lambda s: order[s.name])).pairs
    return tuple(pair.comparison for pair in pairs) if any(pair.equal for pair in pairs) else ()


PANEL = "panel of all models"
_NAMES = {"plurality": "majority@k", "pass": "pass@k (any right)"}
"""What the report calls a rule of the replay."""
MOST_GROUPS = 16
"""Models whose curves are shown, those with the most samples first."""
PLENTY = 2
"""Samples a question from which a curve has two ends."""


def scaling_curves(groups: Mapping[str, Sequence[AnswerRecord]]) -> tuple[Curve, ...]:
    """Of every group with several samples a question; ties of groups in their own order."""
    several = {name: records for name, records in groups.items() if max(map(len, records)) >= PLENTY}
    chosen = sorted(several, key=lambda name: -sum(map(len, several[name])))[:MOST_GROUPS]
    return tuple(_curve(name, several[name], rule) for name in chosen for rule in _NAMES)


def _curve(group: str, records: Sequence[AnswerRecord], rule: str) -> Curve:
    found = curve(records, rule, sizes(max(map(len, records))))
    # What is known of single questions would be most of a report.
    points = tuple(point.model_copy(update={"credits": (), "spent": ()}) for point in found.points)
    return found.model_copy(update={"group": group, "points": points})


def name_curve(found: Curve) -> str:
    """What the report calls it."""
    return _NAMES.get(found.aggregator, found.aggregator)


def is_ceiling(found: Curve) -> bool:
    """Whether it is no system: what a perfect choice among the samples would reach."""
    return found.aggregator == "pass"


def describe_curve(found: Curve) -> dict[str, Any]:
    """What the charts of reports and of the server's page draw of it."""
    return {
        "group": found.group,
        "name": name_curve(found),
        "ceiling": is_ceiling(found),
        "points": [
            {
                "k": p.k,
                "tokens": p.tokens,
                "cost": p.cost,
                "seconds": p.seconds,
                "accuracy": [p.accuracy.value, p.accuracy.low, p.accuracy.high],
            }
            for p in found.points
        ],
    }


def describe_system(system: SystemResult) -> dict[str, Any]:
    """The same of a system."""
    accuracy = system.accuracy
    spent = {name: getattr(system, name) for name in ("tokens", "cost", "seconds", "samples")}
    return {"name": system.name, "accuracy": [accuracy.value, accuracy.low, accuracy.high], **spent}


def sample_pools(groups: Mapping[str, Sequence[AnswerRecord]]) -> tuple[SamplePool, ...]:
    """Every group by its figures."""
    return tuple(_sample_pool(name, records) for name, records in groups.items())


def _sample_pool(name: str, records: Sequence[AnswerRecord]) -> SamplePool:
    margin, agreed = headroom(records), agreement(records)
    several = margin.k >= PLENTY
    sure = calibration(*tally_confidence(records)) if several else None
    votes = measure_effective_votes(records) if several else None
    return SamplePool(
        name=name,
        questions=len(records),
        samples=sum(map(len, records)),
        k=margin.k,
        single=margin.single,
        majority=margin.chosen if several else None,
        oracle=margin.oracle if several else None,
        agreement=agreed.pair_agreement,
        error_agreement=agreed.error_agreement,
        effective=votes.votes if votes else None,
        ece=sure.ece if sure else None,
        brier=sure.brier if sure else None,
    )
