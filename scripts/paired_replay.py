"""Two aggregators on the same drawn subsets of recorded answers: difference in accuracy, ratio of tokens.

    python scripts/paired_replay.py BANK look-ahead adaptive-consistency --k 40

Prints, for each model and for all, mean and 95 % interval of a bootstrap over questions.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from pathlib import Path

import numpy as np

from quorate.evals.answer_files import read_bank
from quorate.evals.records import AnswerRecord, Spent
from quorate.evals.replay.contract import Replayable, SubsetOutcome
from quorate.evals.replay.rules import find_rule

RESAMPLES = 5000


def outcomes(
    entry: Replayable, records: tuple[AnswerRecord, ...], k: int, draws: int, seed: int
) -> list[SubsetOutcome]:
    """For each question the mean over subsets, which depend on the seed and the question alone."""
    means = []
    for record in records:
        rng = random.Random(repr((seed, record.id, record.voters[0])))
        size = min(k, len(record))
        drawn = entry.outcomes([record.take(rng.sample(range(len(record)), size)) for _ in range(draws)])
        credit, samples = (float(np.mean([o[place] for o in drawn])) for place in range(2))
        means.append(SubsetOutcome(credit, samples, Spent.mean(o.spent for o in drawn)))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--k", type=int, default=40)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    bank = asyncio.run(read_bank(asked.bank))
    entries = [find_rule(name, bank) for name in (asked.first, asked.second)]
    print(f"{asked.first} minus {asked.second}, k={asked.k}, {asked.draws} subsets a question")
    for model, records in bank.groups.items():
        a, b = (outcomes(entry, records, asked.k, asked.draws, asked.seed) for entry in entries)
        names = {name: place for place, name in enumerate(dict.fromkeys(r.id for r in records))}
        place = np.array([names[r.id] for r in records])
        drawn = np.random.default_rng(asked.seed).multinomial(len(names), [1 / len(names)] * len(names), RESAMPLES)
        rows = drawn @ np.bincount(place)
        credit = drawn @ np.bincount(place, [x.credit - y.credit for x, y in zip(a, b, strict=True)]) / rows
        spent = [drawn @ np.bincount(place, [o.tokens or o.samples for o in side]) for side in (a, b)]
        ratio = spent[0] / spent[1]
        difference = float(np.mean([x.credit - y.credit for x, y in zip(a, b, strict=True)]))
        whole = sum(o.tokens or o.samples for o in a) / sum(o.tokens or o.samples for o in b)
        low, high = np.quantile(credit, [0.025, 0.975])
        least, most = np.quantile(ratio, [0.025, 0.975])
        print(
            f"{model:28} accuracy {difference:+.4f} [{low:+.4f}, {high:+.4f}]   "
            f"tokens x {whole:.3f} [{least:.3f}, {most:.3f}]"
        )


if __name__ == "__main__":
    main()
