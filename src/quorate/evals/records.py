"""Recorded answers, wherever they come from: the material of metrics, plans and replays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple

from quorate.aggregators.votes import leaders

PANEL = "panel"
"""Name of a panel's one group."""
POOLED = "all"
"""Name of the group that holds every question of every model, where there are several models."""
MOST_LABELS = 26
"""A panel with no more different answers than this is one of labels (multiple choice)."""


Unit = Literal["tokens", "money", "seconds"]
"""What systems are compared by."""
UNITS: tuple[Unit, ...] = ("tokens", "money", "seconds")


class Spent(NamedTuple):
    """What answers took; None where nobody knows."""

    tokens: float | None = None
    """Generated."""
    money: float | None = None
    seconds: float | None = None
    """Until all of them were there."""

    def by(self, unit: Unit) -> float | None:
        return self[UNITS.index(unit)]

    @classmethod
    def mean(cls, each: Iterable[Spent]) -> Spent:
        """Of several questions; None where one of them is not known."""
        return cls(*(None if None in column else fmean(column) for column in zip(*each, strict=True)))


@dataclass(frozen=True)
class AnswerRecord:
    """The recorded answers to one question; every tuple has one entry an answer, in the same order.

    A drawn subset is one of these as well: `take` makes it.
    """

    id: str
    voters: tuple[str, ...]
    """Who gave each answer: the model, or the crowd worker."""
    answers: tuple[str | None, ...]
    """As extracted; None abstains."""
    classes: tuple[int | None, ...]
    """Equivalence class of each answer within this question, from 0; None abstains."""
    right: tuple[bool, ...]
    """Within one class they may differ where classes are behaviours of programs."""
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """What else was recorded a sample: `tokens`, `scores`, `candidates`, `tests`, ... (see `reading`)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of the question."""

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, positions: Sequence[int]) -> AnswerRecord:
        """The answers at these positions, in this order."""

        def pick(entries: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(entries[p] for p in positions)

        columns = {name: pick(column) for name, column in self.columns.items()}
        return AnswerRecord(
            self.id,
            pick(self.voters),
            pick(self.answers),
            pick(self.classes),
            pick(self.right),
            columns,
            self.facts,
        )

    def credit(self, weights: Mapping[int, float]) -> float:
        """Chance of being right when the answer is drawn from the heaviest classes, all of them equally.

        Ties so get their expected credit; no weights at all are no answer.
        """
        best = set(leaders(weights))
        rights: dict[int, list[bool]] = defaultdict(list)
        for number, right in zip(self.classes, self.right, strict=True):
            if number is not None and number in best:
                rights[number].append(right)
        return sum(sum(group) / len(group) for group in rights.values()) / len(rights) if rights else 0.0

    def count_tokens(self, samples: int) -> float | None:
        """Tokens of the first so many answers; None where none were recorded."""
        tokens = self.columns.get("tokens")
        return None if tokens is None else float(sum(tokens[:samples]))

    def spend(self, samples: int, wave: int | None = None) -> Spent:
        """What the first so many answers took, asked so many at a time; all at once, if not given."""
        money, seconds = (self.columns.get(name, (None,) * len(self))[:samples] for name in ("cost", "seconds"))
        waves = [seconds[start : start + (wave or samples)] for start in range(0, samples, wave or samples)]
        return Spent(
            self.count_tokens(samples),
            None if None in money else float(sum(money)),
            None if None in seconds else float(sum(max(one, default=0.0) for one in waves)),
        )


@dataclass(frozen=True)
class RecordedBank:
    """Recorded answers of one or several models to many questions."""

    name: str
    panel: bool
    """One answer a model: each model is a voter, and `groups` holds the one group `panel`.

    Else several answers a model: repeated samples, a group a model.
    """
    groups: Mapping[str, tuple[AnswerRecord, ...]]
    questions: int
    has: frozenset[str]
    """What an aggregator may need and this bank has: `panel` or `samples`, `labels` (the classes mean
    the same in every question), and the columns and facts that every question has."""


@dataclass
class AnswerRow:
    """Answers of one model to one question."""

    question: str
    model: str
    answers: list[str | None]
    right: list[bool]
    columns: dict[str, list[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    classes: list[int | None] | None = None
    """Where classes are no equal strings."""

    def join(self, other: AnswerRow) -> None:
        """Adds answers of another line; columns that only one of them has are dropped."""
        self.answers += other.answers
        self.right += other.right
        self.columns = {n: c + other.columns[n] for n, c in self.columns.items() if n in other.columns}


def assemble(name: str, rows: Iterable[AnswerRow]) -> RecordedBank:
    """A bank of these rows, at least one; it is a panel if no model answered a question twice."""
    joined: dict[tuple[str, str], AnswerRow] = {}
    for row in rows:
        if (key := (row.question, row.model)) in joined:
            joined[key].join(row)
        else:
            joined[key] = row
    panel = all(len(row.answers) == 1 for row in joined.values())
    groups = _panel(joined.values()) if panel else _by_model(joined.values())
    records = [record for group in groups.values() for record in group]
    shared = set.intersection(*({*r.columns, *r.facts} for r in records))
    labels = {"labels"} if panel and _numbered_alike(records) else set()
    has = frozenset({"panel" if panel else "samples", *labels, *shared})
    return RecordedBank(name, panel, groups, len({row.question for row in joined.values()}), has)


def _by_model(rows: Iterable[AnswerRow]) -> dict[str, tuple[AnswerRecord, ...]]:
    groups: dict[str, list[AnswerRecord]] = defaultdict(list)
    for row in rows:
        groups[row.model].append(_record(row.question, [row], {}))
    found = {model: tuple(records) for model, records in sorted(groups.items())}
    return {**found, POOLED: tuple(r for g in found.values() for r in g)} if len(found) > 1 else found


def _panel(rows: Iterable[AnswerRow]) -> dict[str, tuple[AnswerRecord, ...]]:
    questions: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        questions[row.question].append(row)
    answers = {a for group in questions.values() for row in group for a in row.answers if a is not None}
    shared = {a: i for i, a in enumerate(sorted(answers))} if len(answers) <= MOST_LABELS < len(questions) else {}
    return {PANEL: tuple(_record(q, sorted(g, key=lambda row: row.model), shared) for q, g in questions.items())}


def _numbered_alike(records: Sequence[AnswerRecord]) -> bool:
    numbers: dict[str, set[int | None]] = defaultdict(set)
    for record in records:
        for answer, number in zip(record.answers, record.classes, strict=True):
            if answer is not None:
                numbers[answer].add(number)
    return len(numbers) <= MOST_LABELS < len(records) and all(len(found) == 1 for found in numbers.values())


def _record(question: str, rows: Sequence[AnswerRow], numbers: Mapping[str, int]) -> AnswerRecord:
    answers = [a for row in rows for a in row.answers]
    found = dict(numbers)
    classes = [None if a is None else found.setdefault(a, len(found)) for a in answers]
    own = [c for row in rows if row.classes is not None for c in row.classes]
    names = set.intersection(*(set(row.columns) for row in rows))
    return AnswerRecord(
        id=question,
        voters=tuple(row.model for row in rows for _ in row.answers),
        answers=tuple(answers),
        classes=tuple(own if len(own) == len(answers) else classes),
        right=tuple(r for row in rows for r in row.right),
        columns={name: tuple(v for row in rows for v in row.columns[name]) for name in sorted(names)},
        facts=rows[0].facts,
    )
