"""How several answers become one.

| class | what it does |
|---|---|
| `MajorityVote` | plurality over equivalence classes (self-consistency, arXiv 2203.11171) |
| `RuleVote` | a vote weighted by a rule on ballots: priors, log-odds, run-off, one of yours; see `votes` |
| `LabelFreeVote` | votes weighted by what agreement has taught about each model, with no labels |
| `BordaVote`, `MajorityOfTheBestsVote` | votes ranked by a verifier (arXiv 2502.18581, 2511.18630) |
| `plurality_is_optimal` | when counting votes is provably as good as weighing them |
| `SelfMoA`, `SelfMoASeq` | a model writes a new answer from all candidates, or a window at a time (arXiv 2502.00674) |
| `AggLM` | the same with AggLM's prompt, for a model trained so or any other (arXiv 2509.06870) |
| `SteppedAggLM` | AggLM for models trained on attempts merged step by step |
| `MixtureOfAgents`, `Layer` | layers of models that each read the layer before (arXiv 2406.04692) |
| `ProposeAndAggregate` | rounds of aggregation by one model (AFT, arXiv 2501.11877) |
| `RecursiveSelfAggregation`, `RandomMember` | a population of aggregated subsets (RSA, arXiv 2509.26626) |
| `Debate` | candidates revised in the light of each other (arXiv 2305.14325) |
| `UniversalSelfConsistency`, `GenSelect` | a model reads all and names one (arXiv 2311.17311, 2507.17797) |
| `Knockout`, `Swiss` | pairwise tournaments, judged in both orders (arXiv 2603.04304) |
| `JudgeRunOff` | a model judges the two most frequent answers (arXiv 2302.02300) |
| `RewardBest`, `RewardVote`, `RewardSoftmaxVote` | by a verifier's scores (arXiv 2110.14168, 2206.02336) |
| `ExecutionAgreement`, `TestWriter` | programs that agree on tests, run in a jail (CodeT, arXiv 2207.10397) |
| `Sandbox`, `Unisolated`, `Limits` | where programs run |
| `Gate`, `Agreement` | an expensive aggregator only where a vote is not settled |
| `AdaptiveConsistency` | stops sampling when the lead is safe (arXiv 2305.11860) |
| `ESC`, `BestOfInfinity`, `LookAhead`, `FixedVotes`, `TokenLimit`, `Consensus` | other stopping rules: see `stopping` |
| `ConfidenceVote`, `ConfidenceBorda` | votes weighted by the confidence of traces (arXiv 2508.15260, 2502.18581) |
| `deepconf`, `DeepConfSample`, `DeepConfVote` | stops unsure traces while they stream (DeepConf online) |
| `MeanLogprob`, `SelfCertainty`, `TokenConfidence`, `LowestGroup`, `BottomGroups`, `Tail` | measures of confidence |
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

from .confidence import (
    BottomGroups,
    ConfidenceBorda,
    ConfidenceVote,
    DeepConfSample,
    DeepConfVote,
    LowestGroup,
    MeanLogprob,
    SelfCertainty,
    Tail,
    TokenConfidence,
    deepconf,
)
from .equivalence import MathEquivalence, default_equivalence
from .execution import ExecutionAgreement, Limits, Sandbox, TestWriter, Unisolated
from .extraction import AnswerExtractor, Boxed, Choices, FirstOf, Hashes, LastNumber, LoneLetter, Phrase
from .gate import Agreement, Gate
from .judges import (
    GenSelect,
    JudgeRunOff,
    Knockout,
    RewardBest,
    RewardSoftmaxVote,
    RewardVote,
    Swiss,
    UniversalSelfConsistency,
)
from .stopping import ESC, AdaptiveConsistency, BestOfInfinity, Consensus, FixedVotes, LookAhead, TokenLimit
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
    SteppedAggLM,
)
from .vote import MajorityVote
from .votes import BordaVote, LabelFreeVote, MajorityOfTheBestsVote, RuleVote, plurality_is_optimal

__all__ = [
    "ESC",
    "AdaptiveConsistency",
    "AggLM",
    "Agreement",
    "AnswerExtractor",
    "BestOfInfinity",
    "BordaVote",
    "BottomGroups",
    "Boxed",
    "Centroid",
    "Choices",
    "ChrF",
    "ConfidenceBorda",
    "ConfidenceVote",
    "Consensus",
    "Debate",
    "DeepConfSample",
    "DeepConfVote",
    "ExecutionAgreement",
    "FirstOf",
    "FixedVotes",
    "Gate",
    "GenSelect",
    "Hashes",
    "JsonFieldVote",
    "JsonVote",
    "JudgeRunOff",
    "Knockout",
    "LabelFreeVote",
    "LastNumber",
    "Layer",
    "Limits",
    "LoneLetter",
    "LookAhead",
    "LowestGroup",
    "MajorityOfTheBestsVote",
    "MajorityVote",
    "MathEquivalence",
    "MeanLogprob",
    "MixtureOfAgents",
    "PairSimilarity",
    "Pairwise",
    "Phrase",
    "ProposeAndAggregate",
    "RandomMember",
    "RecursiveSelfAggregation",
    "RewardBest",
    "RewardSoftmaxVote",
    "RewardVote",
    "RougeL",
    "RuleVote",
    "Sandbox",
    "SelfCertainty",
    "SelfMoA",
    "SelfMoASeq",
    "Similarity",
    "SteppedAggLM",
    "StructuredVote",
    "Swiss",
    "Tail",
    "TestWriter",
    "TokenConfidence",
    "TokenF1",
    "TokenLimit",
    "ToolCallVote",
    "Unisolated",
    "UniversalSelfConsistency",
    "deepconf",
    "default_equivalence",
    "plurality_is_optimal",
]
