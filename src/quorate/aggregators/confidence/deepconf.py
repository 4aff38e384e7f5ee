"""DeepConf online (Fu et al., arXiv 2508.15260, section 3.3): unsure traces are stopped while they stream.

A first wave of warm-up traces runs to the end. Their lowest group confidences set the threshold, at
the percentile 100 - eta. Every later trace is stopped as soon as the mean confidence of its last
full window falls below. Traces that were stopped vote for nothing, warm-up traces below the
threshold neither; the others vote with their lowest group confidence. Sampling ends once one answer
has 95 % of the weight.

Different from the released code: the consensus stop is there, answers are counted by equivalence,
and a trace is stopped by cancelling the task that writes it, so any backend that streams log-probabilities
will do. What had come of it is a cancelled candidate, and the ledger holds what it cost. A backend
without log-probabilities gives no threshold: then nothing is stopped, and the vote is the plurality.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from math import isfinite

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Pipeline, pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.reading import Equivalence, Extractor
from quorate.orchestrator.sampling import fill, gather
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import Answer, Candidate, Question, SamplingParams, TokenLogprob

from ..specs import BuildContext, Options, PipelineSpec
from ..stopping import Consensus
from .measures import WINDOW, LowestGroup, token_confidence
from .vote import ConfidenceVote, TopShare, check_share, percentile

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
    sampling: SamplingParams | None = None,
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
        sampling=sampling or SamplingParams(),
        warm_up=warm_up,
        keep=keep,
        window=window,
    )
    vote = DeepConfVote(warm_up=warm_up, keep=keep, window=window, extractor=extractor, equivalence=equivalence)
    return pipeline(stage, vote)


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
        measure = LowestGroup(window)
        super().__init__(measure, keep=keep, extractor=extractor, equivalence=equivalence)
        self.rule: TopShare = TopShare(keep, measure.weight)
        self.warm_up = warm_up

    def values(self, known: Mapping[int, float]) -> Sequence[float | None]:
        """See `ConfidenceVote`; the threshold is that of the warm-up traces among these, of all where there is none."""
        first = [score for index, score in known.items() if index < self.warm_up]
        least = self.rule.threshold(first or list(known.values())) if known else None
        return self.rule.values(list(known.values()), least)


@dataclass(frozen=True)
class DeepConfSample(SamplingStage):
    """A sampling stage whose traces after the warm-up are stopped when they become unsure."""

    _: KW_ONLY
    warm_up: int = WARM_UP
    keep: float = KEEP
    window: int = WINDOW

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_warm_up(self.warm_up)
        check_share(self.keep, type(self).__name__)
        LowestGroup(self.window)

    @property
    def cuts(self) -> bool:
        return True

    def begin(self, question: Question) -> tuple[SamplingStage, Question]:
        """See `SamplingStage`; log-probabilities are asked for, and the models are watched."""
        wanted = question.sampling.top_logprobs or 0
        question = question.with_params(top_logprobs=max(wanted, LowestGroup.alternatives))
        threshold = Threshold(self.warm_up, self.keep, self.window)
        return replace(self, models=tuple(_Watched(model, threshold) for model in self.models)), question

    def waves(self, indices: Sequence[int], *, frugal: bool = False) -> Iterator[Sequence[int]]:  # noqa: ARG002
        """The warm-up in one wave, then the others in small ones."""
        if first := [index for index in indices if index < self.warm_up]:
            yield first
        later = [index for index in indices if index >= self.warm_up]
        size = self.wave or self.warm_up
        yield from (later[start : start + size] for start in range(0, len(later), size))


def _check_warm_up(warm_up: int) -> None:
    if warm_up < 1:
        raise BadInput(f"deepconf(warm_up={warm_up}): at least 1 trace has to set the threshold, such as 16")


@dataclass
class Threshold:
    """What one run's warm-up says."""

    warm_up: int
    keep: float
    window: int
    scores: dict[int, float] = field(default_factory=dict)
    slots: list[PartialCandidate] = field(default_factory=list)
    """Of the warm-up."""

    def note(self, candidate: Candidate) -> None:
        """A warm-up trace has ended."""
        score = LowestGroup(self.window)(candidate)
        if candidate.ok and score is not None:
            self.scores[candidate.index] = score

    @property
    def value(self) -> float | None:
        """None where no confidence is known."""
        for slot in self.slots:
            if slot.result is not None:
                self.note(slot.result)
        self.slots.clear()
        return percentile(list(self.scores.values()), 1 - self.keep) if self.scores else None


class _Watched(Wrapper):
    """A model whose traces are stopped when they fall below the threshold."""

    def __init__(self, model: Model, threshold: Threshold) -> None:
        super().__init__(model)
        self._threshold = threshold

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        return await self.model.answer(question, run)

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`; later traces are requests of their own, so that each can be stopped."""
        if slots[0].index < self._threshold.warm_up:
            # They are looked at when the next wave begins: once they have ended, this call may be cancelled.
            self._threshold.slots += slots
        elif (threshold := self._threshold.value) is not None:
            await gather([self._guard(question, slot, run, threshold) for slot in slots])
            return
        await fill(self.model, question, slots, run)

    async def _guard(self, question: Question, slot: PartialCandidate, run: RunContext, threshold: float) -> None:
        task = asyncio.create_task(fill(self.model, question, [slot], run))
        group, others = _SlidingMean(self._threshold.window), slot.on_write

        def watch(text: str, reasoning: bool, logprobs: Sequence[TokenLogprob]) -> None:
            if others is not None:
                others(text, reasoning, logprobs)
            if group.falls_below(threshold, logprobs):
                task.cancel()

        slot.on_write = watch
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():  # nobody needs any of the traces any more
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        slot.cancel()


def stopped_at(tokens: Sequence[TokenLogprob], threshold: float, window: int) -> int | None:
    """After how many of its tokens a recorded trace would have been stopped; None if it would not."""
    group = _SlidingMean(window)
    return next((n for n, token in enumerate(tokens, start=1) if group.falls_below(threshold, (token,))), None)


class _SlidingMean:
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


class DeepConfOptions(Options):
    """When a trace is stopped, and when sampling."""

    warm_up: int = Field(default=16, ge=1)
    """Traces that run to the end and set the threshold."""
    keep: float = Field(default=0.9, gt=0, le=1)
    """Share of them that lies above the threshold; the paper's eta: 0.9 seldom hurts, 0.1 saves most."""
    window: int = Field(default=2048, ge=1)
    """Tokens of a group."""
    consensus: float = Field(default=0.95, gt=0.5, le=1)
    """Share of the weight on one answer at which sampling ends."""


def _build_deepconf(context: BuildContext) -> Pipeline:
    settings = context.options.model_dump()
    built = deepconf(context.models, n=context.n, wave=context.wave, sampling=context.sampling, **settings)
    return built if context.stop is None else built.with_sampling(stop=context.stop)


PIPELINES = (
    PipelineSpec(
        "deepconf",
        "a vote of at most N samples, of which unsure ones are stopped while they stream (DeepConf online)",
        "arXiv 2508.15260, section 3.3",
        64,
        _build_deepconf,
        options=DeepConfOptions,
    ),
)
