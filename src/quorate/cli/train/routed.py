"""Cascades and routers on questions that they have not seen, beside what is simpler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from quorate.aggregators.routing.calibration import Taken
from quorate.aggregators.routing.router_training import RoutedPick
from quorate.evals.statistics import PairedComparison, Result, compare_paired, mean_interval
from quorate.evals.statistics.base import LEVEL, Estimate


class RoutedSystem(Result):
    """One way to answer these questions."""

    name: str
    accuracy: Estimate
    cost: float | None
    """Money a question in the mean; None where no price is known."""
    seconds: float | None = None
    gain: PairedComparison | None = None
    """Of what was trained over it; None for that itself."""


class CascadeMeasures(Result):
    """A cascade out of fold."""

    questions: int
    systems: tuple[RoutedSystem, ...]
    """The cascade, its stages alone, and as many questions for each stage as it has, at random."""
    shares: tuple[float, ...]
    """Part of the questions that each stage answers."""
    asked: tuple[float, ...]
    """Part of the questions that each stage is asked."""
    verdict: str


def measure_cascade(taken: Sequence[Taken], *, seed: int = 0) -> CascadeMeasures:
    """Everything on the questions of these.

    Args:
        taken: where the cascade stopped for each question, calibrated on others.
        seed: of the resamples.
    """
    stages, groups = len(taken[0].question.stages), [t.question.group for t in taken]
    right = [t.right for t in taken]
    shares = tuple(fmean(t.stage == stage for t in taken) for stage in range(stages))
    asked = tuple(fmean(stage in t.asked for t in taken) for stage in range(stages))
    alone = [[t.question.stages[stage].right for t in taken] for stage in range(stages)]
    mixed = [sum(share * each for share, each in zip(shares, row, strict=True)) for row in zip(*alone, strict=True)]

    def system(name: str, marks: Sequence[float], cost: float | None, *, own: bool = False) -> RoutedSystem:
        gain = None if own else compare_paired(right, marks, groups, seed=seed)
        return RoutedSystem(name=name, accuracy=mean_interval(marks, clusters=groups), cost=cost, gain=gain)

    costs = [_mean([t.question.stages[stage].cost for t in taken]) for stage in range(stages)]
    names = [f"stage {stage + 1} alone" for stage in range(stages - 1)] + ["the last stage alone"]
    systems = [system("cascade", right, _mean([t.cost for t in taken]), own=True)]
    systems += [system(name, marks, cost) for name, marks, cost in zip(names, alone, costs, strict=True)]
    known = [cost for cost in costs if cost is not None]
    mixture = sum(s * c for s, c in zip(shares, known, strict=True)) if len(known) == stages else None
    systems.append(system("as often, at random", mixed, mixture))
    verdict = _judge(systems, shares)
    return CascadeMeasures(questions=len(taken), systems=tuple(systems), shares=shares, asked=asked, verdict=verdict)


def _judge(systems: Sequence[RoutedSystem], shares: Sequence[float]) -> str:
    """Whether it is worth it: better than asking at random as often, and what it costs against the last stage."""
    last, chance = systems[-2].gain, systems[-1].gain
    if shares[-1] == 1:
        return "not worth it: no answer before the last stage is sure enough, so the last one is asked every question"
    assert last is not None
    assert chance is not None
    against = f"{last.difference:+.4f} ({last.low:+.4f} to {last.high:+.4f}) against the last stage alone"
    if not (chance.difference > 0 and chance.p < 1 - LEVEL):
        return f"not worth it: not resolved to be better than asking as often at random; {against}"
    return f"worth it where the last stage is dear: it answers {100 * shares[-1]:.1f} % of the questions, {against}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


class RouterMeasures(Result):
    """A router out of fold."""

    questions: int
    systems: tuple[RoutedSystem, ...]
    """The router, what it must beat, and each model alone."""
    shares: Mapping[str, float]
    """Part of the questions that each model is sent."""
    chosen: float
    """Part of the questions whose router chose at all, and was not the best single model by its guard."""
    oracle: float
    """Part of the questions that some model answers right."""
    brier: float
    """Mean squared error of the chances, over all models."""
    calibration_error: float
    """Mean distance of a chance from the part that is right, over ten bins."""
    verdict: str


def measure_router(picks: Sequence[RoutedPick], *, seed: int = 0) -> RouterMeasures:
    """Everything on the questions of these picks.

    Args:
        picks: where a router that has not seen the question sends it.
        seed: of the resamples.
    """
    groups, names = [p.question.group for p in picks], sorted(picks[0].question.right)
    right = [pick.right for pick in picks]

    def system(name: str, marks: Sequence[float], asked: Sequence[Mapping[str, float]]) -> RoutedSystem:
        return RoutedSystem(
            name=name,
            accuracy=mean_interval(marks, clusters=groups),
            cost=_spent([pick.question.money for pick in picks], asked),
            seconds=_spent([pick.question.seconds for pick in picks], asked),
            gain=None if name == ROUTER else compare_paired(right, marks, groups, seed=seed),
        )

    systems = [system(ROUTER, right, [{pick.chosen: 1.0} for pick in picks])]
    systems.append(system(RIVAL, [pick.rival_right for pick in picks], [pick.rival for pick in picks]))
    systems += [system(n, [pick.question.right[n] for pick in picks], [{n: 1.0}] * len(picks)) for n in names]
    chances = [(pick.chances[name], pick.question.right[name]) for pick in picks for name in names]
    return RouterMeasures(
        questions=len(picks),
        systems=tuple(systems),
        shares={name: fmean(pick.chosen == name for pick in picks) for name in names},
        chosen=fmean(pick.routed for pick in picks),
        oracle=fmean(max(pick.question.right.values()) for pick in picks),
        brier=fmean((chance - mark) ** 2 for chance, mark in chances),
        calibration_error=_calibration_error(chances),
        verdict=_judge_router(systems[1], fmean(pick.routed for pick in picks)),
    )


ROUTER, RIVAL = "router", "without looking"


def _judge_router(rival: RoutedSystem, chosen: float) -> str:
    gain = rival.gain
    assert gain is not None
    words = (
        f"{gain.difference:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, p = {gain.p:.2g}) over the best without looking"
    )
    if chosen > 0.5 and gain.difference > 0 and gain.p < 1 - LEVEL:
        return f"worth it: {words} at the question"
    return f"not worth it: not resolved to be better, {words}; the best single model is the route"


def _spent(rows: Sequence[Mapping[str, float | None]], asked: Sequence[Mapping[str, float]]) -> float | None:
    """Of the models in these shares, a question in the mean."""
    each = [
        None if any(row.get(name) is None for name in shares) else sum(s * (row[n] or 0.0) for n, s in shares.items())
        for row, shares in zip(rows, asked, strict=True)
    ]
    return _mean(each)


def _calibration_error(chances: Sequence[tuple[float, float]]) -> float:
    bins: dict[int, list[tuple[float, float]]] = {}
    for chance, mark in chances:
        bins.setdefault(min(9, int(10 * chance)), []).append((chance, mark))
    return sum(abs(fmean(c for c, _ in b) - fmean(m for _, m in b)) * len(b) for b in bins.values()) / len(chances)
