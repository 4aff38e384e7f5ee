"""When to stop sampling: rules that read the votes so far, for live sampling and replay alike.

| class | stops when |
|---|---|
| `AdaptiveConsistency` | the leader would very likely keep its lead over the second (arXiv 2305.11860) |
| `ESC` | a window of samples is unanimous (arXiv 2401.10480) |
| `BestOfInfinity` | the leader is very likely the answer of infinitely many samples (arXiv 2509.21091) |
| `LookAhead` | the samples left would very likely not change the winner (our own) |
| `FixedVotes` | there are n votes |
| `Consensus` | one answer has 95 % of the weight (arXiv 2508.15260) |
| `Agreement` | one answer has this share of the candidates |
| `TokenLimit` | the samples have cost so many tokens |
"""

from __future__ import annotations

from .look_ahead import LookAhead, look_ahead_risk, overtaking_probability
from .progress import Draws, SequenceRule, find_stopping_point
from .rules import (
    ESC,
    AdaptiveConsistency,
    Agreement,
    BestOfInfinity,
    Consensus,
    FixedVotes,
    TokenLimit,
    lead_probability,
    mode_probability,
)

__all__ = [
    "ESC",
    "AdaptiveConsistency",
    "Agreement",
    "BestOfInfinity",
    "Consensus",
    "Draws",
    "FixedVotes",
    "LookAhead",
    "SequenceRule",
    "TokenLimit",
    "find_stopping_point",
    "lead_probability",
    "look_ahead_risk",
    "mode_probability",
    "overtaking_probability",
]
