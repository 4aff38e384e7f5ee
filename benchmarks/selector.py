"""What the selector's choices cost: trees in place of a regression, and recorded spelling in place of equivalence.

    python benchmarks/selector.py DIR [--model NAME] [--without MODEL] [--equivalence]

DIR holds recorded answers, as `quorate eval replay` reads them. Both learners see the same features of the
same classes in the same folds. With --equivalence, answers are put together by quorate's own equivalence
instead of by the spelling that was recorded (where right answers were brought to the gold answer's
spelling, and wrong ones were not).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold

from quorate.aggregators import default_equivalence
from quorate.aggregators.learned.selector import Example, Pick, Spelled, build_example, fit, predict_out_of_fold
from quorate.cli.train.material import recorded_sets
from quorate.evals.statistics import compare_paired, mean_interval

SEED = 0
GRID = {"max_iter": [50, 150], "max_leaf_nodes": [4, 12]}


async def read(path: Path, model: str | None, without: Sequence[str], *, equivalence: bool) -> list[Example]:
    """The recorded sets as a selector reads them."""
    classes = default_equivalence() if equivalence else Spelled()
    found = await recorded_sets(path, model=model, without=without)
    return [await build_example(one.candidates, classes, one.scores) for one in found]


def boosted(picks: Sequence[Pick], names: Sequence[str]) -> list[float]:
    """Whether gradient-boosted trees are right on each example, trained without its fold."""
    right = [0.0] * len(picks)
    for fold in sorted({pick.fold for pick in picks}):
        train = [pick.example for pick in picks if pick.fold != fold]
        x = np.array([[row.get(n, 0.0) for n in names] for e in train for row in e.rows.values()])
        y = np.array([label for e in train for label in e.labels.values()])
        groups = [e.group for e in train for _ in e.labels]
        trees = HistGradientBoostingClassifier(learning_rate=0.05, random_state=SEED)
        search = GridSearchCV(trees, GRID, scoring="neg_log_loss", cv=GroupKFold(3, shuffle=True, random_state=SEED))
        search.fit(x, y, groups=groups)
        for place, pick in enumerate(picks):
            if pick.fold == fold and pick.example.rows:
                rows = np.array([[row.get(n, 0.0) for n in names] for row in pick.example.rows.values()])
                weights = dict(zip(pick.example.rows, search.predict_proba(rows)[:, 1].tolist(), strict=True))
                right[place] = float(pick.example.credit(pick.example.choose(weights, SEED)))
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, metavar="DIR")
    parser.add_argument("--model")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--equivalence", action="store_true")
    given = parser.parse_args()
    examples = asyncio.run(read(given.path, given.model, given.without, equivalence=given.equivalence))
    picks = predict_out_of_fold(examples)
    ours = [float(pick.right) for pick in picks]
    votes = [p.example.choose({n: len(c) for n, c in p.example.view.members.items()}, SEED) for p in picks]
    rivals = {
        "plurality": [float(p.example.credit(number)) for p, number in zip(picks, votes, strict=True)],
        "boosted trees": boosted(picks, list(fit(examples).terms)),
    }
    print(f"{given.path.name}: {len(picks)} sets, seed {SEED}; selector {mean_interval(ours)}")
    for name, right in rivals.items():
        gain = compare_paired(ours, right)
        print(
            f"  {name} {mean_interval(right).value:.4f}; selector over it {gain.difference:+.4f} "
            f"({gain.low:+.4f} to {gain.high:+.4f}), p {gain.p:.2g}, better {gain.better}, worse {gain.worse}"
        )


if __name__ == "__main__":
    main()
