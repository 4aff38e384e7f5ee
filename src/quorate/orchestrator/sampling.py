"""The first stage of most pipelines: draw candidates until there are enough.

sample(qwen, n=16)                                   one wave of sixteen
sample(qwen, n=16, stop=AdaptiveConsistency(0.95))   waves, until the rule is sure
sample([qwen, llama], n=16)                          dealt round-robin: eight each
sample(vote, n=3)                                    a pipeline is a model, so it can propose
sample(qwen, n=5, quorum=4, grace=0.5)               four will do; the fifth gets half a second more
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING

from .errors import BadInput, NoAnswer
from .events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    CandidateToken,
    Event,
    StoppedEarly,
    TallyChanged,
)
from .merging import merge, until
from .proposers import most_telling, proposals
from .protocols import Aggregator, Limited, Model, StoppingRule, Tallier
from .run import Run, cut_short
from .types import Candidate, Cluster, Failure, Question, Sampling

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Sample", "sample"]

DEFAULT_WAVE = 4
"""Samples in flight at once where a stopping rule may make further ones needless."""
SLACK = 0.02
"""Seconds that the count of the votes may take beyond a deadline."""


@dataclass(frozen=True)
class Sample:
    """Draws `n` candidates from its models, fewer if the stopping rule or the budget says so."""

    models: tuple[Model, ...]
    _: KW_ONLY
    n: int = 1
    stop: StoppingRule | None = None
    wave: int | None = None
    """Samples in flight at once: 1 spends fewest tokens, n has least latency."""
    sampling: Sampling = field(default_factory=Sampling)
    """Defaults where the caller sets nothing."""
    quorum: int | float | None = None
    """Good samples that will do, as a number or as a share of n: once there are so many, no further one starts,
    and those that run are cancelled after `grace`."""
    grace: float = 0.5
    """Seconds."""
    least: int = 1
    """With fewer good samples in the end there is an error instead of an answer."""
    seconds: float | None = None
    """For the whole stage; then the samples that there are go on to the aggregator."""

    def __post_init__(self) -> None:
        if not self.models:
            raise BadInput("sample() needs at least one model")
        for model in self.models:
            if not isinstance(model, Model):
                raise BadInput(f"sample({model!r}): not a model: it needs a name and a method `stream`")
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise BadInput(f"sample(n={self.n!r}): n must be a whole number, at least 1")
        if self.stop is not None and not isinstance(self.stop, StoppingRule):
            raise BadInput(f"sample(stop={self.stop!r}): not a stopping rule: it needs a method `stop`")
        if self.wave is not None and self.wave < 1:
            raise BadInput(f"sample(wave={self.wave}): a wave holds at least 1 sample")
        self._check_limits()

    def _check_limits(self) -> None:
        share = isinstance(self.quorum, float)
        if self.quorum is not None and not (0 < self.quorum < 1 if share else 1 <= self.quorum <= self.n):
            raise BadInput(f"sample(quorum={self.quorum!r}): give 1 to n={self.n} samples, or a share such as 0.8")
        if not 0 <= self.grace < math.inf:
            raise BadInput(f"sample(grace={self.grace!r}): give a number of seconds, 0 or more")
        if not 1 <= self.least <= self.n:
            raise BadInput(f"sample(least={self.least!r}): give a number from 1 to n={self.n}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise BadInput(f"sample(seconds={self.seconds!r}): give a number of seconds above 0")

    def __or__(self, aggregator: Aggregator) -> Pipeline:
        """`sample(...) | aggregate`: the pipeline of both.

        Raises:
            BadInput: what stands right of `|` is no aggregator.
        """
        if isinstance(aggregator, type) or not isinstance(aggregator, Aggregator):
            raise BadInput(f"sample(...) | {aggregator!r}: not an aggregator (an instance, such as MajorityVote())")
        from .pipeline import Pipeline

        return Pipeline(self, aggregator)

    def stream(self, question: Question, run: Run, tallier: Tallier | None = None) -> AsyncGenerator[Event, None]:
        """Events of all candidates, with the votes as they change; ends without `Done`."""
        question = question.model_copy(update={"sampling": question.sampling.over(self.sampling)})
        return _Draw(self, question, run, tallier).events()

    def sized(self, n: int) -> Sample:
        """The same stage drawing n candidates; a quorum or a minimum that is larger becomes n."""
        quorum = min(self.quorum, n) if isinstance(self.quorum, int) else self.quorum
        return replace(self, n=n, quorum=quorum, least=min(self.least, n))

    def enough(self, n: int) -> int:
        """How many good samples of n are a quorum."""
        if self.quorum is None:
            return n
        return min(n, self.quorum if isinstance(self.quorum, int) else math.ceil(self.quorum * n))

    def missed(self, candidates: Sequence[Candidate]) -> str | None:
        """That there is no quorum among the candidates of a whole stage, in words."""
        good = sum(c.ok for c in candidates)
        if self.quorum is None or good >= self.enough(self.n):
            return None
        return f"{good} good samples of {self.n}, and {self.enough(self.n)} were to be a quorum"

    @property
    def cuts(self) -> bool:
        """Samples may be cut short, so their tokens have to be known while they come."""
        return self.stop is not None or self.quorum is not None or self.seconds is not None

    def waves(self, n: int, *, frugal: bool = False) -> Iterator[range]:
        """The indices drawn together, wave after wave; small waves where all may not be needed or paid for."""
        size = self.wave or (DEFAULT_WAVE if frugal or self.stop is not None else n)
        return (range(start, min(start + size, n)) for start in range(0, n, size))

    def shares(self, indices: Sequence[int]) -> Iterator[tuple[Model, list[int]]]:
        """Who draws which index; a model's index never depends on the wave it falls into."""
        for position, model in enumerate(self.models):
            mine = [i for i in indices if i % len(self.models) == position]
            if mine:
                yield model, mine


def sample(
    models: Model | Sequence[Model],
    *,
    n: int = 1,
    stop: StoppingRule | None = None,
    wave: int | None = None,
    sampling: Sampling | None = None,
    quorum: int | float | None = None,
    grace: float = 0.5,
    least: int = 1,
    seconds: float | None = None,
) -> Sample:
    """A stage that draws `n` candidates from one or several models; compose it with `|`.

    Args:
        models: who is asked, dealt round-robin.
        n: candidates.
        stop: ends sampling once it is content.
        wave: samples in flight at once.
        sampling: settings where the caller sets nothing.
        quorum: good samples that will do, as a number or a share of n; the others are cancelled after `grace`.
        grace: seconds that the others have from then on.
        least: good samples without which there is an error instead of an answer.
        seconds: for the whole stage; then what there is goes on to the aggregator.

    Raises:
        BadInput: there is no model, or a number is impossible.
    """
    chosen = tuple(models) if isinstance(models, Sequence) else (models,)
    return Sample(
        chosen,
        n=n,
        stop=stop,
        wave=wave,
        sampling=sampling or Sampling(),
        quorum=quorum,
        grace=grace,
        least=least,
        seconds=seconds,
    )


@dataclass
class _Draw:
    """One run of a sampling stage: the candidates so far and what they amount to."""

    stage: Sample
    question: Question
    run: Run
    tallier: Tallier | None
    candidates: list[Candidate] = field(default_factory=list)
    tally: tuple[Cluster, ...] = ()
    rule: StoppingRule | None = None
    enough: int = 0
    """Good candidates that will do."""
    good: int = 0
    patience: float | None = None
    """When the others' grace ends, once there is a quorum."""
    arriving: dict[int, int] = field(default_factory=dict)
    """Tokens seen of candidates that have not ended, by index."""
    ended: dict[int, Candidate] = field(default_factory=dict)
    """Candidates that ended, among them those whose event nobody has read yet."""

    async def events(self) -> AsyncGenerator[Event, None]:
        limit = self.run.budget.samples
        n = self.stage.n if limit is None else min(self.stage.n, limit)
        rule = self.stage.stop
        self.rule = rule.within(n) if isinstance(rule, Limited) else rule
        self.enough = self.stage.enough(n)
        frugal = self.run.budget.tokens is not None or self.run.budget.money is not None
        for indices in self.stage.waves(n, frugal=frugal):
            stopped = None
            async with aclosing(self._wave(indices)) as wave:
                async for event in wave:
                    yield event
                    if isinstance(event, StoppedEarly):
                        stopped = event
            if stopped is not None:
                break
        else:
            if n < self.stage.n:
                yield StoppedEarly(reason=f"budget: {n} samples", code="budget_exhausted")
        self._check()
        if not self.run.live and (changed := await self._counted()) is not None:
            yield changed

    async def _wave(self, indices: range) -> AsyncGenerator[Event, None]:
        """One wave; ends with `StoppedEarly` if it shall be the last."""
        if (stopped := self._beforehand()) is not None:
            yield stopped
            return
        async with aclosing(self._draws(indices)) as draws:
            try:
                async for event in draws:
                    async for out in self._noted(event):
                        yield out
                    if (stopped := self._enough(last=self._ended(indices))) is not None:
                        break
            except TimeoutError:
                stopped = self._overtime()
        for event in self._unread():
            async for out in self._noted(event):
                yield out
        if stopped is not None and not (stopped.code == "stragglers_cancelled" and self._whole(indices)):
            yield stopped

    def _draws(self, indices: range) -> AsyncGenerator[Event, None]:
        question = self.question
        left = self.run.tokens_left()
        if left is not None:
            limit = question.sampling.max_tokens
            question = question.sampled(max_tokens=left if limit is None else min(limit, left))
        streams = [self._watched(proposals(m, question, mine, self.run)) for m, mine in self.stage.shares(indices)]
        return until(self.run.deadline if self.stage.quorum is None else self._until, merge(streams), self.run.halt)

    def _until(self) -> float | None:
        """When the samples that run are given up."""
        ends = (self.run.deadline, self.patience)
        return min((end for end in ends if end is not None), default=None)

    async def _watched(self, stream: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Counts where the ledger counts, before the event waits in the queue to be read."""
        async with aclosing(stream):
            async for event in stream:
                match event:
                    case CandidateToken(index=index):
                        self.arriving[index] = self.arriving.get(index, 0) + 1
                    case CandidateFinished(candidate=candidate) | CandidateFailed(candidate=candidate):
                        self.arriving.pop(candidate.index, None)
                        self.ended[candidate.index] = candidate
                    case CandidateCancelled(candidate=candidate):
                        self.arriving.pop(candidate.index, None)
                yield event

    async def _noted(self, event: Event) -> AsyncGenerator[Event, None]:
        """The event as the pipeline tells it on, after taking note of it."""
        match event:
            case CandidateFinished(candidate=candidate):
                candidate = self._voting(candidate)
                self.candidates.append(candidate)
                self.good += 1
                if self.good >= self.enough and self.patience is None:
                    self.patience = time.monotonic() + self.stage.grace
                yield CandidateFinished(candidate=candidate)
                # Where nobody looks on and nothing can be cut short, the votes count once, in the end.
                if self.run.live and (changed := await self._counted()) is not None:
                    yield changed
            case CandidateFailed(candidate=candidate) | CandidateCancelled(candidate=candidate):
                self.candidates.append(candidate)
                yield event
            case CandidateStarted() | CandidateToken():
                yield event
            case _:
                pass

    def _voting(self, candidate: Candidate) -> Candidate:
        if self.tallier is None or candidate.answer is not None:
            return candidate
        return candidate.model_copy(update={"answer": self.tallier.extract(candidate)})

    async def _counted(self) -> TallyChanged | None:
        """How the votes stand; None where there is no vote, or it cannot be counted in time."""
        if self.tallier is None:
            return None
        deadline = self.run.deadline
        try:
            async with asyncio.timeout_at(None if deadline is None else max(deadline, time.monotonic() + SLACK)):
                self.tally = await self.tallier.tally(self.candidates)
        except TimeoutError:
            return None
        return TallyChanged(tally=self.tally)

    def _ended(self, indices: range) -> bool:
        return sum(c.index in indices for c in self.candidates) == len(indices)

    def _whole(self, indices: range) -> bool:
        """Nothing had to be cancelled in the end, and nothing else was to come."""
        drawn = {c.index for c in self.candidates if c.finish_reason != "cancelled"}
        return indices.stop >= self.stage.n and drawn.issuperset(indices)

    def _beforehand(self) -> StoppedEarly | None:
        """Why a wave need not begin."""
        if (reason := self.run.exhausted()) is not None:
            return _cut_off(reason)
        return StoppedEarly(reason=f"quorum: {self.good} good samples") if self.patience is not None else None

    def _enough(self, *, last: bool) -> StoppedEarly | None:
        """Why to stop; a budget that ends just with the wave has cut nothing off."""
        if self.rule is not None and (reason := self.rule.stop(self.candidates, self.tally)) is not None:
            return StoppedEarly(reason=reason)
        if last:
            return None
        if (reason := self.run.exhausted(sum(self.arriving.values()))) is not None:
            return _cut_off(reason)
        return self._overtime() if self.patience is not None and time.monotonic() >= self.patience else None

    def _overtime(self) -> StoppedEarly:
        """A deadline has passed: the run's, the stage's, or that of the grace after a quorum."""
        deadline = self.run.deadline
        if self.patience is None or (deadline is not None and deadline <= self.patience):
            return _cut_off(self.run.exhausted() or self.run.timed_out())
        reason = f"quorum: {self.enough} good samples, and {self.stage.grace:g} s for the others"
        return StoppedEarly(reason=reason, code="stragglers_cancelled")

    def _unread(self) -> list[Event]:
        """What had come when sampling stopped: no finished sample is lost, a partial one counts as cancelled.

        Where nothing has finished, partial texts stand as cut by their length: the best answer so far.
        """
        read = {c.index for c in self.candidates}
        whole = {c.index: c for c in self.run.cut if c.ok or c.error is not None} | self.ended
        ended: dict[int, Event] = {
            i: CandidateFinished(candidate=c) if c.ok else CandidateFailed(candidate=c)
            for i, c in whole.items()
            if i not in read
        }
        best = not any(c.ok for c in whole.values())
        late = {c.index: self._partial(c, promoted=best and bool(c.text)) for c in self.run.cut}
        return [event for index, event in sorted({**late, **ended}.items()) if index not in read]

    @staticmethod
    def _partial(candidate: Candidate, *, promoted: bool) -> Event:
        if not promoted:
            return CandidateCancelled(candidate=candidate)
        return CandidateFinished(candidate=candidate.model_copy(update={"finish_reason": "length"}))

    def _check(self) -> None:
        if self.good >= self.stage.least:
            return
        drawn, failures = len(self.candidates), [c.error for c in self.candidates if c.error is not None]
        if not failures:
            raise NoAnswer(f"{self._too_few()} before the end ({self.run.exhausted() or 'cut off'})", status=504)
        if len(failures) < drawn - self.good:
            cut = f"{drawn - self.good - len(failures)} samples were cut off"
            failures.append(Failure(code="budget_exhausted", message=cut, status=504))
        worst = most_telling(failures)
        count = f"all {drawn} candidates failed; " if not self.good and drawn > 1 else ""
        count = f"{self._too_few()}; " if self.good else count
        which = "the first: " if all(f.status == worst.status for f in failures) else "among them: "
        raise NoAnswer(
            f"{count}{which if count else ''}{worst.message}",
            status=worst.status,
            code=worst.code,
            retry_after=worst.retry_after,
        )

    def _too_few(self) -> str:
        if not self.good:
            return "no candidate"
        return f"{self.good} good of {len(self.candidates)} candidates where at least {self.stage.least} are needed"


def _cut_off(reason: str) -> StoppedEarly:
    return StoppedEarly(reason=reason, code=cut_short(reason, "sample").code)
