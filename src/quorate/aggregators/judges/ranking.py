"""From match results to strengths.

`bradley_terry`: P(i beats j) = s_i / (s_i + s_j), fitted by Hunter's MM iteration (Annals of Statistics
32, 2004). Different: everybody has tied once with a player of strength 1, so that those who always win
or always lose have a finite strength. `borda`: points, the Borda count of pairwise results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .comparing import Match

__all__ = ["Ranking", "borda", "bradley_terry"]

Ranking = Callable[[int, Sequence[Match]], list[float]]
"""Strengths of n players, by number, from their matches."""

ROUNDS = 200
PRECISION = 1e-9


def borda(n: int, matches: Sequence[Match]) -> list[float]:
    """Points won."""
    points = [0.0] * n
    for first, second, won in matches:
        points[first] += won
        points[second] += 1 - won
    return points


def bradley_terry(n: int, matches: Sequence[Match]) -> list[float]:
    """Maximum-likelihood strengths; equal results give equal strengths but for rounding."""
    won = [points + 0.5 for points in borda(n, matches)]
    opponents: list[list[int]] = [[] for _ in range(n)]
    for first, second, _ in matches:
        opponents[first].append(second)
        opponents[second].append(first)
    strengths = [1.0] * n
    for _ in range(ROUNDS):
        before = strengths
        strengths = [
            won[i] / (1 / (before[i] + 1) + sum(1 / (before[i] + before[j]) for j in opponents[i])) for i in range(n)
        ]
        if max(abs(a - b) for a, b in zip(strengths, before, strict=True)) < PRECISION:
            break
    return [round(strength, 6) for strength in strengths]
