"""Whether discounting voters that err alike helps a vote: families, correlated errors, copies.

    python benchmarks/panels.py BANK... [--panels 12] [--seed 1]

BANK is a panel, as `quorate eval replay` reads it. Panels of models are drawn at random, with half a family in them,
and with one model under three names; prints a table of accuracies and of differences from plurality on the same panels,
with 95 % bootstrap intervals over questions. What learns from grades learns on every other question and is measured
on the rest.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quorate.aggregators.votes import Ballot, OneCoin, Plurality, Weights, sum_by_class
from quorate.aggregators.votes.abilities import LabelFree, fit_votes
from quorate.aggregators.votes.arrays import Votes
from quorate.aggregators.votes.copies import find_copies, merge_copies
from quorate.evals.answer_files import read_bank
from quorate.evals.judging import family_of
from quorate.evals.measures import measure_effective_votes
from quorate.evals.records import AnswerRecord
from quorate.evals.statistics import bootstrap_interval

Records = Sequence[AnswerRecord]
Vote = Callable[[Records, Mapping[str, str]], list[Weights]]


def ballots(records: Records) -> list[Ballot]:
    return [Ballot(record.classes, record.voters) for record in records]


def weigh(records: Records, weights: Mapping[str, float]) -> list[Weights]:
    """By a weight for each voter."""
    return [sum_by_class((b.class_of(i), weights[b.voter(i)]) for i in b.cast) for b in ballots(records)]


def by_family(power: float) -> Vote:
    def vote(records: Records, families: Mapping[str, str]) -> list[Weights]:
        sizes = Counter(families.values())
        return weigh(records, {name: sizes[family] ** -power for name, family in families.items()})

    return vote


def correlations(errors: Any) -> Any:
    spread = errors.std(0)
    scaled = (errors - errors.mean(0)) / np.where(spread > 0, spread, np.inf)
    return np.clip(scaled.T @ scaled / len(errors), 0, 1) + np.diag(spread == 0)


def without_grades(records: Records, families: Mapping[str, str]) -> list[Weights]:
    """1 over the sum of a voter's correlations; an error is to differ from the first class of all."""
    names = list(families)
    leaders = [max(w, key=lambda c: (w[c], -c)) if (w := Plurality().weights(b)) else -1 for b in ballots(records)]
    errors = [[c != leader for c in r.classes] for r, leader in zip(records, leaders, strict=True)]
    return weigh(records, dict(zip(names, 1 / correlations(np.array(errors, float)).sum(0), strict=True)))


def with_grades(*, discount: bool, odds: bool) -> Vote:
    def vote(records: Records, families: Mapping[str, str]) -> list[Weights]:
        wrong = ~np.array([record.right for record in records])
        found: dict[int, Weights] = {}
        for half in (0, 1):
            seen = wrong[1 - half :: 2].astype(float)
            accuracy = np.clip(1 - seen.mean(0), 0.02, 0.98)
            weights = np.clip(np.log(3 * accuracy / (1 - accuracy)), 0, None) if odds else np.ones(len(accuracy))
            if discount:
                weights = weights / correlations(seen).sum(0)
            made = weigh(records[half::2], dict(zip(families, weights.tolist(), strict=True)))
            found |= dict(zip(range(half, len(records), 2), made, strict=True))
        return [found[i] for i in range(len(records))]

    return vote


def plurality(records: Records, _: Mapping[str, str]) -> list[Weights]:
    return [Plurality().weights(b) for b in ballots(records)]


def once(records: Records, _: Mapping[str, str]) -> list[Weights]:
    voted = ballots(records)
    return [Plurality().weights(b) for b in merge_copies(voted, find_copies(voted))]


def label_free(records: Records, _: Mapping[str, str]) -> list[Weights]:
    return LabelFree().fit_weights(ballots(records))


def label_free_of_all(records: Records, _: Mapping[str, str]) -> list[Weights]:
    votes = Votes.of(ballots(records))
    return votes.list_weights(fit_votes(votes)[2])


def one_coin(records: Records, _: Mapping[str, str]) -> list[Weights]:
    return OneCoin().fit_weights(ballots(records))


VOTES: Mapping[str, Vote] = {
    "plurality": plurality,
    "one vote a family": by_family(1.0),
    "a family by the root of its size": by_family(0.5),
    "correlations without grades": without_grades,
    "correlations by grades": with_grades(discount=True, odds=False),
    "log-odds by grades": with_grades(discount=False, odds=True),
    "log-odds and correlations by grades": with_grades(discount=True, odds=True),
    "copies once": once,
    "one-coin Dawid-Skene": one_coin,
    "label-free, copies as voters": label_free_of_all,
    "label-free, copies once": label_free,
}


def draw(kind: str, voters: Sequence[str], rng: Any) -> list[int]:
    """Places of the voters of one panel."""
    if kind == "copies":
        chosen = list(rng.choice(len(voters), 5, replace=False))
        return [*chosen, chosen[0], chosen[0]]
    if kind == "family":
        families = [family_of(name) for name in voters]
        large = sorted(f for f, n in Counter(families).items() if n >= 3)
        mine = rng.permutation([i for i, f in enumerate(families) if f == large[rng.integers(len(large))]])[:3]
        return [*mine, *rng.choice([i for i in range(len(voters)) if i not in mine], 4, replace=False)]
    return list(rng.choice(len(voters), 7, replace=False))


def name_copies(record: AnswerRecord) -> AnswerRecord:
    """Voters that stand twice get names of their own."""
    voters = tuple(f"{name}~{i}" if name in record.voters[:i] else name for i, name in enumerate(record.voters))
    return AnswerRecord(record.id, voters, record.answers, record.classes, record.right)


def measure(records: Records, kind: str, panels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points: dict[str, list[list[float]]] = defaultdict(list)
    effective = []
    for _ in range(panels):
        places = draw(kind, records[0].voters, rng)
        panel = [name_copies(record.take(places)) for record in records]
        families = {name: family_of(name.partition("~")[0]) for name in panel[0].voters}
        for name, vote in VOTES.items():
            points[name].append([r.credit(w) for r, w in zip(panel, vote(panel, families), strict=True)])
        if (votes := measure_effective_votes(panel)) is not None:
            effective.append(votes.votes)
    base = np.mean(points["plurality"], axis=0)
    print(f"\n{kind}: {panels} panels of 7 on {len(records)} questions, {np.mean(effective):.1f} effective votes")
    for name, found in points.items():
        gain = bootstrap_interval((np.mean(found, axis=0) - base).tolist(), seed=seed)
        print(f"  {name:36}{np.mean(found):.3f}  {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether discounting voters that err alike helps a vote.")
    parser.add_argument("banks", nargs="+", type=Path)
    parser.add_argument("--panels", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for bank in given.banks:
        records = asyncio.run(read_bank(bank)).groups["panel"]
        answered = Counter(name for record in records for name in record.voters)
        voters = {name for name, n in answered.items() if n >= 0.97 * len(records)}
        parts = [r.take([i for i, name in enumerate(r.voters) if name in voters]) for r in records]
        whole = [part for part in parts if len(part) == len(voters)]
        print(f"\n{bank.name}: {len(voters)} voters")
        for kind in ("random", "family", "copies"):
            measure(whole, kind, given.panels, given.seed)


if __name__ == "__main__":
    main()
