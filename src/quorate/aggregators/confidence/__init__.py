"""Confidence from log-probabilities: measures, votes weighted by them, and stopping unsure traces (DeepConf)."""

from __future__ import annotations

from .measures import (
    BottomGroups,
    LowestGroup,
    MeanLogprob,
    Measure,
    SelfCertainty,
    Tail,
    TokenConfidence,
    token_confidence,
)
from .online import DeepConfSample, DeepConfVote, deepconf
from .vote import ConfidenceBorda, ConfidenceVote, percentile
from .watching import stopped_at

__all__ = [
    "BottomGroups",
    "ConfidenceBorda",
    "ConfidenceVote",
    "DeepConfSample",
    "DeepConfVote",
    "LowestGroup",
    "MeanLogprob",
    "Measure",
    "SelfCertainty",
    "Tail",
    "TokenConfidence",
    "deepconf",
    "percentile",
    "stopped_at",
    "token_confidence",
]
