"""How several answers become one.

| class | what it does |
|---|---|
| `MajorityVote` | plurality over equivalence classes (self-consistency, arXiv 2203.11171) |
| `SelfMoA`, `SelfMoASeq` | a model writes a new answer from all candidates, or a window at a time (arXiv 2502.00674) |
| `AggLM` | the same with AggLM's prompt, for a model trained so or any other (arXiv 2509.06870) |
| `MixtureOfAgents`, `Layer` | layers of models that each read the layer before (arXiv 2406.04692) |
| `ProposeAndAggregate` | rounds of aggregation by one model (AFT, arXiv 2501.11877) |
| `RecursiveSelfAggregation`, `RandomMember` | a population of aggregated subsets (RSA, arXiv 2509.26626) |
| `Debate` | candidates revised in the light of each other (arXiv 2305.14325) |
| `Gate`, `Agreement` | an expensive aggregator only where a vote is not settled |
| `AdaptiveConsistency` | stops sampling when the lead is safe (arXiv 2305.11860) |
| `StructuredVote` | whichever fits of the votes over tool calls, JSON and texts |
| `ToolCallVote` | plurality of tool calls, arguments by value |
| `JsonVote`, `JsonFieldVote` | plurality of JSON documents, whole or field by field |
| `Centroid` | the text most like the others (minimum Bayes risk, arXiv 2108.04718) |
| `Similarity`, `Pairwise`, `PairSimilarity`, `ChrF`, `TokenF1`, `RougeL` | what "like" means there |
| `AnswerExtractor` | text to answer: boxes, `####`, "the answer is", the last number |
| `FirstOf`, `Boxed`, `Hashes`, `Phrase`, `LoneLetter`, `LastNumber`, `Choices` | its parts, for chains of one's own |
| `MathEquivalence` | which answers count as one: numbers, fractions, units, letters, algebra |

Each satisfies a protocol of `quorate.orchestrator.protocols`; a class of yours does as well.
Importing this loads neither sympy nor math-verify: those live in a worker process.
"""

from __future__ import annotations

from .equivalence import MathEquivalence, default_equivalence
from .extraction import AnswerExtractor, Boxed, Choices, FirstOf, Hashes, LastNumber, LoneLetter, Phrase
from .gate import Agreement, Gate
from .stopping import AdaptiveConsistency
from .structured import (
    Centroid,
    ChrF,
    JsonFieldVote,
    JsonVote,
    PairSimilarity,
    Pairwise,
    RougeL,
    Similarity,
    StructuredVote,
    TokenF1,
    ToolCallVote,
)
from .synthesis import (
    AggLM,
    Debate,
    Layer,
    MixtureOfAgents,
    ProposeAndAggregate,
    RandomMember,
    RecursiveSelfAggregation,
    SelfMoA,
    SelfMoASeq,
)
from .vote import MajorityVote

__all__ = [
    "AdaptiveConsistency",
    "AggLM",
    "Agreement",
    "AnswerExtractor",
    "Boxed",
    "Centroid",
    "Choices",
    "ChrF",
    "Debate",
    "FirstOf",
    "Gate",
    "Hashes",
    "JsonFieldVote",
    "JsonVote",
    "LastNumber",
    "Layer",
    "LoneLetter",
    "MajorityVote",
    "MathEquivalence",
    "MixtureOfAgents",
    "PairSimilarity",
    "Pairwise",
    "Phrase",
    "ProposeAndAggregate",
    "RandomMember",
    "RecursiveSelfAggregation",
    "RougeL",
    "SelfMoA",
    "SelfMoASeq",
    "Similarity",
    "StructuredVote",
    "TokenF1",
    "ToolCallVote",
    "default_equivalence",
]
