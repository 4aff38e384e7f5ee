"""Plays the people that a server meets, over loopback, and prints which promises it kept.

    python -m benchmarks.attack [NAME ...]

Every attack starts servers of its own with the defaults and is stopped after two minutes. Ends with status 1 if
a promise was broken.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from . import accepting, breaker, comparisons, ending, fairness, strangers
from .row import Attack, Row

__all__ = ["ATTACKS"]

SECONDS = 120.0
"""Each attack's at most."""

ATTACKS: Mapping[str, Attack] = {
    "accepting": accepting.attack,
    "strangers": strangers.attack,
    "ending": ending.attack,
    "breaker": breaker.attack,
    "fairness": fairness.attack,
    "comparisons": comparisons.attack,
}


async def run_attack(name: str) -> Sequence[Row]:
    """What one attack finds; one that does not end has found a fault."""
    try:
        async with asyncio.timeout(SECONDS):
            return await ATTACKS[name]()
    except TimeoutError:
        return [Row(f"{name} ends", f"not within {SECONDS:g} s", False, "")]


def print_rows(rows: Sequence[Row]) -> None:
    table = Table("promise", "measured", "met")
    for row in rows:
        table.add_row(row.promise, row.measured, "yes" if row.met else "[red]NO")
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Which promises does the server keep?")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ATTACKS)}; all of them if none is given")
    names = parser.parse_args().names or list(ATTACKS)
    begun, rows = time.monotonic(), list[Row]()
    for name in names:
        rows += asyncio.run(run_attack(name))
    print_rows(rows)
    print(f"{time.monotonic() - begun:.0f} s")
    sys.exit(any(not row.met for row in rows))


if __name__ == "__main__":
    main()
