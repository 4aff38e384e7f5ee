"""`quorate eval replay`: aggregators measured on answers that were recorded before.

`contract` says what a rule is, `rules` has them by name, `subsets` takes subsets of the answers, `evaluate` measures.
"""

from __future__ import annotations

from .contract import BatchReplayRule, Replayable, ReplayRule, RuleResult, SubsetOutcome, count_classes
from .evaluate import Gain, ReplayResult, replay

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
