"""When an edge of a graph is taken."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import BadInput
from .protocols import SamplingProgress, StoppingRule
from .state import Condition, State


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
class Agreed:
    """The answer has this share of the candidates, by classes that are certain."""

    share: float

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not 0 < self.share <= 1:
            raise BadInput(f"accept={self.share}: the share must lie above 0 and at most at 1, such as 0.8")

    def holds(self, state: State) -> str | None:
        answer = state.answer
        tally, good = (answer.tally, sum(c.ok for c in answer.candidates)) if answer is not None else ((), 0)
        votes = tally[0].votes if tally and all(cluster.certain for cluster in tally) else 0
        return f"{votes} of {good} agree" if votes and votes >= self.share * good else None

    def __str__(self) -> str:
        return f"{100 * self.share:g} % agree"


@dataclass(frozen=True)
class Chosen:
    """This is what was chosen."""

    name: str

    def holds(self, state: State) -> str | None:
        choice = state.choice
        return (choice.why or "chosen") if choice is not None and choice.chosen == self.name else None

    def __str__(self) -> str:
        return self.name
