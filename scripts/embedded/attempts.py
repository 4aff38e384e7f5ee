"""Attempts at a generated problem, made up from its gold working: as a small model slips, and at no cost.

Sampling attempts takes most of the time that an aggregator's training would need; these are free, so that no problem
need be seen twice.
"""

import re
from random import Random

_LINE = re.compile(r"(.*?: )(\d+) ([-+*/]) (\d+) = (\d+)$")
SLIPS = {"+": 0.05, "-": 0.2, "*": 0.03, "/": 0.15}
"""How often `quorate-tiny-base` gets a result wrong, from its card, rounded."""
HARD_LINES = 0.12
"""Lines on which most attempts may fail."""
TEMPTING = 0.6
"""Slips that go to the one wrong result of their line that tempts most."""
MISREAD = 0.01
"""Operands taken from another place."""
SKIPPED = 0.01
"""Lines left out."""


def attempts(solution: str, count: int, rng: Random) -> list[str]:
    """So many texts, each like the solution but for its slips, which later lines carry on."""
    lines = solution.splitlines()
    # Some problems are easy throughout, on some little is right: hard sets are common.
    ease = rng.choice((0.2, 0.5, 1.0, 1.5, 2.0))
    risks = [_risk(line, ease, rng) for line in lines]
    tempting = [rng.random() for _ in lines]
    return [_attempt(lines, risks, tempting, rng) for _ in range(count)]


def _risk(line: str, ease: float, rng: Random) -> float:
    found = _LINE.match(line)
    if found is None:
        return 0.0
    return rng.uniform(0.3, 0.8) if rng.random() < HARD_LINES else min(0.9, SLIPS[found.group(3)] * ease)


def _attempt(lines: list[str], risks: list[float], tempting: list[float], rng: Random) -> str:
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
            result = _slipped(result, Random(f"{tempts}/{a}/{b}") if rng.random() < TEMPTING else rng)
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
