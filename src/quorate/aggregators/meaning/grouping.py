"""Who says which texts of prose mean the same, and what can be promised of what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.reading import Equivalence
from quorate.orchestrator.types import Cluster, Question

from .lexical import LexicalClasses


class ProseClasses(Equivalence, Protocol):
    """An `Equivalence` of texts that says what it can promise."""

    certain: bool
    """Whether the classes that it gave last may stop sampling and state a confidence."""
    problem: str
    """Why it could not do what it was made for, in words; empty where it could."""
    complete: bool
    """Whether no answer comes any more; set by who knows, so that a model is not asked about every set that grows."""


class Grouping(Protocol):
    """Makes the classes of one question's answers."""

    @property
    def models(self) -> tuple[Model, ...]:
        """Those that it may ask."""
        ...

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        """The same over other models."""
        ...

    @property
    def calls(self) -> int:
        """Most answers of these models that one set takes."""
        ...

    def bind(self, question: Question, run: RunContext) -> ProseClasses:
        """The classes of answers to this question.

        Args:
            question: as it was asked.
            run: whose ledger pays for models that are asked.
        """
        ...

    async def aclose(self) -> None:
        """Closes models and connections."""
        ...


class LexicalGrouping:
    """Groups by shared words; approximate, and free."""

    models: tuple[Model, ...] = ()
    calls = 0

    def map_models(self, change: Callable[[Model], Model]) -> Self:  # noqa: ARG002
        return self

    def bind(self, question: Question, run: RunContext) -> ProseClasses:  # noqa: ARG002
        return LexicalClasses(question.text)

    async def aclose(self) -> None:
        """Nothing is open."""

    def __repr__(self) -> str:
        return "LexicalGrouping()"


@dataclass(frozen=True)
class SemanticAgreement:
    """How far a set of answers agrees."""

    share: float
    """Of the votes, on the first class."""
    entropy: float
    """Semantic entropy of the classes in nats (Farquhar et al., Nature 630, 2024, discrete form); 0 where all agree."""


def measure_agreement(tally: Sequence[Cluster]) -> SemanticAgreement | None:
    """Share and semantic entropy of the votes; None where the classes are approximate or there are none."""
    votes = [cluster.votes for cluster in tally]
    total = sum(votes)
    if not total or not all(cluster.certain for cluster in tally):
        return None
    return SemanticAgreement(votes[0] / total, max(0.0, -sum(v / total * log(v / total) for v in votes if v)))
