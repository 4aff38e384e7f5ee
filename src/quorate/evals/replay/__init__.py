"""`quorate eval replay`: aggregators measured on answers that were recorded before.

`rules` has the rules by name, `subsets` takes subsets of the answers, `evaluate` measures.
"""

from __future__ import annotations

from .evaluate import Gain, ReplayResult, replay
from .rules import BatchReplayRule, Replayable, ReplayRule, RuleResult, SubsetOutcome, count_classes

__all__ = [
    "BatchReplayRule",
    "Gain",
    "ReplayResult",
    "ReplayRule",
    "Replayable",
    "RuleResult",
    "SubsetOutcome",
    "count_classes",
    "replay",
]
