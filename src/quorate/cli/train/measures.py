"""A selector on questions it has not seen, beside what needs no labels or only a few."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from quorate.aggregators.learned.selector import Example, Pick
from quorate.aggregators.votes import Ballot, LabelFree
from quorate.aggregators.votes.arrays import Votes
from quorate.evals.statistics import PairedComparison, Result, compare_paired, mean_interval
from quorate.evals.statistics.base import Estimate

SELECTOR = "selector"


class Rival(Result):
    """Another way to choose, on the same questions."""

    name: str
    accuracy: Estimate
    gain: PairedComparison | None = None
    """Of the selector over it; None for the selector itself."""


class Abstention(Result):
    """What a selector that may abstain did on questions it has not seen."""

    risk: float
    """The part of all questions that it was allowed to answer wrongly."""
    answered: float
    """Part of the questions."""
    wrong: Estimate
    """Part of all questions that it answered wrongly."""


class SelectorMeasures(Result):
    """Out-of-fold accuracy of everything."""

    questions: int
    clusters: int
    """Of questions made alike; as many as questions where none are."""
    sets: int
    systems: tuple[Rival, ...]
    brier: float
    """Mean squared error of the winner's probability."""
    calibration_error: float
    """Mean distance of the winner's probability from the part that is right, over ten bins."""
    oracle: float
    """Part of the sets in which any answer is right."""
    abstaining: Abstention | None = None


Chosen = list[int | None]
"""The class chosen in every example."""


def measure_selector(picks: Sequence[Pick], *, seed: int = 0, risk: float | None = None) -> SelectorMeasures:
    """Everything on the examples of these picks; ties are drawn by the seed.

    Raises:
        MissingExtra: the libraries of statistics are not installed.
    """
    examples = [pick.example for pick in picks]
    groups = [example.group for example in examples]
    several = len(set(groups)) < len(groups)
    ours = _right(examples, [pick.chosen for pick in picks])
    found = [
        Rival(
            name=name,
            accuracy=mean_interval(right, clusters=groups if several else None),
            gain=compare_paired(ours, right, groups if several else None, seed=seed),
        )
        for name, chosen in _rivals(picks, seed).items()
        for right in [_right(examples, chosen)]
    ]
    own = Rival(name=SELECTOR, accuracy=mean_interval(ours, clusters=groups if several else None))
    return SelectorMeasures(
        questions=len({example.id for example in examples}),
        clusters=len(set(groups)),
        sets=len(examples),
        systems=(*found, own),
        brier=fmean((pick.probability - pick.right) ** 2 for pick in picks),
        calibration_error=_calibration_error(picks),
        oracle=fmean(any(example.labels.values()) for example in examples),
        abstaining=_measure_abstaining(picks, risk),
    )


def _right(examples: Sequence[Example], chosen: Chosen) -> list[float]:
    return [float(example.credit(number)) for example, number in zip(examples, chosen, strict=True)]


def _rivals(picks: Sequence[Pick], seed: int) -> dict[str, Chosen]:
    """What the others choose, where the examples have what they need."""
    examples = [pick.example for pick in picks]

    def by(weigh: Callable[[Example], Mapping[int, float]]) -> Chosen:
        return [example.choose(weigh(example), seed) for example in examples]

    found = {"plurality": by(lambda e: {number: float(len(places)) for number, places in e.view.members.items()})}
    if all(len(set(e.view.sources)) == len(e.view.sources) for e in examples):
        ballots = [Ballot(e.view.classes, e.view.sources) for e in examples]
        votes = Votes.of(ballots)
        weighed = {"dawid-skene": votes.list_weights(votes.one_coin()), "label-free": LabelFree().fit_weights(ballots)}
        for name, weights in weighed.items():
            found[name] = [e.choose(w, seed) for e, w in zip(examples, weights, strict=True)]
        found["best single, of the training folds"] = _best_single(picks)
    if all(any(s is not None for s in e.view.scores) for e in examples):
        found["highest reward"] = by(_best_rewards)
    return found


def _best_single(picks: Sequence[Pick]) -> Chosen:
    """For each fold the answers of the model that is right most often on the other folds."""
    marks: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for pick in picks:
        view = pick.example.view
        for source, number in zip(view.sources, view.classes, strict=True):
            marks[source][pick.fold].append(pick.example.credit(number))

    def hits(source: str, fold: int) -> int:
        return sum(sum(right) for other, right in marks[source].items() if other != fold)

    best = {fold: max(sorted(marks), key=lambda source: hits(source, fold)) for fold in {pick.fold for pick in picks}}
    said = [dict(zip(p.example.view.sources, p.example.view.classes, strict=True)) for p in picks]
    return [classes.get(best[pick.fold]) for pick, classes in zip(picks, said, strict=True)]


def _best_rewards(example: Example) -> dict[int, float]:
    """The highest score of each class, from 1 up so that all are weights."""
    scores = example.view.scores
    known = [score for score in scores if score is not None]
    return {
        number: 1 + max((s for i in places if (s := scores[i]) is not None), default=min(known)) - min(known)
        for number, places in example.view.members.items()
    }


def _calibration_error(picks: Sequence[Pick]) -> float:
    bins: dict[int, list[Pick]] = defaultdict(list)
    for pick in picks:
        bins[min(9, int(10 * pick.probability))].append(pick)
    gaps = (abs(sum(p.probability - p.right for p in group)) for group in bins.values())
    return sum(gaps) / len(picks)


def _measure_abstaining(picks: Sequence[Pick], risk: float | None) -> Abstention | None:
    if risk is None:
        return None
    wrong = [float(pick.answered and not pick.right) for pick in picks]
    return Abstention(
        risk=risk,
        answered=fmean(pick.answered for pick in picks),
        wrong=mean_interval(wrong, clusters=[pick.example.group for pick in picks]),
    )
