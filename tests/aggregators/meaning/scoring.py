"""How well answers are read: value or prose, pairs of one class, and the winner, on labelled sets.

    python -m tests.aggregators.meaning.scoring [--show]

`gold` has a letter a class, `-` for answers that say nothing; `half` is `held` for forms of questions that came
after the rules (the pilot's own halves are as its author dealt them).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from quorate.aggregators.meaning.counter import MeaningCounter
from quorate.aggregators.meaning.grouping import LexicalGrouping
from quorate.aggregators.meaning.texts import Statement
from quorate.aggregators.meaning.values import read_values
from quorate.aggregators.votes.majority import default_reader
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Candidate, Message, Question

SETS = Path(__file__).with_name("sets.jsonl")


@dataclass
class Score:
    """Of some sets."""

    n: int = 0
    kinds: int = 0
    """Read as value or prose as the label says."""
    both: int = 0
    found: int = 0
    wanted: int = 0
    """Pairs of one class: by both, by the votes, by the labels."""
    winners: int = 0

    @property
    def kind(self) -> float:
        return self.kinds / self.n

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.found + self.wanted)

    @property
    def winner(self) -> float:
        return self.winners / self.n


def read_sets(path: Path = SETS) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ask(text: str) -> Question:
    return Question(messages=(Message(role="user", content=text),))


def candidates_of(texts: Sequence[str]) -> list[Candidate]:
    return [Candidate(index=i, model="m", agent="m", text=t, finish_reason="stop") for i, t in enumerate(texts)]


def class_numbers(question: str, texts: Sequence[str]) -> list[int | None]:
    """The class of each text by the vote's own counter; None abstains."""
    prose = LexicalGrouping().bind(ask(question), RunContext())
    counter = MeaningCounter(question, default_reader(), prose)
    tally = asyncio.run(counter.tally(candidates_of(texts)))
    number = {voter: i for i, cluster in enumerate(tally) for voter in cluster.voters}
    return [number.get(i) for i in range(len(texts))]


def kind_of(question: str, texts: Sequence[str]) -> str:
    spoken = [t for t in texts if not Statement.of(t).silent]
    return "prose" if read_values(question, spoken).kind == "prose" else "value"


def _pairs(classes: Sequence[object]) -> set[tuple[int, int]]:
    return {
        (i, j) for i, j in combinations(range(len(classes)), 2) if classes[i] is not None and classes[i] == classes[j]
    }


def _is_winner(classes: Sequence[int | None], gold: Sequence[str | None]) -> bool:
    """Whether most members of the first class are of a class that is largest by the labels."""
    sizes = Counter(g for g in gold if g is not None)
    voted = Counter(gold[i] for i, c in enumerate(classes) if c == 0)
    if not voted or not sizes:
        return not voted and not sizes
    label = max(sorted(voted, key=str), key=lambda g: voted[g])
    return label is not None and sizes[label] == max(sizes.values())


def score(sets: Iterable[dict[str, Any]]) -> Score:
    total = Score()
    for row in sets:
        classes = class_numbers(row["question"], row["answers"])
        gold = [None if label == "-" else label for label in row["gold"]]
        found, wanted = _pairs(classes), _pairs(gold)
        total.n += 1
        total.kinds += kind_of(row["question"], row["answers"]) == row["kind"]
        total.both, total.found, total.wanted = (
            total.both + len(found & wanted),
            total.found + len(found),
            total.wanted + len(wanted),
        )
        total.winners += _is_winner(classes, gold)
        if "--show" in sys.argv and (found != wanted or kind_of(row["question"], row["answers"]) != row["kind"]):
            print(
                row["id"],
                row["kind"],
                row["question"],
                *zip(row["gold"], classes, row["answers"], strict=True),
                sep="\n   ",
            )
    return total


def main() -> None:
    rows = read_sets()
    groups = sorted({(r["id"].split("-")[0], r["half"]) for r in rows})
    print(f"{'sets':16}{'n':>5}{'kind':>7}{'winner':>8}{'F1 value':>10}{'F1 prose':>10}")
    for name, half in [*groups, ("all", "")]:
        mine = [r for r in rows if name == "all" or (r["id"].split("-")[0] == name and r["half"] == half)]
        whole = score(mine)
        f1 = {kind: [r for r in mine if r["kind"] == kind] for kind in ("value", "prose")}
        shown = "".join(f"{score(some).f1:10.3f}" if some else f"{'':10}" for some in f1.values())
        print(f"{name + ' ' + half:16}{whole.n:5}{whole.kind:7.3f}{whole.winner:8.3f}{shown}")


if __name__ == "__main__":
    main()
