"""Stopping rules: the k drawn samples are the limit, and only those that the rule asks for are paid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quorate.aggregators.stopping import (
    ESC,
    AdaptiveConsistency,
    BestOfInfinity,
    LookAhead,
    SequenceRule,
    stopping_point,
)

from ..records import Recorded
from ..registry import Chosen, Entry, Replayable, counts

__all__ = ["ENTRIES"]

WAVE = 5


def _until(rule: SequenceRule, wave: int = 1) -> Callable[[Recorded], Chosen]:
    def choose(drawn: Recorded) -> Chosen:
        used = stopping_point(rule, drawn.classes, limit=len(drawn), wave=wave)
        return Chosen(counts(drawn.classes[:used]), samples=used)

    return choose


_RULES = (
    ("adaptive-consistency", AdaptiveConsistency(), "arXiv 2305.11860, section 3"),
    ("esc", ESC(WAVE), "arXiv 2401.10480, section 3"),
    ("best-of-infinity", BestOfInfinity(), "arXiv 2509.21091, section 3"),
    ("look-ahead", LookAhead(), "our own: quorate.aggregators.stopping.look_ahead"),
)

ENTRIES: Sequence[Replayable] = tuple(
    Entry(
        name if wave == 1 else f"{name}-waves",
        f"plurality, drawn {'singly' if wave == 1 else f'in waves of {wave}'}; {rule}",
        source,
        _until(rule, wave),
        ordered=True,
    )
    for name, rule, source in _RULES
    for wave in (1, WAVE)
    if (name, wave) != ("esc", WAVE)
)
