"""Systems to compare: how each did on each question, and what it would have done with fewer or more tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from ..outcome import Outcome
from ..ranking import RESAMPLES, Scores
from ..records import PANEL, POOLED, AnswerRecord, RecordedBank, Spent, Unit
from ..replay.contract import Replayable
from ..replay.rules import find_rule, replay_rules
from ..replay.subsets import DRAWS
from ..statistics import Bootstrap, families
from .curves import AtK, at_k

NAME = re.compile(r"(?P<rule>[^/@]+)(?:@\d+)?/(?P<model>.+)")
RULES = {"majority": "plurality"}
"""Pipelines that the replay knows by another name; the others have their own, drawn in waves where it has that."""


def format_spent(value: float, unit: Unit) -> str:
    """An amount in words: `1,200 tokens`, `0.0031 of money`, `2.50 seconds`."""
    match unit:
        case "tokens":
            return f"{value:,.0f} tokens"
        case "money":
            return f"{value:.3g} of money"
        case "seconds":
            return f"{value:,.2f} seconds"


@dataclass(frozen=True)
class Played:
    """How a system did on one question."""

    credit: float
    """1 right, 0 wrong, or the chance of being right."""
    spent: Spent = field(default_factory=Spent)
    cluster: str = ""
    """Family of the question."""
    cut: int = 0
    """Candidates that ran into the limit on their length."""
    candidates: int = 0


@dataclass(frozen=True)
class Scaling:
    """A rule over recorded samples of one model, at any number of them."""

    rule: Replayable
    records: Mapping[str, AnswerRecord]
    """By question."""
    seed: int = 0
    draws: int = DRAWS
    _known: dict[tuple[tuple[str, ...], int], AtK] = field(default_factory=dict, repr=False, compare=False)

    def at_budget(self, items: Sequence[str], budget: float, unit: Unit = "tokens") -> tuple[list[float], float]:
        """Chance of being right on each of these questions at this mean of a unit, and the mean number of samples.

        Between two numbers of samples it is drawn which is used, so that the mean comes out.
        A question that was never sampled (each attempt failed) is wrong and costs nothing.

        Raises:
            BadInput: the samples take too little or too much, or nobody recorded what they take.
        """
        held = tuple(item for item in items if item in self.records)
        if not held:
            raise BadInput("the bank has no samples of these questions")
        most, part = max(len(self.records[item]) for item in held), len(held) / len(items)
        low, high = 1, most

        def takes(k: int) -> float:
            return self._spent(held, k, unit) * part

        if budget < takes(1) * (1 - 1e-6):
            raise BadInput(f"one sample takes {format_spent(takes(1), unit)} already")
        if budget > takes(most) * (1 + 1e-6):
            raise BadInput(f"all {most} recorded samples take {format_spent(takes(most), unit)}; sample more")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if takes(middle) <= budget else (low, middle)
        first, last = self._at(held, low), self._at(held, high)
        gap = takes(high) - takes(low)
        share = min(max((budget - takes(low)) / gap, 0.0), 1.0) if gap > 0 else 0.0
        both = zip(held, first.credits, last.credits, strict=True)
        marks = {item: (1 - share) * a + share * b for item, a, b in both}
        return [marks.get(item, 0.0) for item in items], (1 - share) * first.samples + share * last.samples

    def _spent(self, items: tuple[str, ...], k: int, unit: Unit) -> float:
        found = Spent.mean(self._at(items, k).spent).by(unit)
        if found is None:
            raise BadInput(f"the bank has no {unit} of its samples")
        return found

    def _at(self, items: tuple[str, ...], k: int) -> AtK:
        if (items, k) not in self._known:
            chosen = [self.records[item] for item in items]
            self._known[items, k] = at_k(chosen, self.rule, k, seed=self.seed, draws=self.draws)
        return self._known[items, k]


@dataclass(frozen=True)
class System:
    """What is compared: a pipeline as it ran, or a rule over recorded samples."""

    name: str
    played: Mapping[str, Played]
    """By question."""
    scaling: Scaling | None = None
    """What it does at other numbers of samples; None where that is not known."""
    fixed: str = ""
    """Why it is not."""

    @property
    def spent(self) -> Spent:
        """A question in the mean; None where some have none."""
        return Spent.mean(p.spent for p in self.played.values()) if self.played else Spent()


def list_systems(
    outcomes: Iterable[Outcome],
    records: RecordedBank | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[System]:
    """The pipelines of these outcomes, in order of appearance, with scaling where the bank allows it.

    A pipeline `RULE[@N]/MODEL` scales by replaying its rule on the samples of that model, and a bare
    `MODEL` by plurality over its samples: self-consistency, the plainest use of more tokens.
    """
    by_name: dict[str, dict[str, Played]] = {}
    for o in outcomes:
        spent = Spent(float(o.tokens), o.cost, o.seconds)
        by_name.setdefault(o.pipeline, {})[o.item] = Played(float(o.correct), spent, o.cluster, o.cut, len(o.samples))
    found_scalings: dict[str, Scaling | str] = {}
    made = []
    for name, played in by_name.items():
        scaling = _find_scaling(name, records, seed, draws, found_scalings)
        kept = None if isinstance(scaling, str) else scaling
        made.append(System(name, played, kept, scaling if isinstance(scaling, str) else ""))
    return made


def best_first(some: Sequence[System], by: Unit) -> list[System]:
    """By falling accuracy; of equals the one that takes less."""

    def place(system: System) -> tuple[float, float]:
        marks = [played.credit for played in system.played.values()]
        takes = system.spent.by(by)
        return -fmean(marks) if marks else 0.0, inf if takes is None else takes

    return sorted(some, key=place)


def recorded_systems(bank: RecordedBank, *, seed: int = 0) -> list[System]:
    """Of a bank without outcomes: each model's single answer and the plurality of all, or a panel's."""
    if bank.panel:
        return _panel_systems(bank.groups[PANEL])
    made = []
    for model, group in bank.groups.items():
        if model == POOLED:
            continue
        scaling = Scaling(replay_rules()["plurality"], {r.id: r for r in group}, seed)
        most = max(map(len, group))
        for name, k in ((model, 1), (f"majority@{most}/{model}", most)):
            if k == 1 or most > 1:
                made.append(System(name, _credit_by_item(at_k(group, "plurality", k), group), scaling))
    return made


def _panel_systems(group: Sequence[AnswerRecord]) -> list[System]:
    played: dict[str, dict[str, Played]] = {}
    for record in group:
        cluster = str(record.facts.get("cluster", ""))
        for place, (voter, right) in enumerate(zip(record.voters, record.right, strict=True)):
            played.setdefault(voter, {})[record.id] = Played(float(right), record.take([place]).spend(1), cluster)
    vote = _credit_by_item(at_k(group, "plurality", max(map(len, group))), group)
    why = "it has one answer a question"
    named = [System(name, by_item, None, why) for name, by_item in sorted(played.items())]
    return [*named, System("plurality of all", vote, None, "a panel has one answer a model")]


def _credit_by_item(point: AtK, group: Sequence[AnswerRecord]) -> dict[str, Played]:
    return {
        record.id: Played(credit, spent, str(record.facts.get("cluster", "")))
        for record, credit, spent in zip(group, point.credits, point.spent, strict=True)
    }


def _find_scaling(
    name: str, bank: RecordedBank | None, seed: int, draws: int, known: dict[str, Scaling | str]
) -> Scaling | str:
    """What scales the pipeline of this name, shared by those of one rule and model; or why nothing does."""
    if bank is None or bank.panel:
        return "the bank has no repeated samples"
    parts = NAME.fullmatch(name)
    if name in bank.groups or parts is None:
        rule, model = "plurality", name
    else:
        rule, model = RULES.get(parts["rule"], parts["rule"]), parts["model"]
        rule = f"{rule}-waves" if f"{rule}-waves" in replay_rules() else rule
    if model not in bank.groups:
        return f"the bank has no samples of {model!r} by itself"
    if rule not in replay_rules():
        return f"{rule!r} cannot be replayed on recorded samples"
    key = f"{rule}\n{model}"
    if key not in known:
        try:
            known[key] = Scaling(find_rule(rule, bank), {r.id: r for r in bank.groups[model]}, seed, draws)
        except BadInput as error:
            known[key] = str(error)
    return known[key]


def task_scores(tasks: Mapping[str, Sequence[System]]) -> Scores:
    """Of each task the accuracy of each system that was asked."""
    return {task: {s.name: fmean(p.credit for p in s.played.values()) for s in some} for task, some in tasks.items()}


def resampled_scores(
    tasks: Mapping[str, Sequence[System]], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Scores]:
    """The same so many times, each with the questions of every task drawn anew, in families.

    Systems of one task that were asked the same questions get the same ones.
    """
    drawn = {task: {s.name: _means(s, seed, resamples) for s in some} for task, some in tasks.items()}
    return [
        {task: {n: means[i] for n, means in some.items()} for task, some in drawn.items()} for i in range(resamples)
    ]


def _means(system: System, seed: int, resamples: int) -> list[float]:
    items = sorted(system.played)
    units = families([system.played[item].cluster for item in items], len(items))
    means = Bootstrap(units, seed, resamples).means([system.played[item].credit for item in items])
    return [float(mean) for mean in means]
