"""At which score an answer is accepted: thresholds of a cascade, found on questions whose answers are known.

| goal | what it keeps |
|---|---|
| `KeepBudget` | the share of the questions that the last stage may be asked, on average (EERO, arXiv 2402.03779) |
| `KeepRisk` | the share of the questions on which a right last answer is replaced by a wrong one, in 95 of 100 cases |
| `LoseNothing` | accuracy: not resolved to be more than a margin below that of always asking the last stage |

EERO takes early exits for classifiers with a reject option: the questions that a stage may keep are those with its
highest scores, and how the shares are dealt to the stages before the last follows from exponential weights of their
risks. Scores of few votes are often equal, so of the questions at the threshold itself a part is accepted.

`KeepRisk` walks from strict thresholds to lax ones while a bound holds (fixed-sequence testing, as in Learn then Test,
arXiv 2110.01052, and risk-controlling prediction sets, arXiv 2101.02703). The bound is exact for exchangeable
questions: of as many new ones, more than the stated share are lost in at most 5 of 100 cases, by the hypergeometric
distribution of the losses over both halves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from math import ceil, exp, floor, fsum, inf, lgamma, sqrt
from statistics import fmean
from typing import NamedTuple, Protocol

from quorate.orchestrator.conditions import Accepted
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

TEMPERATURE = 0.05
"""Of the exponential weights: a stage with .05 less risk gets e times the share."""
CONFIDENCE = 0.95
"""How often a risk is kept."""
ONE_SIDED = 1.645
"""Standard errors below the mean that a difference lies above in 95 of 100 cases."""


class StageResult(NamedTuple):
    """What one stage made of one question."""

    score: float | None
    right: float
    """1 right, 0 wrong; between them where it was asked several times."""
    cost: float | None = None
    """Money; None where no price is known."""
    seconds: float | None = None


@dataclass(frozen=True)
class StagedQuestion:
    """One question with what every stage of a cascade would make of it."""

    id: str
    group: str
    """What must stay on one side of every split."""
    question: Question
    stages: tuple[StageResult, ...]


class ScoreLimit(NamedTuple):
    """When a stage's answer is accepted."""

    threshold: float | None
    """None: never, so the stage need not be asked."""
    tie: float = 1.0
    """Part of the questions at the threshold itself."""

    def accepts(self, question: Question, score: float | None) -> bool:
        """Whether an answer with this score is accepted."""
        if self.threshold is None or score is None or (self.tie >= 1 and score >= self.threshold):
            return score is not None and self.threshold is not None
        return Accepted(self.threshold, tie=self.tie).passes(question, score)


class Goal(Protocol):
    """What thresholds are for."""

    def find_limits(self, questions: Sequence[StagedQuestion]) -> list[ScoreLimit]:
        """One for each stage but the last.

        Raises:
            BadInput: the goal cannot be met with these stages.
        """
        ...


@dataclass(frozen=True)
class KeepBudget:
    """At most these shares of the questions reach the stages after the first; given one share, it is of the last."""

    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.shares or any(not 0 <= share <= 1 for share in self.shares):
            raise BadInput(f"budget {self}: give the share of the questions that the last stage may take, such as 0.25")
        if list(self.shares) != sorted(self.shares, reverse=True):
            raise BadInput(f"budget {self}: a later stage cannot take more questions than the one before it")

    def find_limits(self, questions: Sequence[StagedQuestion]) -> list[ScoreLimit]:
        stages = len(questions[0].stages)
        shares = self.shares if len(self.shares) > 1 else _deal_shares(questions, self.shares[0])
        if len(shares) != stages - 1:
            raise BadInput(f"budget {self}: {len(shares)} shares for {stages} stages; one for each after the first")

        def keep(stage: int, left: Sequence[StagedQuestion]) -> ScoreLimit:
            return _keep_best(left, stage, len(left) - shares[stage] * len(questions))

        return _stage_by_stage(questions, keep)

    def __str__(self) -> str:
        return ",".join(f"{share:g}" for share in self.shares)


def _deal_shares(questions: Sequence[StagedQuestion], last: float) -> tuple[float, ...]:
    """Which share reaches each stage after the first, the last one's given: EERO's exponential weights."""
    stages = len(questions[0].stages)
    risks = [1 - fmean(q.stages[stage].right for q in questions) for stage in range(stages - 1)]
    weights = [exp(-(risk - min(risks)) / TEMPERATURE) for risk in risks]
    kept = [(1 - last) * weight / fsum(weights) for weight in weights]
    return tuple(1 - fsum(kept[: stage + 1]) for stage in range(stages - 1))


@dataclass(frozen=True)
class KeepRisk:
    """At most this share of the questions loses its right answer by not asking the last stage."""

    risk: float
    _: KW_ONLY
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        for name, value in (("risk", self.risk), ("confidence", self.confidence)):
            if not 0 < value < 1:
                raise BadInput(f"{name}={value:g}: give a share between 0 and 1")

    def find_limits(self, questions: Sequence[StagedQuestion]) -> list[ScoreLimit]:
        count, part = len(questions), self.risk / (len(questions[0].stages) - 1)

        def holds(stage: int, accepted: Sequence[StagedQuestion]) -> bool:
            lost = ceil(fsum(max(0.0, q.stages[-1].right - q.stages[stage].right) for q in accepted) - 1e-9)
            return chance_of_few(lost, lost + floor(part * count) + 1, count) <= 1 - self.confidence

        return _stage_by_stage(questions, lambda stage, left: _walk(left, stage, holds))


def chance_of_few(few: int, of: int, half: int) -> float:
    """The chance that at most `few` of `of` losses fall into one half of 2 * `half` questions."""
    if of > 2 * half:
        return 0.0  # so many cannot be lost

    def log_choose(n: int, k: int) -> float:
        return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) if 0 <= k <= n else -inf

    whole = log_choose(2 * half, half)
    return fsum(exp(log_choose(of, k) + log_choose(2 * half - of, half - k) - whole) for k in range(few + 1))


@dataclass(frozen=True)
class LoseNothing:
    """Accuracy not resolved to be more than a margin below that of the last stage."""

    margin: float = 0.005

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise BadInput(f"margin={self.margin:g}: give a share of the questions between 0 and 1, such as 0.005")

    def find_limits(self, questions: Sequence[StagedQuestion]) -> list[ScoreLimit]:
        part = self.margin / (len(questions[0].stages) - 1)

        def holds(stage: int, accepted: Sequence[StagedQuestion]) -> bool:
            # One more loss than there was, so that a handful of questions without any proves nothing.
            gaps = [q.stages[stage].right - q.stages[-1].right for q in accepted] + [-1.0]
            mean = fsum(gaps) / (len(questions) + 1)
            spread = fsum(gap * gap for gap in gaps) / (len(questions) + 1) - mean * mean
            return mean - ONE_SIDED * sqrt(max(0.0, spread) / (len(questions) + 1)) > -part

        return _stage_by_stage(questions, lambda stage, left: _walk(left, stage, holds))


def _stage_by_stage(
    questions: Sequence[StagedQuestion], find: Callable[[int, Sequence[StagedQuestion]], ScoreLimit]
) -> list[ScoreLimit]:
    """A limit for each stage but the last, each found on the questions that the stages before it hand on."""
    left, limits = list(questions), []
    for stage in range(len(questions[0].stages) - 1):
        limit = find(stage, left)
        limits.append(limit)
        left = [q for q in left if not limit.accepts(q.question, q.stages[stage].score)]
    return limits


def _sorted_scores(questions: Sequence[StagedQuestion], stage: int) -> list[float]:
    """Best first; answers without a score are never accepted."""
    known = [q.stages[stage].score for q in questions]
    return sorted((score for score in known if score is not None), reverse=True)


def _keep_best(questions: Sequence[StagedQuestion], stage: int, count: float) -> ScoreLimit:
    """The limit that accepts so many of the questions, as far as they have a score."""
    scores = _sorted_scores(questions, stage)
    count = min(count, len(scores))
    if count < 1e-9:
        return ScoreLimit(None)
    threshold = scores[ceil(count - 1e-9) - 1]
    above = sum(score > threshold for score in scores)
    tied = sum(score == threshold for score in scores)
    return ScoreLimit(threshold, min(1.0, (count - above) / tied))


def _walk(
    questions: Sequence[StagedQuestion], stage: int, holds: Callable[[int, Sequence[StagedQuestion]], bool]
) -> ScoreLimit:
    """The laxest threshold up to which all hold, from the strictest one on."""
    found: float | None = None
    for threshold in dict.fromkeys(_sorted_scores(questions, stage)):
        accepted = [q for q in questions if (score := q.stages[stage].score) is not None and score >= threshold]
        if not holds(stage, accepted):
            break
        found = threshold
    return ScoreLimit(found)


@dataclass(frozen=True)
class Taken:
    """Where a cascade stopped for one question, and what that came to."""

    question: StagedQuestion
    stage: int
    limits: tuple[ScoreLimit, ...]

    @property
    def right(self) -> float:
        return self.question.stages[self.stage].right

    @property
    def asked(self) -> tuple[int, ...]:
        """The stages that were asked: a stage that never accepts is left out."""
        return tuple(i for i in range(self.stage + 1) if i == self.stage or self.limits[i].threshold is not None)

    @property
    def cost(self) -> float | None:
        costs = [self.question.stages[stage].cost for stage in self.asked]
        known = [cost for cost in costs if cost is not None]
        return fsum(known) if len(known) == len(costs) else None


def take_stages(question: StagedQuestion, limits: Sequence[ScoreLimit]) -> Taken:
    """Which stage answers."""
    for stage, limit in enumerate(limits):
        if limit.accepts(question.question, question.stages[stage].score):
            return Taken(question, stage, tuple(limits))
    return Taken(question, len(limits), tuple(limits))
