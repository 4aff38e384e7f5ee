"""DeepConf online (Fu et al., arXiv 2508.15260, section 3.3): unsure traces are stopped while they stream.

A first wave of warm-up traces runs to the end. Their lowest group confidences set the threshold, at
the percentile 100 - eta. Every later trace is stopped as soon as the mean confidence of its last
full window falls below. Traces that were stopped vote for nothing, warm-up traces below the
threshold neither; the others vote with their lowest group confidence. Sampling ends once one answer
has 95 % of the weight.

Different from the released code: the consensus stop is there, answers are counted by equivalence,
and a trace is stopped by our closing its stream, so any backend that streams log-probabilities will
do. What had come of it is a cancelled candidate, and the ledger holds what it cost. A backend
without log-probabilities gives no threshold: then nothing is stopped, and the vote is the plurality.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field, replace
from math import isfinite

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateToken,
    Event,
)
from quorate.orchestrator.merging import merge
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.proposers import proposals
from quorate.orchestrator.protocols import Equivalence, Extractor, Model, Tallier
from quorate.orchestrator.run import Run
from quorate.orchestrator.sampling import Sample
from quorate.orchestrator.types import Candidate, Question, Sampling, TokenLogprob

from ..stopping import Consensus
from .measures import WINDOW, LowestGroup, token_confidence
from .vote import ConfidenceVote, percentile

__all__ = ["DeepConfSample", "DeepConfVote", "deepconf", "stopped_at"]

WARM_UP = 16
KEEP = 0.9
"""The paper's eta as a share: 0.9 is its DeepConf-high, which seldom hurts; 0.1, DeepConf-low, saves most."""


def deepconf(
    models: Model | Sequence[Model],
    *,
    n: int = 64,
    warm_up: int = WARM_UP,
    keep: float = KEEP,
    window: int = WINDOW,
    consensus: float = 0.95,
    wave: int | None = None,
    sampling: Sampling | None = None,
    extractor: Extractor | None = None,
    equivalence: Equivalence | None = None,
) -> Pipeline:
    """DeepConf online over one or several models, as a pipeline.

    Args:
        models: must stream log-probabilities to be of use.
        n: traces at most.
        warm_up: traces that run to the end, at least 1.
        keep: eta as a share.
        window: tokens of a group.
        consensus: share of the weight at which sampling ends.
        wave: traces at once after the warm-up; as many as that if not given.
        sampling: defaults where the caller sets nothing.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.

    Raises:
        BadInput: a parameter is impossible.
    """
    chosen = tuple(models) if isinstance(models, Sequence) else (models,)
    stage = DeepConfSample(
        chosen,
        n=n,
        stop=Consensus(consensus, after=warm_up),
        wave=wave,
        sampling=sampling or Sampling(),
        warm_up=warm_up,
        keep=keep,
        window=window,
    )
    vote = DeepConfVote(warm_up=warm_up, keep=keep, window=window, extractor=extractor, equivalence=equivalence)
    return stage | vote


class DeepConfVote(ConfidenceVote):
    """Votes of the traces that are at least as sure as the warm-up's threshold, weighted by lowest group confidence.

    Args:
        warm_up: candidates below this index set the threshold.
        keep: eta as a share.
        window: tokens of a group.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.
    """

    name = "deepconf"

    def __init__(
        self,
        *,
        warm_up: int = WARM_UP,
        keep: float = KEEP,
        window: int = WINDOW,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
    ) -> None:
        _check_warm_up(warm_up)
        super().__init__(LowestGroup(window), keep=keep, extractor=extractor, equivalence=equivalence)
        self.warm_up = warm_up

    def threshold(self, scores: Mapping[int, float]) -> float:
        """See `ConfidenceVote`; of the warm-up traces among these, of all where there is none."""
        first = {index: score for index, score in scores.items() if index < self.warm_up}
        return super().threshold(first or scores)


@dataclass(frozen=True)
class DeepConfSample(Sample):
    """A sampling stage whose traces after the warm-up are stopped when they become unsure."""

    _: KW_ONLY
    warm_up: int = WARM_UP
    keep: float = KEEP
    window: int = WINDOW

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_warm_up(self.warm_up)
        ConfidenceVote(LowestGroup(self.window), keep=self.keep)

    def stream(self, question: Question, run: Run, tallier: Tallier | None = None) -> AsyncGenerator[Event, None]:
        """See `Sample`; log-probabilities are asked for, and tokens are streamed whoever reads them."""
        wanted = question.sampling.over(self.sampling).top_logprobs or 0
        question = question.sampled(top_logprobs=max(wanted, LowestGroup.alternatives))
        threshold = _Threshold(self)
        watched = tuple(_Watched(model, threshold) for model in self.models)
        return super(DeepConfSample, replace(self, models=watched)).stream(question, replace(run, live=True), tallier)

    def waves(self, n: int, *, frugal: bool = False) -> Iterator[range]:  # noqa: ARG002 - always small
        """The warm-up in one wave, then the others."""
        first = min(self.warm_up, n)
        yield range(first)
        size = self.wave or self.warm_up
        yield from (range(start, min(start + size, n)) for start in range(first, n, size))


@dataclass
class _Threshold:
    """What one run's warm-up says."""

    stage: DeepConfSample
    scores: dict[int, float] = field(default_factory=dict)

    def note(self, candidate: Candidate) -> None:
        """A warm-up trace has ended."""
        score = LowestGroup(self.stage.window)(candidate)
        if candidate.ok and score is not None:
            self.scores[candidate.index] = score

    @property
    def value(self) -> float | None:
        """None where no confidence is known."""
        return percentile(list(self.scores.values()), 1 - self.stage.keep) if self.scores else None


class _Watched:
    """A model whose traces are stopped when they fall below the threshold."""

    def __init__(self, model: Model, threshold: _Threshold) -> None:
        self.model = model
        self.name = model.name
        self._threshold = threshold

    def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        return self.model.stream(question, run)

    async def sample(self, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`; later traces are requests of their own, so that each can be stopped."""
        first = [index for index in indices if index < self._threshold.stage.warm_up]
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

    async def _guarded(self, question: Question, index: int, run: Run, threshold: float) -> AsyncGenerator[Event, None]:
        group, text = _Group(self._threshold.stage.window), ""
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

    def _stopped(self, index: int, text: str, run: Run) -> Event:
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


def _check_warm_up(warm_up: int) -> None:
    if warm_up < 1:
        raise BadInput(f"deepconf(warm_up={warm_up}): at least 1 trace has to set the threshold, such as 16")
