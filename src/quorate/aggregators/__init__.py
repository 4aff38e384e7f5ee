"""How several answers become one.

| class | what it does |
|---|---|
| `MajorityVote` | plurality over equivalence classes (self-consistency, arXiv 2203.11171) |
| `SelfMoA` | a model writes a new answer from all candidates (arXiv 2502.00674) |
| `AdaptiveConsistency` | stops sampling when the lead is safe (arXiv 2305.11860) |
| `AnswerExtractor` | text to answer: boxes, `####`, "the answer is", the last number |
| `FirstOf`, `Boxed`, `Hashes`, `Phrase`, `LoneLetter`, `LastNumber`, `Choices` | its parts, for chains of one's own |
| `MathEquivalence` | which answers count as one: numbers, fractions, units, letters, algebra |

Each satisfies a protocol of `quorate.orchestrator.protocols`; a class of yours does as well.
Importing this loads neither sympy nor math-verify: those live in a worker process.
"""

from __future__ import annotations

from .equivalence import MathEquivalence, default_equivalence
from .extraction import AnswerExtractor, Boxed, Choices, FirstOf, Hashes, LastNumber, LoneLetter, Phrase
from .self_moa import SelfMoA
from .stopping import AdaptiveConsistency
from .vote import MajorityVote

__all__ = [
    "AdaptiveConsistency",
    "AnswerExtractor",
    "Boxed",
    "Choices",
    "FirstOf",
    "Hashes",
    "LastNumber",
    "LoneLetter",
    "MajorityVote",
    "MathEquivalence",
    "Phrase",
    "SelfMoA",
    "default_equivalence",
]
