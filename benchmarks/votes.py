"""How long a million recorded votes take on one core: votes that are already integer classes.

    OMP_NUM_THREADS=1 python benchmarks/votes.py [--votes 1000000]

Prints a JSON line a rule with its seconds; the arrays are those of `quorate.aggregators.votes.arrays`,
whose results the tests hold against the per-question reference.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from quorate.aggregators.votes import Ballot, Plurality
from quorate.aggregators.votes.abilities import fit_votes
from quorate.aggregators.votes.arrays import Votes

VOTERS = 40
CLASSES = 8


def drawn(votes: int, seed: int) -> Votes:
    """Voters of uneven accuracy; one in twenty abstains, and wrong answers are skewed."""
    rng = np.random.default_rng(seed)
    questions = votes // VOTERS
    question, voter = np.divmod(np.arange(questions * VOTERS), VOTERS)
    right = rng.random(len(question)) < rng.uniform(0.3, 0.9, VOTERS)[voter]
    number = np.where(right, 0, 1 + np.minimum(rng.geometric(0.4, len(question)) - 1, CLASSES - 2))
    number = (number + rng.integers(0, CLASSES, questions)[question]) % CLASSES
    return Votes(question, voter, np.where(rng.random(len(question)) < 0.05, -1, number), questions=questions)


def reference(votes: Votes) -> list[Any]:
    """Plurality question by question, as a live pipeline counts."""
    rows = votes.number.reshape(-1, VOTERS).tolist()
    return [Plurality().weights(Ballot(tuple(None if c < 0 else c for c in row))) for row in rows]


RULES: Mapping[str, Callable[[Votes], Any]] = {
    "plurality": Votes.plurality,
    "plurality, question by question": reference,
    "dawid-skene (one coin)": Votes.one_coin,
    "dawid-skene-full": Votes.dawid_skene,
    "label-free": fit_votes,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Seconds for a million votes, a rule at a time.")
    arguments.add_argument("--votes", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    for name, rule in RULES.items():
        votes = drawn(asked.votes, asked.seed)
        start = time.process_time()
        rule(votes)
        seconds = round(time.process_time() - start, 2)
        print(json.dumps({"rule": name, "votes": len(votes.number), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
