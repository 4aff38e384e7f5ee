"""What it costs to read texts without a model: value or prose, and the classes by shared words.

    OMP_NUM_THREADS=1 python benchmarks/meaning.py [--texts 8] [--words 300] [--tries 40]

Prints a JSON line a question of milliseconds of processor time, the least and the median of the tries: `unknown` with
every memory of words and texts emptied before each try, as at the first question of a process; `known` with words seen
before and new texts; `vote` as unknown, by the whole counter of `majority`, medoids included. The form of the first
question asks for prose, so names need not be looked for; that of the second asks for one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from statistics import median

from quorate.aggregators.meaning.counter import MeaningCounter
from quorate.aggregators.meaning.lexical import LexicalClasses, lexical_classes
from quorate.aggregators.meaning.values import read_values
from quorate.aggregators.votes.majority import default_reader
from quorate.orchestrator.types import Candidate

QUESTIONS = ("Why is the river blue?", "Which river is the longest?")
COMMON = ("the", "of", "and", "is", "a", "to", "in", "water", "people", "because", "however", "Paris", "river", "that")


def write_texts(count: int, words: int, seed: int) -> list[str]:
    """Sentences of twelve words, two in five of them common ones, the others of 2,000 by Zipf's law."""
    rng = random.Random(seed)
    rare = ["".join(rng.choices("abcdefghilmnoprstu", k=rng.randint(4, 9))) for _ in range(2000)]
    ranks = list(accumulate(1 / rank for rank in range(1, 2001)))

    def word(place: int) -> str:
        chosen = rng.choice(COMMON) if rng.random() < 0.4 else rng.choices(rare, cum_weights=ranks)[0]
        return (chosen.capitalize() if place % 12 == 0 else chosen) + "." * (place % 12 == 11)

    return [" ".join(map(word, range(words))) for _ in range(count)]


def forget() -> None:
    """Empties every memory of the package."""
    for name, module in list(sys.modules.items()):
        if name.startswith("quorate"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def classify(question: str, texts: Sequence[str]) -> None:
    read_values(question, texts)
    lexical_classes(question, texts)


def vote(question: str, texts: Sequence[str]) -> None:
    counter = MeaningCounter(question, default_reader(), LexicalClasses(question))
    candidates = [Candidate(index=i, model="m", agent="m", text=t, finish_reason="stop") for i, t in enumerate(texts)]
    asyncio.run(counter.tally(candidates))


def measure(
    act: Callable[[str, Sequence[str]], None], question: str, sets: Sequence[Sequence[str]], *, known: bool
) -> dict[str, float]:
    spent = []
    for texts in sets:
        if not known:
            forget()
        started = time.process_time()
        act(question, texts)
        spent.append(1000 * (time.process_time() - started))
    return {"least": round(min(spent), 2), "median": round(median(spent), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Milliseconds to read and group texts without a model.")
    for name, value in (("texts", 8), ("words", 300), ("tries", 40)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    sets = [write_texts(given.texts, given.words, seed) for seed in range(given.tries)]
    for question in QUESTIONS:
        found = {
            "unknown": measure(classify, question, sets, known=False),
            "known": measure(classify, question, sets, known=True),
            "vote": measure(vote, question, sets, known=False),
        }
        print(json.dumps({"question": question, "texts": given.texts, "words": given.words, "milliseconds": found}))


if __name__ == "__main__":
    main()
