"""Where several answers to one question agree and differ, as a model that read them says."""

from __future__ import annotations

from .frozen import Frozen

__all__ = ["Analysis", "Contradiction", "Dissent", "PartialCoverage", "Stance", "UniqueInsight"]


class Stance(Frozen):
    """What one answer holds on a topic."""

    index: int
    """Of the candidate."""
    model: str
    stance: str


class Contradiction(Frozen):
    """A topic on which answers exclude each other."""

    topic: str
    stances: tuple[Stance, ...]


class PartialCoverage(Frozen):
    """A point that some answers make, and others leave out."""

    indices: tuple[int, ...]
    """Of the candidates that make it."""
    models: tuple[str, ...]
    point: str


class UniqueInsight(Frozen):
    """A point that one answer alone makes."""

    index: int
    """Of the candidate."""
    model: str
    insight: str


class Analysis(Frozen):
    """Where several answers to one question agree and differ, as a model that read them says."""

    consensus: tuple[str, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    partial_coverage: tuple[PartialCoverage, ...] = ()
    unique_insights: tuple[UniqueInsight, ...] = ()
    blind_spots: tuple[str, ...] = ()
    """What none of them has."""


class Dissent(Frozen):
    """The best text of a class of answers that lost."""

    index: int
    """Of the candidate."""
    model: str
    answer: str | None
    votes: int
    """Candidates of its class."""
    text: str
    line: str
    """The first line in which the text differs from the winner's; empty where it ends before."""
    against: str
    """What the winner has there."""
