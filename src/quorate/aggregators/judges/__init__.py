"""Judges: a model reads the candidates and picks one.

| module | what it does |
|---|---|
| `listwise` | names one of all (Universal Self-Consistency, GenSelect) |
| `pairwise` | compares two in both orders; a run-off of the two most frequent answers |
| `tournaments` | knockout and Swiss, and rankings from results |
| `judge`, `model`, `verdicts` | what all share, how a model is asked, and how its reply is read |
"""

from __future__ import annotations

from .judge import Judge
from .listwise import GenSelect, UniversalSelfConsistency
from .pairwise import JudgeRunOff
from .tournaments import Knockout, Swiss, borda, bradley_terry

__all__ = [
    "GenSelect",
    "Judge",
    "JudgeRunOff",
    "Knockout",
    "Swiss",
    "UniversalSelfConsistency",
    "borda",
    "bradley_terry",
]
