"""`modular`: sums, products, powers and chains of them modulo a small number; checked by computing."""

from __future__ import annotations

from random import Random

from .base import GeneratedProblem, GeneratedTask

__all__ = ["Modular"]

_SIZE = {"easy": (12, 99), "medium": (100, 999), "hard": (1000, 9999)}


class Modular(GeneratedTask):
    """Tiers differ in the size of the numbers; hard ones have powers and congruences to solve."""

    name = "modular"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        """See `GeneratedTask.draw`."""
        kinds = {"easy": (_sum, _product), "medium": (_product, _mix, _power), "hard": (_mix, _power, _solve)}
        return rng.choice(kinds[tier])(_SIZE[tier], rng)


def _sum(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, m = rng.randint(*size), rng.randint(*size), rng.randint(5, 29)
    question = f"What is the remainder when {a} + {b} is divided by {m}?"
    return GeneratedProblem(question, str((a + b) % m), "sum", (*sorted((a, b)), m))


def _product(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, m = rng.randint(*size), rng.randint(*size), rng.randint(5, 29)
    question = f"What is the remainder when {a} * {b} is divided by {m}?"
    return GeneratedProblem(question, str(a * b % m), "product", (*sorted((a, b)), m))


def _mix(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    a, b, c, m = rng.randint(*size), rng.randint(*size), rng.randint(*size), rng.randint(11, 97)
    question = f"What is the remainder when {a} * {b} + {c} is divided by {m}?"
    return GeneratedProblem(question, str((a * b + c) % m), "mixed", (*sorted((a, b)), c, m))


def _power(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    base, exponent, m = rng.randint(2, 49), rng.randint(*size), rng.randint(7, 61)
    question = f"What is the remainder when {base}^{exponent} is divided by {m}?"
    return GeneratedProblem(question, str(pow(base, exponent, m)), "power", (base, exponent, m))


def _solve(size: tuple[int, int], rng: Random) -> GeneratedProblem:
    """a x = b modulo a prime, which has one solution."""
    m = rng.choice((31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97))
    a, b = rng.randint(2, m - 1), rng.randint(*size)
    question = (
        f"Which whole number x from 0 to {m - 1} makes {a} * x leave the same remainder as {b} when divided by {m}?"
    )
    return GeneratedProblem(question, str(b * pow(a, -1, m) % m), "solve", (a, b, m))
