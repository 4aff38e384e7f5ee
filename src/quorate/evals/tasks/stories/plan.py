"""A plan is a problem without words: what happens, with which numbers.

Structures make plans and tell them; the canonical text of a plan is what the split hashes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol, TypeVar

from .theme import Theme
from .tiers import Tier
from .working import Working


class Move(NamedTuple):
    """One event of a plan."""

    kind: str
    numbers: tuple[int, ...]


T = TypeVar("T")
Plan = tuple[Move, ...]


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
