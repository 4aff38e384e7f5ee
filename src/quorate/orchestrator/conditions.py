"""When an edge of a graph is taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from typing import ClassVar

from .errors import BadInput
from .progress import SamplingProgress
from .protocols import AnswerScorer, StoppingRule
from .state import Condition, State
from .types import Answer, Question


@dataclass(frozen=True)
class Settled:
    """A stopping rule is content with the votes."""

    rule: StoppingRule
    n: int

    def holds(self, state: State) -> str | None:
        sampled = state.sampled
        if not sampled.tally:
            return None
        return self.rule.stop(SamplingProgress(self.n, list(sampled.candidates), sampled.tally))

    def __str__(self) -> str:
        return str(self.rule)


@dataclass(frozen=True)
class Unsettled(Settled):
    """It is not; and one more condition holds, and none of some others does."""

    also: Condition | None = None
    unless: tuple[Condition, ...] = ()

    def holds(self, state: State) -> str | None:
        if super().holds(state) is not None or (self.also is not None and self.also.holds(state) is None):
            return None
        if any(other.holds(state) is not None for other in self.unless):
            return None
        votes = " to ".join(str(cluster.votes) for cluster in (state.sampled.tally or ())[:2])
        return f"{votes or 'no'} votes, not settled"

    def __str__(self) -> str:
        return "not settled" if self.also is None else f"not settled, {self.also}"


@dataclass(frozen=True)
class Unfinished:
    """There are rounds to come, and the last one came to its end: somebody answered, and there is something left to
    spend."""

    most: int

    def holds(self, state: State) -> str | None:
        ended = state.sampled.stopped != "complete"
        return None if ended or state.visited(state.visits[-1].node) >= self.most else ""

    def __str__(self) -> str:
        return f"up to {self.most} times"


@dataclass(frozen=True)
class AgreementScore:
    """The share of the candidates that give the answer, by classes that are certain."""

    name: ClassVar[str] = "agreement"

    def score(self, question: Question, answer: Answer) -> float | None:  # noqa: ARG002 - votes say it all
        good = sum(candidate.ok for candidate in answer.candidates)
        if not good or not answer.tally or not all(cluster.certain for cluster in answer.tally):
            return None
        return answer.tally[0].votes / good


@dataclass(frozen=True)
class Accepted:
    """The answer has a score of so much at least."""

    threshold: float
    scorer: AnswerScorer = field(default_factory=AgreementScore)
    tie: float = 1.0
    """The part of the questions with just this score that is accepted; which ones follows from their texts. Scores of
    few votes are often equal, so a budget is kept only like this."""

    def __post_init__(self) -> None:
        if isinstance(self.threshold, bool) or not isfinite(self.threshold):
            raise BadInput(f"accept={self.threshold}: give a number that an answer's score must reach, such as 0.8")
        if not 0 <= self.tie <= 1:
            raise BadInput(f"tie={self.tie}: give a part of the questions from 0 to 1")

    def passes(self, question: Question, score: float | None) -> bool:
        """Whether an answer with this score is accepted."""
        if score is None or score < self.threshold - NEAR:
            return False
        return score > self.threshold + NEAR or self.tie >= 1 or self._draw(question.text) < self.tie

    def _draw(self, text: str) -> float:
        """A number from 0 to 1 that a question always has here, and another one at another threshold."""
        said = f"{self.scorer.name} {self.threshold!r} {self.tie!r} {text}"
        return int.from_bytes(sha256(said.encode("utf-8", "replace")).digest()[:8]) / 2**64

    def holds(self, state: State) -> str | None:
        score = self.measure(state)
        return self.explain(score) if self.passes(state.question, score) else None

    def measure(self, state: State) -> float | None:
        """The score of the answer that the state is about."""
        return None if state.answer is None else self.scorer.score(state.question, state.answer)

    def explain(self, score: float | None) -> str:
        """The score beside the threshold, in words."""
        told = "unknown" if score is None else f"{score:.3g}"
        return f"{self.scorer.name} {told}, {self.threshold:.3g} needed"

    def __str__(self) -> str:
        return f"{self.scorer.name} >= {self.threshold:.3g}"


@dataclass(frozen=True)
class NotAccepted:
    """It has not."""

    accepted: Accepted

    def holds(self, state: State) -> str | None:
        return None if self.accepted.holds(state) else self.accepted.explain(self.accepted.measure(state))

    def __str__(self) -> str:
        return "else"


@dataclass(frozen=True)
class WatchedAcceptance:
    """Always holds, and says whether the answer would have been accepted."""

    accepted: Accepted

    def holds(self, state: State) -> str:
        why = self.accepted.holds(state)
        return "" if why is None else f"{WATCHED}{why}"

    def __str__(self) -> str:
        return f"watched: {self.accepted}"


WATCHED = "would be accepted: "
"""With what the reason of an edge begins that was taken although the answer before it would have done."""
NEAR = 1e-9
"""Scores that differ by less are equal."""


@dataclass(frozen=True)
class Chosen:
    """This is what was chosen."""

    name: str

    def holds(self, state: State) -> str | None:
        choice = state.choice
        return (choice.why or "chosen") if choice is not None and choice.chosen == self.name else None

    def __str__(self) -> str:
        return self.name
