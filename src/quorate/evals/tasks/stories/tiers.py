"""How hard a problem is: steps, sizes of numbers, and distracting sentences."""

from dataclasses import dataclass


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
    )
}


def tier_named(name: str) -> Tier:
    """The tier of that name; ValueError names the ones that exist."""
    if name not in TIERS:
        raise ValueError(f"unknown tier {name!r}: choose one of {', '.join(TIERS)}")
    return TIERS[name]
