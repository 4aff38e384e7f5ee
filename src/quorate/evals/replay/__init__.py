"""`quorate eval replay`: aggregators measured on answers that were recorded before.

`records` is the material, `registry` the aggregators by name (and how to add one).
"""

from __future__ import annotations

from .records import Recorded, RecordedBank
from .registry import BatchEntry, Chosen, Entry, Outcome, Replayable, counts, entries

__all__ = ["BatchEntry", "Chosen", "Entry", "Outcome", "Recorded", "RecordedBank", "Replayable", "counts", "entries"]
