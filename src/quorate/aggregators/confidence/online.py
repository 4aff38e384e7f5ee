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

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Event
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Equivalence, Extractor, Model, VoteCounter
from quorate.orchestrator.sampling import SamplingStage
from quorate.orchestrator.types import Question, SamplingParams

from ..stopping import Consensus
from .measures import WINDOW, LowestGroup
from .vote import ConfidenceVote, check_share
from .watching import Threshold, Watched

__all__ = ["DeepConfSample", "DeepConfVote", "deepconf"]

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

    def stream(self, question: Question, run: RunContext, tallier: VoteCounter | None = None) -> AsyncGenerator[Event, None]:
        """See `SamplingStage`; log-probabilities are asked for, and tokens are streamed whoever reads them."""
        wanted = question.sampling.over(self.sampling).top_logprobs or 0
        question = question.with_params(top_logprobs=max(wanted, LowestGroup.alternatives))
        threshold = Threshold(self.warm_up, self.keep, self.window)
        watched = tuple(Watched(model, threshold) for model in self.models)
        return SamplingStage.stream(replace(self, models=watched), question, replace(run, live=True), tallier)

    def waves(self, n: int, *, frugal: bool = False) -> Iterator[range]:  # noqa: ARG002 - always small
        """The warm-up in one wave, then the others."""
        first = min(self.warm_up, n)
        yield range(first)
        size = self.wave or self.warm_up
        yield from (range(start, min(start + size, n)) for start in range(first, n, size))


def _check_warm_up(warm_up: int) -> None:
    if warm_up < 1:
        raise BadInput(f"deepconf(warm_up={warm_up}): at least 1 trace has to set the threshold, such as 16")
