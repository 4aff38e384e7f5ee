"""What a report shows, as values: everything that the page, the tables and the pictures are made from.

All of it lives in memory, the questions' details compressed (`blocks.Blocks`): 200,000 samples of 500
characters take about 30 MB.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..measures import Ensembled
from ..statistics import Estimate
from .blocks import Blocks

__all__ = ["Class", "Crowd", "Curve", "Fact", "Pair", "Point", "ReportData", "Row", "System"]


@dataclass(frozen=True)
class System:
    """One row of the summary: a pipeline that was asked, or an aggregator replayed on recorded samples.

    Tokens, money and seconds are means per question, as if the system ran alone; None where not recorded.
    """

    name: str
    accuracy: Estimate
    """A question without an answer counts as wrong."""
    questions: int
    samples: float
    """Mean per question."""
    tokens: float | None = None
    prompt_tokens: float | None = None
    cost: float | None = None
    seconds: float | None = None
    pass_1: Estimate | None = None
    """Chance that one of its candidates, taken at random, is right."""
    pass_k: Estimate | None = None
    """Chance that any of its candidates is right: the ceiling of choosing among them."""
    k: int = 0
    """Candidates of the question that had most."""
    tokens_per_second: float | None = None
    """See `PipelineResult`."""
    ensembling: Ensembled | None = None
    """What models that write together decided together."""
    errors: int = 0
    """Questions without an answer."""
    degraded: int = 0
    """Questions where something did not go as configured although there was an answer."""
    error: str | None = None
    """Why the first of the failed questions has no answer."""
    replayed: bool = False
    best: bool = False
    """On the Pareto front of accuracy against tokens: none is as accurate for fewer."""


@dataclass(frozen=True)
class Pair:
    """Accuracy of a minus that of b on the same questions."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    """Two-sided; see `ReportData.test`."""
    adjusted: float
    """The same after Holm's correction over all pairs of the table."""
    note: str = ""
    """What was done to bring the two to equal tokens, or why that could not be."""


@dataclass(frozen=True)
class Point:
    """One number of samples."""

    k: int
    accuracy: Estimate
    tokens: float | None = None
    """Mean per question."""
    cost: float | None = None


@dataclass(frozen=True)
class Curve:
    """Accuracy of one way to aggregate over growing numbers of samples of one model."""

    group: str
    """The model, or `panel`."""
    name: str
    points: tuple[Point, ...]
    ceiling: bool = False
    """No system: what a perfect choice among the samples would reach."""


@dataclass(frozen=True)
class Crowd:
    """All samples of one model: what there is to choose from."""

    name: str
    questions: int
    samples: int
    k: int
    """Samples of the question that had most."""
    single: Estimate
    """pass@1."""
    majority: Estimate | None
    """Plurality of all samples; None of one sample a question."""
    oracle: Estimate | None
    """pass@k: some sample is right."""
    agreement: float | None
    """Chance that two answers to one question are equal."""
    error_agreement: float | None
    """The same for two wrong answers: what leads a vote astray."""
    ece: float | None
    """Expected calibration error of the share of votes as confidence."""
    brier: float | None


@dataclass(frozen=True)
class Class:
    """Equivalent answers to one question."""

    answer: str
    """The spelling most of them used."""
    votes: int
    right: bool


@dataclass(frozen=True)
class Row:
    """What the list of questions, its filters and its search need of one question."""

    id: str
    text: str
    """The question as asked."""
    gold: str | None
    cluster: str
    credit: tuple[float | None, ...]
    """One entry a system: 1 right, 0 wrong, between them for a tie; None where it was not asked."""
    classes: tuple[Class, ...]
    """Most votes first, over all models' samples."""
    abstained: int
    """Samples in which no answer was found, or that failed."""
    right: int | None
    """Right samples; None where nobody graded them."""
    tokens: int
    """Generated, of all samples."""

    @property
    def samples(self) -> int:
        return sum(c.votes for c in self.classes) + self.abstained

    @property
    def agreement(self) -> float | None:
        """Share of the largest class among the samples with an answer; None where none has one."""
        answered = self.samples - self.abstained
        return max(c.votes for c in self.classes) / answered if answered else None


@dataclass(frozen=True)
class Fact:
    """One line of how the figures came about."""

    group: str
    """`Task`, `RunContext`, `Models`, `Versions`, ..."""
    name: str
    value: str


@dataclass(frozen=True)
class ReportData:
    """One report."""

    title: str
    """The task, and what tells this run from others."""
    systems: tuple[System, ...]
    pairs: tuple[Pair, ...]
    """As they ran, each with its own tokens."""
    curves: tuple[Curve, ...]
    rows: tuple[Row, ...]
    details: Blocks
    """One JSON object a row, in the same order; see `detail.detail`."""
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting the figures: a run cut short, ungraded samples, repairs."""
    complete: bool = True
    """False where the run ended before its last question."""
    test: str = "exact McNemar test, two-sided"
    """Where the p values of pairs come from."""
    interval: str = "Wilson score interval, level 0.95"
    """Where the intervals of accuracies come from."""
    crowds: tuple[Crowd, ...] = ()
    equal: tuple[Pair, ...] = ()
    """The same pairs at equal tokens; empty where none can be brought there."""
    currency: str = ""
    """Of costs; empty where prices name none."""

    @property
    def samples(self) -> int:
        return sum(row.samples for row in self.rows)

    @property
    def together(self) -> bool:
        """Whether models of some system write together."""
        return any(system.ensembling is not None for system in self.systems)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Families of questions, sorted."""
        return tuple(sorted({row.cluster for row in self.rows if row.cluster}))
