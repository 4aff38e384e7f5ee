"""What a report compares: pipelines that were asked, or aggregators replayed on recorded samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from ..measures import AtK, SystemPair, at_k, compare_systems, pareto, systems
from ..measures import Point as Priced
from ..outcome import Outcome
from ..records import Recorded, RecordedBank
from .crowds import PANEL
from .data import Pair, Row, System
from .result import PipelineResult, comparisons, summarize

__all__ = ["asked", "compared", "compared_at_equal_tokens", "replayed"]

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


def asked(outcomes: Sequence[Outcome], pipelines: Sequence[str]) -> tuple[System, ...]:
    """A system a pipeline, over the questions that all of them were asked; over its own where there are none."""
    shared = _shared(outcomes, pipelines)
    if shared:
        found = _summed([o for o in outcomes if o.item in shared], pipelines)
    else:
        found = [p for name in pipelines for p in _summed([o for o in outcomes if o.pipeline == name], [name])]
    asked_of = Counter(o.pipeline for o in outcomes)
    return _marked(_system(p, len(shared) or asked_of[p.name]) for p in found)


def _shared(outcomes: Sequence[Outcome], pipelines: Sequence[str]) -> set[str]:
    by_pipeline = [{o.item for o in outcomes if o.pipeline == name} for name in pipelines]
    return set.intersection(*by_pipeline)


def _summed(outcomes: Sequence[Outcome], pipelines: Sequence[str]) -> list[PipelineResult]:
    result = summarize(outcomes, pipelines, task="", tier=None, seed=0, expected=0, pairs=())
    return list(result.pipelines)


def _system(found: PipelineResult, questions: int) -> System:
    return System(
        name=found.name,
        accuracy=found.accuracy,
        questions=questions,
        samples=found.samples,
        tokens=found.tokens,
        prompt_tokens=found.prompt_tokens,
        cost=found.cost,
        seconds=found.seconds,
        pass_1=found.pass_1,
        pass_k=found.pass_k,
        k=found.k,
        tokens_per_second=found.tokens_per_second,
        ensembling=found.ensembling,
        errors=found.errors,
        degraded=found.degraded,
        error=found.error,
    )


def replayed(
    groups: Mapping[str, Sequence[Recorded]], rows: Sequence[Row]
) -> tuple[tuple[System, ...], tuple[Row, ...]]:
    """One sample and plurality of each group as systems (a panel by accuracy), and the rows with their credit."""
    found: list[tuple[System, dict[str, float]]] = []
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
            found.append((_replayed(name, at, single, oracle, k), credit))
    if PANEL in groups:
        found.sort(key=lambda one: -one[0].accuracy.value)
    credited = tuple(replace(row, credit=tuple(credit.get(row.id) for _, credit in found)) for row in rows)
    return _marked(system for system, _ in found), credited


def _replayed(name: str, at: AtK, single: AtK, oracle: AtK, k: int) -> System:
    return System(
        name=name,
        accuracy=at.accuracy,
        questions=len(at.credits),
        samples=at.samples,
        tokens=at.tokens,
        pass_1=single.accuracy,
        pass_k=oracle.accuracy if k > 1 else single.accuracy,
        k=k,
        replayed=True,
    )


def _marked(systems: Iterable[System]) -> tuple[System, ...]:
    """The systems, with those that none beats for the same tokens (or samples) or less marked."""
    these = tuple(systems)
    by_tokens = all(s.tokens for s in these if s.accuracy.value > 0)
    points = [
        Priced(name=s.name, cost=(s.tokens or 0.0) if by_tokens else s.samples, accuracy=s.accuracy.value)
        for s in these
        if s.accuracy.value > 0
    ]
    front = {point.name for point in pareto(points)}
    return tuple(replace(s, best=s.name in front) for s in these)


def compared(systems: Sequence[System], rows: Sequence[Row]) -> tuple[tuple[Pair, ...], str]:
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
    found = comparisons(credit, [row.cluster for row in whole], pairs)
    return tuple(Pair(c.a, c.b, c.difference, c.low, c.high, c.p, c.adjusted) for c in found), "; ".join(
        dict.fromkeys(TESTS[c.test] for c in found)
    )


def compared_at_equal_tokens(
    outcomes: Sequence[Outcome], records: Mapping[str, Sequence[Recorded]], names: Sequence[str]
) -> tuple[Pair, ...]:
    """The pipelines in pairs, the costlier one brought down to the other's tokens where its samples allow it.

    Nothing where that works for no pair, or where there are too many.
    """
    if not 1 < len(names) <= MOST_COMPARED or not _shared(outcomes, names):
        return ()
    shared = _shared(outcomes, names)
    groups = {name: tuple(found) for name, found in records.items()}
    has = set.intersection(*({*r.columns} for found in groups.values() for r in found)) if groups else set()
    bank = RecordedBank("", False, groups, len(shared), frozenset({"samples", *has})) if groups else None
    draws = min(200, max(20, DRAWS // len(shared)))
    ran = systems((o for o in outcomes if o.item in shared and o.pipeline in names), bank, draws=draws)
    order = {name: i for i, name in enumerate(names)}
    pairs = compare_systems(sorted(ran, key=lambda s: order[s.name])).pairs
    return tuple(map(_at_equal_tokens, pairs)) if any(p.equal_tokens for p in pairs) else ()


def _at_equal_tokens(pair: SystemPair) -> Pair:
    note = pair.note
    if pair.scaled and pair.samples and pair.budget:
        note = f"{pair.scaled} with {pair.samples:.1f} samples, {pair.budget:,.0f} tokens"
    elif pair.equal_tokens:
        note = "equal as they ran"
    found = pair.paired
    return Pair(pair.a, pair.b, found.difference, found.low, found.high, found.p, pair.p_holm, note)
