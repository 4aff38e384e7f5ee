"""One question's candidates as a selector sees them: who gave which class, and how each compares with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, fsum, isfinite, sqrt

from quorate.orchestrator.types import Candidate, Cluster, Question

CandidateMeasure = Callable[[Candidate], float | None]
"""A number of one candidate; None where it cannot be told."""


def name_source(candidate: Candidate) -> str:
    """Who gave a candidate: its agent, else its model, and the prompt where it has a version."""
    name = candidate.agent or candidate.model
    return f"{name} {candidate.prompt_version}" if candidate.prompt_version else name


@dataclass(frozen=True)
class CandidateView:
    """The candidates of one question that are ok, in the order of their index."""

    question: Question
    candidates: tuple[Candidate, ...]
    classes: tuple[int | None, ...]
    """Class of each candidate's answer, numbered from 0; None abstains."""
    answers: tuple[str, ...] = ()
    """The spelling of each class."""
    scores: tuple[float | None, ...] = ()
    """A verifier's score of each candidate; empty where there is no verifier."""
    _relative: dict[CandidateMeasure | str, tuple[float, ...]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        question: Question,
        candidates: Sequence[Candidate],
        found: Sequence[Cluster],
        scores: Sequence[float | None] = (),
    ) -> CandidateView:
        """The view of these candidates, of which those that are ok are read, and their classes.

        Args:
            found: classes of their answers; voters are indices of candidates.
            scores: one a candidate, failed ones included, or none at all.
        """
        score_of = dict(zip((c.index for c in candidates), scores, strict=False))
        voters = sorted((c for c in candidates if c.ok), key=lambda c: c.index)
        number = {voter: i for i, cluster in enumerate(found) for voter in cluster.voters}
        return cls(
            question,
            tuple(voters),
            tuple(number.get(c.index) for c in voters),
            tuple(cluster.answer for cluster in found),
            tuple(score_of[c.index] for c in voters) if scores else (),
        )

    @cached_property
    def members(self) -> dict[int, tuple[int, ...]]:
        """Places of the candidates of each class that has any."""
        found: dict[int, list[int]] = {}
        for place, number in enumerate(self.classes):
            if number is not None:
                found.setdefault(number, []).append(place)
        return {number: tuple(places) for number, places in sorted(found.items())}

    @cached_property
    def cast(self) -> int:
        """How many candidates voted for anything."""
        return sum(map(len, self.members.values()))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """Who gave each candidate."""
        return tuple(map(name_source, self.candidates))

    def relative(self, measure: CandidateMeasure) -> tuple[float, ...]:
        """The measure of each candidate in deviations from the mean over all; 0 where it cannot be told."""
        if measure not in self._relative:
            self._relative[measure] = standardize([measure(c) for c in self.candidates])
        return self._relative[measure]

    @property
    def relative_scores(self) -> tuple[float, ...]:
        """The same of the verifier's scores."""
        if "scores" not in self._relative:
            self._relative["scores"] = standardize(self.scores or [None] * len(self.candidates))
        return self._relative["scores"]

    def mean(self, number: int, values: Sequence[float]) -> float:
        """Mean over the members of a class of values that each candidate has."""
        places = self.members[number]
        return fsum(values[i] for i in places) / len(places)

    def softmax_share(self, number: int, values: Sequence[float]) -> float:
        """The part of a softmax over all that voted which falls on this class."""
        whole = fsum(exp(values[i]) for places in self.members.values() for i in places)
        return fsum(exp(values[i]) for i in self.members[number]) / whole


def standardize(values: Sequence[float | None]) -> tuple[float, ...]:
    """Deviations from the mean in standard deviations; 0 where a value is missing, or all are equal."""
    known = [v for v in values if v is not None and isfinite(v)]
    mean = fsum(known) / max(1, len(known))
    spread = sqrt(fsum((v - mean) ** 2 for v in known) / max(1, len(known)))
    if spread < 1e-12:
        return (0.0,) * len(values)
    return tuple((v - mean) / spread if v is not None and isfinite(v) else 0.0 for v in values)
