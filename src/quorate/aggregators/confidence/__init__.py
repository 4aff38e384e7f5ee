"""Confidence from log-probabilities: measures, votes weighted by them, and stopping unsure traces (DeepConf)."""

from __future__ import annotations

from .deepconf import DeepConfSample, DeepConfVote, Threshold, deepconf, stopped_at
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
from .vote import ConfidenceVote, TopShare, percentile

__all__ = [
    "BottomGroups",
    "ConfidenceVote",
    "DeepConfSample",
    "DeepConfVote",
    "LowestGroup",
    "MeanLogprob",
    "Measure",
    "SelfCertainty",
    "Tail",
    "Threshold",
    "TokenConfidence",
    "TopShare",
    "deepconf",
    "percentile",
    "stopped_at",
    "token_confidence",
]
