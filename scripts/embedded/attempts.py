"""Attempts at a generated problem, made up from its gold working: as a small model slips, and at no cost.

Sampling attempts takes most of the time that an aggregator's training would need; these are free, so that no problem
need be seen twice.
"""

import re
from dataclasses import dataclass
from random import Random

_LINE = re.compile(r"(.*?: )(\d+) ([-+*/]) (\d+) = (\d+)$")
SLIPS = {"+": 0.05, "-": 0.2, "*": 0.03, "/": 0.15}
"""How often `quorate-tiny-base` gets a result wrong, from its card, rounded."""


@dataclass(frozen=True)
class Manner:
    """How problems differ: a vote over attempts is wrong where most of them slip on one line, and alike."""

    eases: tuple[float, ...]
    """Factors of `SLIPS`, one for all lines of a problem."""
    hard_lines: float
    """Lines on which most attempts may fail."""
    hard: tuple[float, float]
    """How often they do."""
    tempting: float
    """Slips that go to the one wrong result of their line that tempts most."""


MANNERS = {
    "wide": Manner(eases=(0.2, 0.5, 1.0, 1.5, 2.0), hard_lines=0.12, hard=(0.3, 0.8), tempting=0.6),
    # Chosen for the share of right attempts of quorate-tiny-base, .56 on the hard tier, and for how often each size of
    # plurality is wrong there.
    "fitted": Manner(eases=(0.1, 0.3, 0.6, 1.0), hard_lines=0.15, hard=(0.05, 0.8), tempting=0.8),
}
"""By name: some problems easy throughout and on some little right, so that hard sets are common; or as sampled ones."""
MISREAD = 0.01
"""Operands taken from another place."""
SKIPPED = 0.01
"""Lines left out."""


def attempts(solution: str, count: int, rng: Random, manner: str = "wide") -> list[str]:
    """So many texts, each like the solution but for its slips, which later lines carry on."""
    lines = solution.splitlines()
    how = MANNERS[manner]
    ease = rng.choice(how.eases)
    risks = [_risk(line, ease, how, rng) for line in lines]
    tempting = [rng.random() for _ in lines]
    return [_attempt(lines, risks, tempting, how.tempting, rng) for _ in range(count)]


def _risk(line: str, ease: float, how: Manner, rng: Random) -> float:
    found = _LINE.match(line)
    if found is None:
        return 0.0
    return rng.uniform(*how.hard) if rng.random() < how.hard_lines else min(0.9, SLIPS[found.group(3)] * ease)


def _attempt(lines: list[str], risks: list[float], tempting: list[float], tempted: float, rng: Random) -> str:
    carried: dict[str, str] = {}
    written: list[str] = []
    last = ""
    for line, risk, tempts in zip(lines, risks, tempting, strict=True):
        found = _LINE.match(line)
        if found is None:
            written.append(f"Answer: {last}")
            break
        label, left, sign, right, gold = found.groups()
        if rng.random() < SKIPPED:
            continue
        a, b = carried.get(left, left), carried.get(right, right)
        if rng.random() < MISREAD:
            a = _slipped(a, Random(tempts))
        result = _worked(a, sign, b)
        if rng.random() < risk:
            result = _slipped(result, Random(f"{tempts}/{a}/{b}") if rng.random() < tempted else rng)
        if result != gold:
            carried[gold] = result
        last = result
        written.append(f"{label}{a} {sign} {b} = {result}")
    return "\n".join(written)


def _worked(a: str, sign: str, b: str) -> str:
    x, y = int(a), int(b)
    if sign == "+":
        return str(x + y)
    if sign == "-":
        return str(abs(x - y))
    return str(x * y if sign == "*" else x // max(1, y))


def _slipped(number: str, rng: Random) -> str:
    """Another number, mostly wrong in one digit by one."""
    at = rng.randrange(len(number))
    step = rng.choice((-1, 1, 1, -1, 2, -2, 5))
    value = int(number) + step * 10 ** (len(number) - 1 - at)
    return str(value if value > 0 else int(number) + 1)
