"""What a bank of recorded answers holds, and subsets of it: the material of a replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quorate.aggregators.votes import leaders

__all__ = ["Recorded", "RecordedBank"]


@dataclass(frozen=True)
class Recorded:
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

    def take(self, positions: Sequence[int]) -> Recorded:
        """The answers at these positions, in this order."""

        def taken(entries: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(entries[p] for p in positions)

        columns = {name: taken(column) for name, column in self.columns.items()}
        return Recorded(
            self.id,
            taken(self.voters),
            taken(self.answers),
            taken(self.classes),
            taken(self.right),
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

    def spent(self, samples: int) -> float | None:
        """Tokens of the first so many answers; None where none were recorded."""
        tokens = self.columns.get("tokens")
        return None if tokens is None else float(sum(tokens[:samples]))


@dataclass(frozen=True)
class RecordedBank:
    """Recorded answers of one or several models to many questions."""

    name: str
    panel: bool
    """One answer a model: each model is a voter, and `groups` holds the one group `panel`.

    Else several answers a model: repeated samples, a group a model.
    """
    groups: Mapping[str, tuple[Recorded, ...]]
    questions: int
    has: frozenset[str]
    """What an aggregator may need and this bank has: `panel` or `samples`, `labels` (the classes mean
    the same in every question), and the columns and facts that every question has."""
