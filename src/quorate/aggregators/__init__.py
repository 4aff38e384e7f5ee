"""How several answers become one.

| class | what it does |
|---|---|
| `MajorityVote` | plurality over equivalence classes (self-consistency, arXiv 2203.11171) |
| `RuleVote` | a vote weighted by a rule on ballots: priors, log-odds, run-off, one of yours; see `votes` |
| `LabelFreeVote` | votes weighted by what agreement has taught about each model, with no labels |
| `ScoredVote` | votes weighed by a verifier's scores and a rule: see the next two lines |
| `ScoreSum`, `ByConfidence` | rules: the scores, or their exponentials (arXiv 2206.02336) |
| `Borda`, `MajorityOfTheBests` | rules: by rank (arXiv 2502.18581, 2511.18630) |
| `BestOfN` | the candidate with the highest score (arXiv 2110.14168) |
| `plurality_is_optimal` | when counting votes is provably as good as weighing them |
| `SelfMoA` | a model writes a new answer from all candidates (arXiv 2502.00674) |
| `AggLM` | the same with AggLM's prompt, for a model trained so or any other (arXiv 2509.06870) |
| `SteppedAggLM` | AggLM for models trained on attempts merged step by step |
| `self_moa_seq` | Self-MoA a window at a time, as a graph (arXiv 2502.00674) |
| `mixture_of_agents` | a graph of layers of models that each read the layer before (arXiv 2406.04692) |
| `propose_and_aggregate` | a graph of rounds of aggregation by one model (AFT, arXiv 2501.11877) |
| `recursive_self_aggregation`, `RandomMember` | a population of aggregated subsets in a loop (RSA, arXiv 2509.26626) |
| `debate` | candidates revised in the light of each other, in a loop (arXiv 2305.14325) |
| `fusion` | a panel answers, an analyst says where the answers agree and differ, a writer answers |
| `Council`, `council` | members rank each other's answers without names; with a minority report |
| `acting` | a panel advises without tools, one model calls them |
| `UniversalSelfConsistency`, `GenSelect` | a model reads all and names one (arXiv 2311.17311, 2507.17797) |
| `Knockout`, `Swiss` | pairwise tournaments, judged in both orders (arXiv 2603.04304) |
| `JudgeRunOff` | a model judges the two most frequent answers (arXiv 2302.02300) |
| `ExecutionAgreement`, `TestWriter` | programs that agree on tests, run in a jail (CodeT, arXiv 2207.10397) |
| `Sandbox`, `Unisolated`, `Limits` | where programs run |
| `AdaptiveConsistency` | stops sampling when the lead is safe (arXiv 2305.11860) |
| `ESC`, `BestOfInfinity`, `LookAhead`, `FixedVotes`, `TokenLimit`, `Consensus`, `Agreement` | others: see `stopping` |
| `ConfidenceVote` | votes weighted by the confidence of traces (arXiv 2508.15260, 2502.18581) |
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

from typing import TYPE_CHECKING

from quorate.orchestrator.lazy import lazy_names

if TYPE_CHECKING:
    from .confidence import BottomGroups as BottomGroups
    from .confidence import ConfidenceVote as ConfidenceVote
    from .confidence import DeepConfSample as DeepConfSample
    from .confidence import DeepConfVote as DeepConfVote
    from .confidence import LowestGroup as LowestGroup
    from .confidence import MeanLogprob as MeanLogprob
    from .confidence import SelfCertainty as SelfCertainty
    from .confidence import Tail as Tail
    from .confidence import TokenConfidence as TokenConfidence
    from .confidence import deepconf as deepconf
    from .equivalence import MathEquivalence as MathEquivalence
    from .equivalence import default_equivalence as default_equivalence
    from .execution import ExecutionAgreement as ExecutionAgreement
    from .execution import Limits as Limits
    from .execution import Sandbox as Sandbox
    from .execution import TestWriter as TestWriter
    from .execution import Unisolated as Unisolated
    from .extraction import AnswerExtractor as AnswerExtractor
    from .extraction import Boxed as Boxed
    from .extraction import Choices as Choices
    from .extraction import FirstOf as FirstOf
    from .extraction import Hashes as Hashes
    from .extraction import LastNumber as LastNumber
    from .extraction import LoneLetter as LoneLetter
    from .extraction import Phrase as Phrase
    from .judges import GenSelect as GenSelect
    from .judges import JudgeRunOff as JudgeRunOff
    from .judges import Knockout as Knockout
    from .judges import Swiss as Swiss
    from .judges import UniversalSelfConsistency as UniversalSelfConsistency
    from .panels.acting import acting as acting
    from .panels.council import Council as Council
    from .panels.council import council as council
    from .panels.fusion import fusion as fusion
    from .stopping import ESC as ESC
    from .stopping import AdaptiveConsistency as AdaptiveConsistency
    from .stopping import Agreement as Agreement
    from .stopping import BestOfInfinity as BestOfInfinity
    from .stopping import Consensus as Consensus
    from .stopping import FixedVotes as FixedVotes
    from .stopping import LookAhead as LookAhead
    from .stopping import TokenLimit as TokenLimit
    from .structured import Centroid as Centroid
    from .structured import ChrF as ChrF
    from .structured import JsonFieldVote as JsonFieldVote
    from .structured import JsonVote as JsonVote
    from .structured import PairSimilarity as PairSimilarity
    from .structured import Pairwise as Pairwise
    from .structured import RougeL as RougeL
    from .structured import Similarity as Similarity
    from .structured import StructuredVote as StructuredVote
    from .structured import TokenF1 as TokenF1
    from .structured import ToolCallVote as ToolCallVote
    from .synthesis import AggLM as AggLM
    from .synthesis import RandomMember as RandomMember
    from .synthesis import SelfMoA as SelfMoA
    from .synthesis import SteppedAggLM as SteppedAggLM
    from .synthesis import debate as debate
    from .synthesis import mixture_of_agents as mixture_of_agents
    from .synthesis import propose_and_aggregate as propose_and_aggregate
    from .synthesis import recursive_self_aggregation as recursive_self_aggregation
    from .synthesis import self_moa_seq as self_moa_seq
    from .votes import BestOfN as BestOfN
    from .votes import Borda as Borda
    from .votes import ByConfidence as ByConfidence
    from .votes import LabelFreeVote as LabelFreeVote
    from .votes import MajorityOfTheBests as MajorityOfTheBests
    from .votes import MajorityVote as MajorityVote
    from .votes import RuleVote as RuleVote
    from .votes import ScoredVote as ScoredVote
    from .votes import ScoreSum as ScoreSum
    from .votes import plurality_is_optimal as plurality_is_optimal

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".confidence": (
            "BottomGroups ConfidenceVote DeepConfSample DeepConfVote LowestGroup MeanLogprob SelfCertainty Tail "
            "TokenConfidence deepconf"
        ),
        ".equivalence": "MathEquivalence default_equivalence",
        ".execution": "ExecutionAgreement Limits Sandbox TestWriter Unisolated",
        ".extraction": "AnswerExtractor Boxed Choices FirstOf Hashes LastNumber LoneLetter Phrase",
        ".judges": "GenSelect JudgeRunOff Knockout Swiss UniversalSelfConsistency",
        ".panels.acting": "acting",
        ".panels.council": "Council council",
        ".panels.fusion": "fusion",
        ".stopping": ("AdaptiveConsistency Agreement BestOfInfinity Consensus ESC FixedVotes LookAhead TokenLimit"),
        ".structured": (
            "Centroid ChrF JsonFieldVote JsonVote PairSimilarity Pairwise RougeL Similarity StructuredVote "
            "TokenF1 ToolCallVote"
        ),
        ".synthesis": (
            "AggLM RandomMember SelfMoA SteppedAggLM debate mixture_of_agents propose_and_aggregate "
            "recursive_self_aggregation self_moa_seq"
        ),
        ".votes": (
            "BestOfN Borda ByConfidence LabelFreeVote MajorityOfTheBests MajorityVote RuleVote ScoreSum "
            "ScoredVote plurality_is_optimal"
        ),
    },
)
__all__ = __dir__()  # noqa: PLE0605 - a list of strings
