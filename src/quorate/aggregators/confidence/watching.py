"""Watching traces while they stream, and stopping those that fall below a threshold (see `online`)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from math import isfinite

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateCancelled, CandidateFailed, CandidateFinished, CandidateToken, Event
from quorate.orchestrator.merging import merge
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import proposals
from quorate.orchestrator.types import Candidate, Question, TokenLogprob

from .measures import LowestGroup, token_confidence
from .vote import percentile

__all__ = ["Threshold", "Watched", "stopped_at"]


@dataclass
class Threshold:
    """What one run's warm-up says."""

    warm_up: int
    keep: float
    window: int
    scores: dict[int, float] = field(default_factory=dict)

    def note(self, candidate: Candidate) -> None:
        """A warm-up trace has ended."""
        score = LowestGroup(self.window)(candidate)
        if candidate.ok and score is not None:
            self.scores[candidate.index] = score

    @property
    def value(self) -> float | None:
        """None where no confidence is known."""
        return percentile(list(self.scores.values()), 1 - self.keep) if self.scores else None


class Watched:
    """A model whose traces are stopped when they fall below the threshold."""

    def __init__(self, model: Model, threshold: Threshold) -> None:
        self.model = model
        self.name = model.name
        self._threshold = threshold

    def stream(self, question: Question, run: RunContext) -> AsyncGenerator[Event, None]:
        return self.model.stream(question, run)

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`; later traces are requests of their own, so that each can be stopped."""
        first = [index for index in indices if index < self._threshold.warm_up]
        if first:
            events = proposals(self.model, question, first, run)
        elif (threshold := self._threshold.value) is None:
            events = proposals(self.model, question, indices, run)
        else:
            events = merge([self._guarded(question, index, run, threshold) for index in indices])
        async with aclosing(events):
            async for event in events:
                if first and isinstance(event, CandidateFinished):
                    self._threshold.note(event.candidate)
                yield event

    async def _guarded(self, question: Question, index: int, run: RunContext, threshold: float) -> AsyncGenerator[Event, None]:
        group, text = _Group(self._threshold.window), ""
        async with aclosing(proposals(self.model, question, [index], run)) as events:
            async for event in events:
                yield event
                if isinstance(event, CandidateToken):
                    text += "" if event.reasoning else event.text
                    if group.falls_below(threshold, event.logprobs or ()):
                        break
            else:
                return
        yield self._stopped(index, text, run)

    def _stopped(self, index: int, text: str, run: RunContext) -> Event:
        """What the agent left when its stream was closed."""
        blank = Candidate(index=index, model=self.name, agent=self.name, text=text, finish_reason="cancelled")
        left = next((candidate for candidate in reversed(run.cut) if candidate.index == index), blank)
        if left.error is not None:
            return CandidateFailed(candidate=left)
        return CandidateFinished(candidate=left) if left.ok else CandidateCancelled(candidate=left)


def stopped_at(tokens: Sequence[TokenLogprob], threshold: float, window: int) -> int | None:
    """After how many of its tokens a recorded trace would have been stopped; None if it would not."""
    group = _Group(window)
    return next((n for n, token in enumerate(tokens, start=1) if group.falls_below(threshold, (token,))), None)


class _Group:
    """The mean confidence of the last window of tokens, as they come."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._values: deque[float] = deque()
        self._sum = 0.0

    def falls_below(self, threshold: float, tokens: Sequence[TokenLogprob]) -> bool:
        """Takes in the tokens; True once a full window is below. One that tells nothing begins a new window."""
        below = False
        for token in tokens:
            value = token_confidence(token)
            if not isfinite(value):  # it would stay in the sum for ever
                self._values.clear()
                self._sum = 0.0
                continue
            self._values.append(value)
            self._sum += value
            if len(self._values) > self._window:
                self._sum -= self._values.popleft()
            below = below or (len(self._values) == self._window and self._sum / self._window < threshold)
        return below
