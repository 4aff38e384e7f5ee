"""What a stopping rule sees: the samples so far as integer classes, whoever drew them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from quorate.orchestrator.progress import SamplingProgress

__all__ = ["Draws", "SequenceRule", "find_stopping_point"]


@dataclass
class Draws:
    """Samples in the order of their indices."""

    limit: int | None = None
    """How many there can be at most, where it is known."""
    drawn: int = 0
    """Samples so far, failed and cancelled ones included."""
    tokens: int = 0
    """That they cost, prompts included."""
    classes: list[int | None] = field(default_factory=list)
    """The class of each sample that is ok; None abstains."""
    counts: Counter[int] = field(default_factory=Counter)
    """Votes of each class."""

    @classmethod
    def of(cls, progress: SamplingProgress) -> Draws:
        """Of a sampling stage; every vote counts one, whatever it weighs."""
        class_of = {voter: number for number, cluster in enumerate(progress.tally) for voter in cluster.voters}
        draws = cls(progress.limit)
        for candidate in progress.candidates:
            if candidate.ok:
                draws.add(class_of.get(candidate.index), candidate.usage.total_tokens)
            else:
                draws.drawn += 1
                draws.tokens += candidate.usage.total_tokens
        if not progress.candidates:
            draws.counts.update({number: cluster.votes for number, cluster in enumerate(progress.tally)})
            draws.drawn = sum(draws.counts.values())
        return draws

    def add(self, number: int | None, tokens: int = 0) -> None:
        """One more sample."""
        self.drawn += 1
        self.tokens += tokens
        self.classes.append(number)
        if number is not None:
            self.counts[number] += 1

    @property
    def votes(self) -> list[int]:
        """Of all classes, the largest first."""
        return sorted(self.counts.values(), reverse=True)


class SequenceRule(ABC):
    """A stopping rule that needs no more than `Draws`, so it serves live sampling and replay alike.

    One that reads who agrees with whom does not stop by approximate classes.
    """

    reads_classes: ClassVar[bool] = True
    """Whether it matters to the rule which answers are one."""

    @abstractmethod
    def is_enough(self, draws: Draws) -> bool:
        """Whether to stop; called after every sample or wave."""

    @abstractmethod
    def explain(self, draws: Draws) -> str:
        """In words, where it is enough."""

    def stop(self, progress: SamplingProgress) -> str | None:
        """See `protocols.StoppingRule`."""
        if self.reads_classes and not progress.certain:
            return None
        draws = Draws.of(progress)
        return self.explain(draws) if self.is_enough(draws) else None


def find_stopping_point(
    rule: SequenceRule, classes: Iterable[int | None], *, limit: int, wave: int = 1, tokens: Sequence[int] | None = None
) -> int:
    """How many of these recorded samples a rule draws: the reference for replay.

    Args:
        rule: is asked after each wave.
        classes: of the samples in their order; None abstains.
        limit: samples at most.
        wave: samples drawn at once, all of which are paid for.
        tokens: of the samples, for rules that count them.
    """
    draws = Draws(limit)
    for place, number in enumerate(classes):
        if place >= limit:
            break
        draws.add(number, tokens[place] if tokens is not None else 0)
        if draws.drawn % wave == 0 and rule.is_enough(draws):
            break
    return draws.drawn
