"""Systems compared in pairs at equal tokens, money or seconds: paired, by family, corrected for their number.

A system that takes more samples looks better than one that takes fewer, whatever it does with them. So
the costlier of two is brought down to what the other takes on its own scaling curve; where it has
none, the cheaper one is brought up on its curve; where that does not reach, the pair stands as it ran,
and the result says so. Tokens of models of different price are no common measure: those go by money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt
from statistics import fmean
from typing import Any

from quorate.orchestrator.errors import BadInput, UnknownName

from ..records import Unit
from ..statistics import (
    Detectable,
    PairedComparison,
    Result,
    compare_paired,
    design_effect,
    detectable,
    disagreement,
    holm,
    mean_interval,
)
from .results import Comparison, SystemResult, explain_cuts, mark_fronts
from .systems import System, format_spent

NEAR = 0.01
"""Amounts that differ by less are equal."""


class SystemPair(Result):
    """Two systems on the questions that both were asked."""

    a: str
    b: str
    by: Unit
    """What is made equal."""
    equal: bool
    """Both at `budget`; else as they ran."""
    budget: float | None
    """Of the unit, a question in the mean."""
    scaled: str | None
    """Which one was brought to what the other takes; None if they were equal already."""
    samples: float | None
    """How many samples that one has at the budget, in the mean."""
    accuracy_a: float
    accuracy_b: float
    paired: PairedComparison
    p_holm: float
    """p corrected for all pairs of the comparison."""
    as_run: float
    """Difference at what each took."""
    detectable: Detectable
    """The gain that as many questions, disagreeing as much, show with a power of 0.8."""
    note: str
    """Why the two are not made equal, or what that means here."""

    @property
    def comparison(self) -> Comparison:
        """The difference alone, with what was done to bring the two to the same amount."""
        note = self.note
        if self.scaled and self.samples and self.budget:
            note = f"{self.scaled} with {self.samples:.1f} samples, {format_spent(self.budget, self.by)}"
        elif self.equal:
            note = "equal as they ran"
        found = self.paired
        return Comparison(
            a=self.a,
            b=self.b,
            difference=found.difference,
            low=found.low,
            high=found.high,
            p=found.p,
            adjusted=self.p_holm,
            test=found.test,
            note=note,
        )


class Comparisons(Result):
    """Everything compared on one task."""

    questions: int
    """Asked of any system."""
    systems: tuple[SystemResult, ...]
    pairs: tuple[SystemPair, ...]
    notes: tuple[str, ...]
    """Candidates cut off at their limit, pairs that share no question, and systems that were not asked all of them."""

    def as_json(self) -> dict[str, Any]:
        """Of the systems what can be told of recorded ones too."""
        known = {"name", "questions", "accuracy", "tokens", "cost", "seconds", "cut", "fronts"}
        return self.model_dump(mode="json") | {
            "systems": [s.model_dump(mode="json", include=known) for s in self.systems]
        }


def compare_systems(
    systems: Sequence[System],
    *,
    by: Unit = "tokens",
    equal: bool = True,
    baseline: str | None = None,
    seed: int = 0,
) -> Comparisons:
    """All pairs, or those with the baseline, in the given order.

    Args:
        by: what the two are brought to the same amount of.
        equal: bring them there; else compare them as they ran.
        baseline: the name of a system, over which the differences are gains.

    Raises:
        BadInput: there is no system.
        UnknownName: no system has the baseline's name.
    """
    if not systems:
        raise BadInput("nothing to compare: no system was asked anything")
    if baseline is not None and baseline not in (names := [s.name for s in systems]):
        raise UnknownName("system", baseline, names)
    compared, notes = [], []
    for a, b in combinations(systems, 2):
        if baseline is not None and baseline not in (a.name, b.name):
            continue
        first, second = (b, a) if a.name == baseline else (a, b)
        if items := [item for item in first.played if item in second.played]:
            compared.append(_pair(first, second, items, by if equal else None, seed))
        else:
            notes.append(f"{first.name} and {second.name} were asked no common question")
    asked = {item for system in systems for item in system.played}
    if any(len(system.played) < len(asked) for system in systems):
        notes.append("not every system was asked every question: pairs are over those that both were asked")
    measured = mark_fronts(_measure(system) for system in systems)
    corrected = holm([pair.paired.p for pair in compared])
    return Comparisons(
        questions=len(asked),
        systems=measured,
        pairs=tuple(p.model_copy(update={"p_holm": q}) for p, q in zip(compared, corrected, strict=True)),
        notes=(*explain_cuts(measured), *notes),
    )


def _measure(system: System) -> SystemResult:
    played, spent = list(system.played.values()), system.spent
    return SystemResult(
        name=system.name,
        questions=len(played),
        accuracy=mean_interval([p.credit for p in played], clusters=[p.cluster for p in played]),
        tokens=spent.tokens,
        cost=spent.money,
        seconds=spent.seconds,
        cut=sum(p.cut for p in played) / max(1, sum(p.candidates for p in played)),
    )


UNKNOWN: dict[Unit, str] = {
    "tokens": "no tokens were recorded",
    "money": "not every answer has a price: models have them in quorate.yaml",
    "seconds": "no times were recorded",
}
"""Why there is nothing to make equal."""


@dataclass(frozen=True)
class _Meeting:
    """Two systems where they are compared."""

    a: Sequence[float]
    b: Sequence[float]
    note: str = ""
    budget: float | None = None
    scaled: str | None = None
    samples: float | None = None


def _pair(a: System, b: System, items: Sequence[str], by: Unit | None, seed: int) -> SystemPair:
    ran = _Meeting([a.played[i].credit for i in items], [b.played[i].credit for i in items], "as they ran")
    met = ran if by is None else _meet(a, b, items, ran, by)
    families = [a.played[item].cluster for item in items]
    gaps = [x - y for x, y in zip(met.a, met.b, strict=True)]
    apart = min(1.0, disagreement(met.a, met.b))
    most = apart if {*met.a, *met.b} <= {0, 1} else sqrt(apart)
    return SystemPair(
        a=a.name,
        b=b.name,
        by=by or "tokens",
        equal=met.budget is not None,
        budget=met.budget,
        scaled=met.scaled,
        samples=met.samples,
        accuracy_a=fmean(met.a),
        accuracy_b=fmean(met.b),
        paired=compare_paired(met.a, met.b, families, seed=seed),
        p_holm=1.0,
        as_run=fmean(ran.a) - fmean(ran.b),
        detectable=detectable(len(items), apart, design_effect=design_effect(gaps, families), most=most),
        note=met.note,
    )


def _meet(a: System, b: System, items: Sequence[str], ran: _Meeting, by: Unit) -> _Meeting:
    """The two at the same amount: one of them scaled, or as they ran and why."""
    cost_a, cost_b = _cost(a, items, by), _cost(b, items, by)
    if cost_a is None or cost_b is None:
        return replace(ran, note=f"as they ran: {UNKNOWN[by]}")
    if abs(cost_a - cost_b) <= NEAR * max(cost_a, cost_b):
        return replace(ran, note="", budget=max(cost_a, cost_b))
    if a.scaling is not None and a.scaling is b.scaling:
        return replace(ran, note=f"as they ran: one rule over one model's samples at two sizes, equal at equal {by}")
    cheap, dear = ((a, cost_a), (b, cost_b)) if cost_a < cost_b else ((b, cost_b), (a, cost_a))
    reasons = []
    for system, budget in ((dear[0], cheap[1]), (cheap[0], dear[1])):
        try:
            marks, samples = _scale(system, items, budget, by)
        except BadInput as error:
            reasons.append(f"{system.name} cannot be brought to {format_spent(budget, by)}: {error}")
            continue
        met = replace(ran, note="", budget=budget, scaled=system.name, samples=samples)
        return replace(met, a=marks) if system is a else replace(met, b=marks)
    return replace(ran, note="as they ran: " + "; ".join(reasons))


def _scale(system: System, items: Sequence[str], budget: float, by: Unit) -> tuple[list[float], float]:
    if system.scaling is None:
        raise BadInput(system.fixed)
    return system.scaling.at_budget(items, budget, by)


def _cost(system: System, items: Sequence[str], by: Unit) -> float | None:
    spent = [system.played[item].spent.by(by) for item in items]
    known = [tokens for tokens in spent if tokens is not None]
    return fmean(known) if len(known) == len(spent) else None
