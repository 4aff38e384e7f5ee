"""What the replay knows, a module a family; a new family adds its `ENTRIES` here."""

from __future__ import annotations

from collections.abc import Sequence

from ..registry import Replayable
from . import confidence, judges, stopping, votes

__all__ = ["FAMILIES"]

FAMILIES: tuple[Sequence[Replayable], ...] = (votes.ENTRIES, stopping.ENTRIES, confidence.ENTRIES, judges.ENTRIES)
