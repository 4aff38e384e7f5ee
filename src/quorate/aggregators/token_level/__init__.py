"""Several models that write one answer token by token; see docs/token-level.md.

| class | what it does |
|---|---|
| `SAFE` | a model made of models: the first drafts, the others judge (arXiv 2510.15346) |
| `EnsembleRule` | how they decide together: conditions, a base ensemble, sharpening |
| `Safe`, `EveryToken` | when all are asked: where they disagree at common boundaries, or always |
| `UniTE`, `GaC`, `CrossMax` | the base ensembles (arXiv 2410.03777, 2406.12585, 2408.05446) |
| `EntropyWeights` | who is surer of a token counts for more (arXiv 2410.03782) |
| `Mix` | another way to write together: one speaks at a time, drawn by the weights (arXiv 2605.00419) |
| `Glimpse` | a third one: a small model writes, a large one takes the hard steps (arXiv 2601.05110) |
| `AboveEntropy`, `AtRandom` | which steps these are: where the small one is unsure; any, to compare with |
| `PrefixMass`, `Geometric` | what sharpens a mixture that is sure of nothing |
| `Adaptive`, `Fixed` | how far drafts go |
| `Calculator`, `JsonMonitor`, `TextMonitor` | what may not be written, on any of them (arXiv 2306.10763) |
| `count_violations` | counts the tokens that stood though ensembling would have changed them |

Needs numpy, which comes with the `local` extra; a name is loaded with the module, so import it from here.
"""

from __future__ import annotations

from .conditions import Adaptive, EveryToken, Fixed, Safe
from .engine import DraftAndVerify, EnsembleRule
from .glimpse import AboveEntropy, AtRandom, Glimpse
from .json_monitor import JsonMonitor
from .mixture import CrossMax, EntropyWeights, GaC, Geometric, PrefixMass, UniTE
from .mixture_sampling import Mix
from .monitor import Calculator, Monitor, TextMonitor
from .safe import SAFE
from .violations import Violation, Violations, count_violations

__all__ = [
    "SAFE",
    "AboveEntropy",
    "Adaptive",
    "AtRandom",
    "Calculator",
    "CrossMax",
    "DraftAndVerify",
    "EnsembleRule",
    "EntropyWeights",
    "EveryToken",
    "Fixed",
    "GaC",
    "Geometric",
    "Glimpse",
    "JsonMonitor",
    "Mix",
    "Monitor",
    "PrefixMass",
    "Safe",
    "TextMonitor",
    "UniTE",
    "Violation",
    "Violations",
    "count_violations",
]
