"""What the figures of a model are made of: answers, votes, intervals and the accuracy of steps."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from random import Random

from quorate.evals.tasks.stories import Problem

_ANSWER = re.compile(r"^Answer: (\d+)$", re.MULTILINE)
_STEP = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def answer_of(text: str) -> str | None:
    """The last stated answer, or none."""
    found = _ANSWER.findall(text)
    return found[-1] if found else None


def vote(texts: list[str]) -> str | None:
    """The most frequent answer; the earliest among equals; none where nobody answers."""
    counts = Counter(answer for text in texts if (answer := answer_of(text)) is not None)
    return counts.most_common(1)[0][0] if counts else None


def wilson(hits: int, n: int) -> Estimate:
    """A proportion with Wilson's interval."""
    z, p = 1.959964, hits / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Estimate(p, (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))


def bootstrap(values: list[float], seed: int = 0, draws: int = 1000) -> Estimate:
    """A mean over questions with its percentile bootstrap interval."""
    rng, n = Random(f"bootstrap/{seed}"), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(draws))
    return Estimate(sum(values) / n, means[int(0.025 * draws)], means[int(0.975 * draws)])


def solved(problems: list[Problem], texts: list[list[str]]) -> list[float]:
    """For each question, the share of its samples that are right."""
    return [
        sum(answer_of(text) == problem.answer for text in row) / len(row)
        for problem, row in zip(problems, texts, strict=True)
    ]


def accuracy(problems: list[Problem], texts: list[list[str]]) -> dict[str, Estimate]:
    """Single sample, majority, and any of the samples."""
    rates, n = solved(problems, texts), len(problems)
    votes = sum(vote(row) == problem.answer for problem, row in zip(problems, texts, strict=True))
    k = len(texts[0])
    return {
        "pass@1": bootstrap(rates),
        f"majority@{k}": wilson(votes, n),
        f"pass@{k}": wilson(sum(rate > 0 for rate in rates), n),
    }


def overlap(first: list[float], second: list[float]) -> dict[str, Estimate]:
    """How two models' solve rates on the same questions go together: who is ahead where."""
    pairs = list(zip(first, second, strict=True))
    return {
        "first ahead": bootstrap([float(a > b) for a, b in pairs]),
        "second ahead": bootstrap([float(b > a) for a, b in pairs]),
        "neither ever right": bootstrap([float(a == b == 0) for a, b in pairs]),
        "pass@1 of the better of the two": bootstrap([max(a, b) for a, b in pairs]),
    }


def step_accuracy(texts: list[list[str]]) -> dict[str, Estimate]:
    """For each operation, how often a written step is right as it stands."""
    seen: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for a, sign, b, c in (step for row in texts for text in row for step in _STEP.findall(text)):
        seen[sign] += 1
        right[sign] += _holds(int(a), sign, int(b), int(c))
    return {sign: wilson(right[sign], seen[sign]) for sign in "+-*/" if seen[sign]}


def _holds(a: int, sign: str, b: int, c: int) -> bool:
    if sign == "/":
        return b != 0 and b * c == a
    return c == {"+": a + b, "-": a - b, "*": a * b}[sign]
