"""What recorded samples and outcomes are worth, as small frozen values with `as_json()`; nothing here reads a file.

On recorded answers (`records: Sequence[AnswerRecord]`, such as a group of a `RecordedBank`; a family of
questions is `record.facts["cluster"]`):

- `at_k(records, aggregator, k)` -> `AtK`: any aggregator of the replay at k, unbiased, with its Monte Carlo error;
  `pass_at_k(samples, correct, k)` and `maj_at_k(record, k)` for one question.
- `curve(records, aggregator, ks=None)` -> `Curve` of `AtK`: over k and over tokens;
  `curve.at_tokens(budget)` -> credit of each question at so many tokens.
- `headroom(records)` -> `Headroom`: pass@1, majority, oracle, and what a better choice could still win.
- `agreement(records)` -> `AnswerAgreement`: plurality share, entropy, pair agreement, Fleiss' kappa, how alike
  the errors are.
- `measure_effective_votes(records)` -> `EffectiveVotes`: how many independent voters, with grades or not.
- `tally_confidence(records)` -> (confidences, credits); `calibration(confidences, credits)` -> `Calibration`:
  ECE, Brier, reliability bins, risk-coverage, AURC.
- `token_spending(records)` -> `Spread`.

On outcomes of pipelines (`evals.outcome.Outcome`):

- `measure_spending(outcomes)` -> `Spending`: tokens, cost and seconds with medians and tails.
- `measure_pipeline(name, outcomes)` -> `SystemResult`; `compare_pairs(...)` -> `Comparison`s as they ran.
- `measure_ensembling(outcomes)` -> `Ensembled`: what models that write together decided together, and how often
  they agreed; `tokens_per_second(outcomes)`: how fast one answer came.
- `list_systems(outcomes, records)`, `recorded_systems(bank)` -> `System`s; `compare_systems(systems, by="tokens")` ->
  `Comparisons`: all pairs at equal tokens, money or seconds, paired and by family, Holm-corrected, with what the
  evaluation can detect.
- `task_scores(systems)`, `resampled_scores(systems)`: what `evals.ranking.rank` takes.

On either: `pareto(points)` -> names on the accuracy-cost front. `evals.ranking` ranks systems over
tasks, `evals.planning` says how many samples are worth buying, `evals.statistics` has intervals and tests.
The same seed and bank give the same numbers.
"""

from __future__ import annotations

from ..statistics import pass_at_k
from .agreement import AnswerAgreement, EffectiveVotes, agreement, measure_effective_votes
from .calibration import Bin, Calibration, RiskPoint, calibration, tally_confidence
from .comparing import Comparisons, SystemPair, compare_systems
from .curves import AtK, Curve, Headroom, at_k, curve, headroom, maj_at_k, sizes
from .results import (
    Comparison,
    Ensembled,
    Point,
    Spending,
    Spread,
    SystemResult,
    compare_pairs,
    mark_fronts,
    measure_ensembling,
    measure_pipeline,
    measure_spending,
    pareto,
    spread,
    token_spending,
    tokens_per_second,
)
from .systems import (
    Played,
    Scaling,
    System,
    best_first,
    list_systems,
    recorded_systems,
    resampled_scores,
    task_scores,
)

__all__ = [
    "AnswerAgreement",
    "AtK",
    "Bin",
    "Calibration",
    "Comparison",
    "Comparisons",
    "Curve",
    "EffectiveVotes",
    "Ensembled",
    "Headroom",
    "Played",
    "Point",
    "RiskPoint",
    "Scaling",
    "Spending",
    "Spread",
    "System",
    "SystemPair",
    "SystemResult",
    "agreement",
    "at_k",
    "best_first",
    "calibration",
    "compare_pairs",
    "compare_systems",
    "curve",
    "headroom",
    "list_systems",
    "maj_at_k",
    "mark_fronts",
    "measure_effective_votes",
    "measure_ensembling",
    "measure_pipeline",
    "measure_spending",
    "pareto",
    "pass_at_k",
    "recorded_systems",
    "resampled_scores",
    "sizes",
    "spread",
    "tally_confidence",
    "task_scores",
    "token_spending",
    "tokens_per_second",
]
