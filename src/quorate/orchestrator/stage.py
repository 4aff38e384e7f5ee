"""Who draws how many candidates, and when that is enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

from .checks import check_count, check_model, check_rule, check_seconds, check_value
from .errors import BadInput
from .protocols import Model, StoppingRule
from .types import Question, SamplingParams

DEFAULT_WAVE = 4
"""Samples in flight at once where a stopping rule may make further ones needless."""


@dataclass(frozen=True)
class SamplingStage:
    """Draws `n` candidates from its models, fewer if the stopping rule or the budget says so."""

    models: tuple[Model, ...]
    _: KW_ONLY
    n: int = 1
    stop: StoppingRule | None = None
    wave: int | None = None
    """Samples in flight at once: 1 spends fewest tokens, n has least latency."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    """Defaults where the caller sets nothing."""
    quorum: int | float | None = None
    """Good samples that will do, as a number or as a share of n: once there are so many, no further one starts,
    and those that run are cancelled after `grace`."""
    grace: float = 0.5
    """Seconds."""
    min_candidates: int = 1
    """With fewer good samples in the end there is an error instead of an answer."""
    seconds: float | None = None
    """For the whole stage; then the samples that there are go on to the aggregator."""

    def __post_init__(self) -> None:
        if not self.models:
            raise BadInput("sample() needs at least one model")
        for model in self.models:
            check_model("sample()", model)
        check_count("sample(): n", self.n, 1)
        if self.stop is not None:
            check_rule("sample(stop)", self.stop)
        if self.wave is not None:
            check_count("sample(): wave", self.wave, 1)
        self._check_limits()

    def _check_limits(self) -> None:
        check_value("sample(): sampling", self.sampling, SamplingParams)
        for name, value in (("quorum", self.quorum), ("grace", self.grace)):
            if isinstance(value, bool) or not isinstance(value, int | float | None):
                raise BadInput(f"sample({name}={value!r:.60}): give a number")
        share = isinstance(self.quorum, float)
        if self.quorum is not None and not (0 < self.quorum < 1 if share else 1 <= self.quorum <= self.n):
            raise BadInput(f"sample(quorum={self.quorum!r}): give 1 to n={self.n} samples, or a share such as 0.8")
        if not 0 <= self.grace < math.inf:
            raise BadInput(f"sample(grace={self.grace!r}): give a number of seconds, 0 or more")
        check_count("sample(): min_candidates", self.min_candidates, 1)
        if self.min_candidates > self.n:
            raise BadInput(f"sample(min_candidates={self.min_candidates!r}): give a number from 1 to n={self.n}")
        check_seconds("sample(): seconds", self.seconds)

    def with_n(self, n: int) -> SamplingStage:
        """The same stage drawing n candidates; a quorum or a minimum that is larger becomes n."""
        quorum = min(self.quorum, n) if isinstance(self.quorum, int) else self.quorum
        return replace(self, n=n, quorum=quorum, min_candidates=min(self.min_candidates, n))

    def quorum_size(self, n: int) -> int:
        """How many good samples of n are a quorum."""
        if self.quorum is None:
            return n
        return min(n, self.quorum if isinstance(self.quorum, int) else math.ceil(self.quorum * n))

    @property
    def cuts(self) -> bool:
        """Samples may be cut short, so their tokens have to be known while they come."""
        return self.stop is not None or self.quorum is not None or self.seconds is not None

    def begin(self, question: Question) -> tuple[SamplingStage, Question]:
        """The stage and the question of one run; a stage that keeps account of its run is made anew for each."""
        return self, question

    def waves(self, indices: Sequence[int], *, frugal: bool = False) -> Iterator[Sequence[int]]:
        """The indices drawn together, wave after wave; small waves where all may not be needed or paid for."""
        size = self.wave or (DEFAULT_WAVE if frugal or self.stop is not None else len(indices))
        return (indices[start : start + size] for start in range(0, len(indices), size))

    def sum_over_samples(self, of: Callable[[Model], int]) -> int:
        """The sum of what each sample's model has, found without going through all samples."""
        whole, rest = divmod(self.n, len(self.models))
        return sum(of(model) * (whole + (place < rest)) for place, model in enumerate(self.models))

    def model_of(self, index: int) -> Model:
        """Who draws an index: dealt round-robin, whatever the wave it falls into."""
        return self.models[index % len(self.models)]
