"""Models that write together, token by token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..answering import STORY, tiny
from ..scenario import Ask, scenario
from ..telling import build


def pair() -> dict[str, Any]:
    """The two shipped models, greedy and short."""
    return {
        "tiny": tiny(temperature=0, max_tokens=24),
        "agg": tiny("agg", "quorate-tiny-agg", temperature=0, max_tokens=24),
    }


@scenario
async def safe() -> AsyncIterator[Ask]:
    """One model drafts, both decide where they disagree."""
    yield Ask(build("safe/tiny+agg", **pair()), STORY)


@scenario
async def unite() -> AsyncIterator[Ask]:
    """Both models decide on every token over their likeliest ones."""
    yield Ask(build("unite/tiny+agg", **pair()), STORY)


@scenario
async def gac() -> AsyncIterator[Ask]:
    """Both models decide on every token over all tokens."""
    yield Ask(build("gac/tiny+agg", **pair()), STORY)


@scenario
async def mix() -> AsyncIterator[Ask]:
    """Models speak in turn as the seed draws."""
    yield Ask(build("mix/tiny+agg", **pair()), STORY)


@scenario
async def majority_over_mix() -> AsyncIterator[Ask]:
    """A vote over texts that two models wrote together."""
    yield Ask(build("majority@3/mix/tiny+agg", **pair()), STORY)
