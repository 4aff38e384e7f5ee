"""What a report shows, as values: everything that the page, the tables and the pictures are made from.

All of it lives in memory, the questions' details compressed (`compressed.CompressedBlocks`): 200,000 samples of 500
characters take about 30 MB.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..measures import Comparison, Curve, SystemResult
from ..statistics import Estimate
from .compressed import CompressedBlocks


@dataclass(frozen=True)
class SamplePool:
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
    effective: float | None
    """Independent voters that all samples of a question amount to, by the correlation of their errors; None where none
    errs, or of one sample."""
    ece: float | None
    """Expected calibration error of the share of votes as confidence."""
    brier: float | None


@dataclass(frozen=True)
class AnswerClass:
    """Equivalent answers to one question."""

    answer: str
    """The spelling most of them used."""
    votes: int
    right: bool


@dataclass(frozen=True)
class QuestionRow:
    """What the list of questions, its filters and its search need of one question."""

    id: str
    text: str
    """The question as asked."""
    gold: str | None
    cluster: str
    credit: tuple[float | None, ...]
    """One entry a system: 1 right, 0 wrong, between them for a tie; None where it was not asked."""
    classes: tuple[AnswerClass, ...]
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
    systems: tuple[SystemResult, ...]
    pairs: tuple[Comparison, ...]
    """As they ran, each with its own tokens."""
    curves: tuple[Curve, ...]
    rows: tuple[QuestionRow, ...]
    details: CompressedBlocks
    """One JSON object a row, in the same order; see `questions.make_detail`."""
    facts: tuple[Fact, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting the figures: a run cut short, ungraded samples, repairs."""
    complete: bool = True
    """False where the run ended before its last question."""
    test: str = "exact McNemar test, two-sided"
    """Where the p values of pairs come from."""
    interval: str = "Wilson score interval, level 0.95"
    """Where the intervals of accuracies come from."""
    pools: tuple[SamplePool, ...] = ()
    equal: tuple[Comparison, ...] = ()
    """The same pairs at equal tokens; empty where none can be brought there."""
    currency: str = ""
    """Of costs; empty where prices name none."""

    @property
    def samples(self) -> int:
        return sum(row.samples for row in self.rows)

    @property
    def has_ensembles(self) -> bool:
        """Whether models of some system write together."""
        return any(system.ensembling is not None for system in self.systems)

    @property
    def clusters(self) -> tuple[str, ...]:
        """Families of questions, sorted."""
        return tuple(sorted({row.cluster for row in self.rows if row.cluster}))
