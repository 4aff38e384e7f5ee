"""How sure a measurement is, and whether two systems really differ. Everything at level 0.95 unless told.

- `mean_interval(values, draws=None, clusters=None)`: a mean of values in [0, 1], one a question.
- `wilson(right, n)`: the same for a share of right answers.
- `bootstrap_interval(values, clusters=None, seed=0)`, `Bootstrap`: percentile intervals over questions or families.
- `paired_difference(a, b)`: right and wrong answers of two systems: Tango's interval, exact McNemar.
- `compare_paired(a, b, clusters=None, seed=0)`: the same for shares of right answers and for families of questions.
- `holm(ps)`: p of several comparisons, corrected.
- `sample_size(gain, disagreement)`, `detectable(questions, disagreement)`: what a paired evaluation can see.
- `disagreement(a, b)`, `design_effect(values, clusters)`: what those two need, from a pilot.
- `pass_at_k(samples, correct, k)`.

A family (`clusters`) is a set of questions made alike, such as from one template; questions of one
family are no independent draws. An empty name is a family of its own. docs/statistics.md has the
formulas, sources and measured coverage.
"""

from __future__ import annotations

from .base import LEVEL, Estimate, Result, require
from .means import mean_interval, pass_at_k, wilson
from .paired import PairedComparison, PairedDifference, compare_paired, holm, mcnemar, paired_difference
from .power import Detectable, Needed, detectable, disagreement, sample_size
from .resampling import RESAMPLES, Bootstrap, bootstrap_interval, design_effect, families

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Bootstrap",
    "Detectable",
    "Estimate",
    "Needed",
    "PairedComparison",
    "PairedDifference",
    "Result",
    "bootstrap_interval",
    "compare_paired",
    "design_effect",
    "detectable",
    "disagreement",
    "families",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_difference",
    "pass_at_k",
    "require",
    "sample_size",
    "wilson",
]
