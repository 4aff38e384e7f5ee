"""The first stage of most pipelines: draw candidates until there are enough.

sample(qwen, n=16)                                   one wave of sixteen
sample(qwen, n=16, stop=AdaptiveConsistency(0.95))   waves, until the rule is sure
sample([qwen, llama], n=16)                          dealt round-robin: eight each
sample(vote, n=3)                                    a pipeline is a model, so it can propose
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import KW_ONLY, dataclass, field
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
from .proposers import proposals
from .protocols import Aggregator, Limited, Model, StoppingRule, Tallier
from .run import Run
from .types import Candidate, Cluster, Question, Sampling

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["Sample", "sample"]

DEFAULT_WAVE = 4
"""Samples in flight at once where a stopping rule may make further ones needless."""


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
) -> Sample:
    """A stage that draws `n` candidates from one or several models; compose it with `|`.

    Raises:
        BadInput: there is no model, or n or wave is below 1.
    """
    chosen = tuple(models) if isinstance(models, Sequence) else (models,)
    return Sample(chosen, n=n, stop=stop, wave=wave, sampling=sampling or Sampling())


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
    arriving: dict[int, int] = field(default_factory=dict)
    """Tokens seen of candidates that have not ended, by index."""
    ended: dict[int, Candidate] = field(default_factory=dict)
    """Candidates that ended, among them those whose event nobody has read yet."""

    async def events(self) -> AsyncGenerator[Event, None]:
        limit = self.run.budget.samples
        n = self.stage.n if limit is None else min(self.stage.n, limit)
        rule = self.stage.stop
        self.rule = rule.within(n) if isinstance(rule, Limited) else rule
        frugal = self.run.budget.tokens is not None or self.run.budget.money is not None
        for indices in self.stage.waves(n, frugal=frugal):
            reason = None
            async with aclosing(self._wave(indices)) as wave:
                async for event in wave:
                    yield event
                    if isinstance(event, StoppedEarly):
                        reason = event.reason
            if reason is not None:
                break
        else:
            if n < self.stage.n:
                yield StoppedEarly(reason=f"budget: {n} samples")
        self._check()

    async def _wave(self, indices: range) -> AsyncGenerator[Event, None]:
        """One wave; ends with `StoppedEarly` if it shall be the last."""
        if (reason := self.run.exhausted()) is not None:
            yield StoppedEarly(reason=reason)
            return
        reason = None
        async with aclosing(self._draws(indices)) as draws:
            try:
                async for event in draws:
                    async for out in self._noted(event):
                        yield out
                    if (reason := self._enough(last=self._ended(indices))) is not None:
                        break
            except TimeoutError:
                reason = self.run.exhausted() or "budget: out of time"
        for event in self._unread():
            async for out in self._noted(event):
                yield out
        if reason is not None:
            yield StoppedEarly(reason=reason)

    def _draws(self, indices: range) -> AsyncGenerator[Event, None]:
        question = self.question
        left = self.run.tokens_left()
        if left is not None:
            limit = question.sampling.max_tokens
            question = question.sampled(max_tokens=left if limit is None else min(limit, left))
        streams = [self._watched(proposals(m, question, mine, self.run)) for m, mine in self.stage.shares(indices)]
        return until(self.run.deadline, merge(streams))

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
                yield CandidateFinished(candidate=candidate)
                if self.tallier is not None:
                    self.tally = await self.tallier.tally(self.candidates)
                    yield TallyChanged(tally=self.tally)
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

    def _ended(self, indices: range) -> bool:
        return sum(c.index in indices for c in self.candidates) == len(indices)

    def _enough(self, *, last: bool) -> str | None:
        """Why to stop; a budget that ends just with the wave has cut nothing off."""
        if self.rule is not None and (reason := self.rule.stop(self.candidates, self.tally)) is not None:
            return reason
        return None if last else self.run.exhausted(sum(self.arriving.values()))

    def _unread(self) -> list[Event]:
        """What had come when sampling stopped: no finished sample is lost, a partial one counts as cancelled.

        Where nothing has finished, partial texts stand as cut by their length: the best answer so far.
        """
        read = {c.index for c in self.candidates}
        whole = {c.index: c for c in self.run.cut if c.ok or c.error is not None} | self.ended
        ended: dict[int, Event] = {
            i: CandidateFinished(candidate=c) if c.ok else CandidateFailed(candidate=c) for i, c in whole.items()
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
        if any(c.ok for c in self.candidates):
            return
        failure = next((c.error for c in self.candidates if c.error is not None), None)
        if failure is None:
            raise NoAnswer(f"no candidate before the end ({self.run.exhausted() or 'cut off'})", status=504)
        count = f"all {len(self.candidates)} candidates failed; the first: " if len(self.candidates) > 1 else ""
        raise NoAnswer(
            f"{count}{failure.message}", status=failure.status, code=failure.code, retry_after=failure.retry_after
        )
