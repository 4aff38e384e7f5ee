"""A plan is a problem without words: what happens, with which numbers; and the working that solves it.

Structures make plans and tell them; the canonical text of a plan is what the split hashes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from .themes import Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Ranges are inclusive."""

    name: str
    steps: tuple[int, int]
    """Arithmetic steps in the working; a structure may add or save one."""
    amount: tuple[int, int]
    """What is counted, gained or lost."""
    factor: tuple[int, int]
    """The small side of a product, and every divisor."""
    size: tuple[int, int]
    """The large side of a product."""
    cap: int
    """No running total exceeds this."""
    distractors: tuple[int, int]
    """Sentences with a number that nothing depends on."""
    mix: tuple[int, int, int, int] = (1, 1, 1, 1)
    """How often each structure is drawn: chain, compare, groups, money."""
    calculation: float
    """The share of bare calculations such as `What is 17 * 24?`."""


TIERS = {
    tier.name: tier
    for tier in (
        Tier(
            name="easy",
            steps=(1, 3),
            amount=(2, 30),
            factor=(2, 5),
            size=(2, 10),
            cap=100,
            distractors=(0, 0),
            calculation=0.2,
        ),
        Tier(
            name="medium",
            steps=(3, 5),
            amount=(3, 99),
            factor=(2, 9),
            size=(2, 20),
            cap=400,
            distractors=(0, 1),
            calculation=0.1,
        ),
        Tier(
            name="hard",
            steps=(5, 8),
            amount=(11, 300),
            factor=(2, 9),
            size=(6, 60),
            cap=999,
            distractors=(1, 2),
            mix=(3, 1, 3, 3),
            calculation=0.0,
        ),
        Tier(
            name="long",
            steps=(9, 12),
            amount=(11, 300),
            factor=(2, 9),
            size=(6, 60),
            cap=999,
            distractors=(1, 2),
            mix=(3, 0, 2, 0),
            calculation=0.0,
        ),
    )
}


def tier_named(name: str) -> Tier:
    """The tier of that name; ValueError names the ones that exist."""
    if name not in TIERS:
        raise ValueError(f"unknown tier {name!r}: choose one of {', '.join(TIERS)}")
    return TIERS[name]


class Move(NamedTuple):
    """One event of a plan."""

    kind: str
    numbers: tuple[int, ...]


T = TypeVar("T")
Plan = tuple[Move, ...]


OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


class StepResult(int):
    """What a step came to, which knows the number of its step, from 1."""

    step: int


class Working:
    """Collects the steps of one solution and does their arithmetic."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parts: list[str] = []
        """The steps before anything is computed: `7 * 12`, then `#1 + 40`."""

    def step(self, hint: str, a: int, operation: str, b: int) -> StepResult:
        """Write `hint: a op b = c` and return c."""
        result = StepResult(OPERATIONS[operation](a, b))
        self.lines.append(f"{hint}: {a} {operation} {b} = {result}")
        self.parts.append(f"{_refer(a)} {operation} {_refer(b)}")
        result.step = len(self.lines)
        return result

    def total(self, amounts: list[int], hint: str = "total") -> int:
        """Add the amounts from left to right, one step each after the first."""
        result = amounts[0]
        for amount in amounts[1:]:
            result = self.step(hint, result, "+", amount)
        return result

    def product(self, a: int, b: int) -> int:
        """Multiply through partial products when both sides have several digits."""
        tens, ones = b - b % 10, b % 10
        if min(a, b) < 10 or not ones:
            return self.step("product", a, "*", b)
        return self.step("total", self.step("tens", a, "*", tens), "+", self.step("ones", a, "*", ones))

    def text(self, answer: int) -> str:
        """The whole solution, ending in the answer."""
        return "\n".join([*self.lines, f"Answer: {answer}"])


def _refer(number: int) -> str:
    return f"#{number.step}" if isinstance(number, StepResult) else str(number)


@dataclass(frozen=True, slots=True)
class Story:
    """A plan that has been told."""

    sentences: list[str]
    """In order; the last one asks."""
    working: Working
    answer: int


class Structure(Protocol):
    """A kind of story; every theme can dress it."""

    name: str

    def plan(self, tier: Tier, rng: Random) -> Plan | None:
        """Draw the numbers, or None where this draw leads nowhere."""

    def tell(self, theme: Theme, plan: Plan, rng: Random) -> Story:
        """Put the plan into the theme's words; only words are random here."""


def canonical_key(template: str, plan: Plan) -> str:
    """Hexadecimal hash of the problem as numbers, the same for every wording."""
    moves = "|".join(f"{kind}:{','.join(map(str, numbers))}" for kind, numbers in plan)
    return hashlib.sha256(f"{template}|{moves}".encode()).hexdigest()[:16]


def divisors(value: int, tier: Tier) -> list[int]:
    """The tier's factors that divide the value and leave more than one."""
    low, high = tier.factor
    return [k for k in range(low, high + 1) if value % k == 0 and value > k]


def smaller(total: int, tier: Tier, rng: Random) -> int:
    """An amount that can be taken from the total, or as much as the total where none can."""
    low, high = tier.amount
    return rng.randint(low, min(high, total - 1)) if total > low else total


def pick(choices: Sequence[T], rng: Random) -> T:
    """One of them."""
    return choices[rng.randrange(len(choices))]
