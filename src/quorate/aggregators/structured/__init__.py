"""Votes over answers that have structure, and the most central of free texts.

| class | what it does |
|---|---|
| `ToolCallVote` | the calls that most candidates make, whatever their spelling and ids |
| `JsonVote` | the JSON document that most candidates give, as a whole |
| `JsonFieldVote` | the document whose every field most candidates give |
| `StructuredVote` | whichever of these the question and the candidates ask for, else the plain vote |
| `Centroid` | the text most like the others (minimum Bayes risk) |
| `ChrF`, `TokenF1`, `RougeL`, `PairSimilarity` | what "like" means |
"""

from __future__ import annotations

from .calls import ToolCallVote
from .centroid import Centroid
from .dispatch import StructuredVote
from .documents import JsonFieldVote, JsonVote
from .similarity import ChrF, PairSimilarity, Pairwise, RougeL, Similarity, TokenF1

__all__ = [
    "Centroid",
    "ChrF",
    "JsonFieldVote",
    "JsonVote",
    "PairSimilarity",
    "Pairwise",
    "RougeL",
    "Similarity",
    "StructuredVote",
    "TokenF1",
    "ToolCallVote",
]
