"""A thread that draws the samples of many questions together.

It starts with the first job and ends when there has been none for a while, so an agent that nobody
closes leaves nothing behind. All that both sides touch is guarded by one lock; the lock is never
held while the model computes.
"""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from quorate.orchestrator.errors import ModelClosed, QuorateError
from quorate.orchestrator.types import Failure, FinishReason, TokenLogprob
from quorate.orchestrator.usage import Usage

from .batch_engine import LOST, BatchPrompt, BatchRow, DrawnToken
from .batch_groups import BatchGroups
from .batch_places import BatchPlaces
from .chat import IncrementalDetokenizer
from .weights import LoadedModel

log = logging.getLogger("quorate")

LINGER = 5.0
"""Seconds that an idle thread waits for more work."""

FEW = 8
"""Fewer samples than this part of those in the batch are few."""

PATIENCE = 8
"""Steps that a few samples wait before they join by themselves."""


@dataclass(eq=False)
class SampleState:
    """One sample on its way: what has been drawn of it so far."""

    index: int
    row: BatchRow
    text: IncrementalDetokenizer
    limit: int
    """Tokens at most."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    delivered: int = 0
    """Of these, how many a delta has told."""
    finish_reason: FinishReason | None = None
    error: QuorateError | Failure | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self.finish_reason is not None or self.error is not None

    def end(self, reason: FinishReason | None = None, error: Exception | None = None) -> str:
        """Ends it; returns the rest of its text."""
        self.finish_reason = reason
        if error is None or isinstance(error, QuorateError):
            self.error = error
        else:
            self.error = Failure(code="model_crashed", message=f"{type(error).__name__}: {error}", status=500)
        return self.text.end()

    @property
    def told_logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Those of all its tokens; None where nobody asked for any."""
        return None if self.row.rule.top_logprobs is None else tuple(self.logprobs)

    def take_logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Those that no delta has told; None where nobody asked for any."""
        if self.row.rule.top_logprobs is None:
            return None
        fresh = tuple(self.logprobs[self.delivered :])
        self.delivered = len(self.logprobs)
        return fresh


@dataclass(frozen=True, slots=True)
class SampleDelta:
    """New text of a sample, or its end."""

    sample: SampleState
    text: str
    ended: bool
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Of the tokens since the last delta, where they were asked for."""


@dataclass(eq=False)
class SamplingJob:
    """The samples of one question."""

    tokens: list[int]
    """Of the prompt."""
    samples: list[SampleState]
    deliver: Callable[[SamplingJob, list[SampleDelta]], bool]
    """Called from the worker's thread, once a step, with what is new; returns False if nobody listens any more."""
    live: bool = True
    """Whether pieces of text are wanted as they come."""
    read: bool = False
    """Whether the model has read the prompt."""
    places: int = 1
    """Of the batch, that each sample takes; set by the worker."""
    waiting: list[SampleState] = field(init=False)
    """Samples that have not joined the batch."""

    def __post_init__(self) -> None:
        self.waiting = list(self.samples)

    def usage_of(self, sample: SampleState) -> Usage:
        """What a sample has cost so far; the first one bears the prompt."""
        first = sample is self.samples[0]
        return Usage(
            prompt_tokens=len(self.tokens) if first and self.read else 0,
            completion_tokens=len(sample.tokens),
            requests=int(first),
        )


class BatchWorker:
    """Draws jobs with one loaded model.

    Args:
        loaded: the model.
        max_batch: samples at once; as many as fit into the free memory if None.
        threads: torch's threads, its own choice if None.
    """

    def __init__(self, loaded: LoadedModel, *, max_batch: int | None = None, threads: int | None = None) -> None:
        self._loaded = loaded
        self._places = BatchPlaces(loaded.model, max_batch)
        self._threads = threads
        self._engine = BatchGroups(loaded.model)
        self._queue: deque[SamplingJob] = deque()
        self._active: dict[BatchRow, tuple[SamplingJob, SampleState]] = {}
        self._thread: threading.Thread | None = None
        self._closing = False
        self._waited = 0
        self._changed = threading.Condition()

    def submit(self, job: SamplingJob) -> None:
        """Queues a job; its samples join the batch at the next step."""
        job.places = self._places.of(len(job.tokens), max(sample.limit for sample in job.samples))
        with self._changed:
            self._queue.append(job)
            self._changed.notify()
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._run, name="quorate-embedded", daemon=True)
                self._thread.start()
                _workers.add(self)

    def cancel(self, job: SamplingJob) -> None:
        """Drops what has not ended of a job; no token is taken for it once this returns."""
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
            for sample in job.samples:
                if not sample.ended:
                    sample.end("cancelled")
                    self._active.pop(sample.row, None)

    def close(self) -> None:
        """Fails what is left and waits for the thread to end; the next job starts another."""
        with self._changed:
            thread, self._closing = self._thread, True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._has_work():
                self._take_turn()

    def _take_turn(self) -> None:
        """One step of everything in the batch; an error inside the model fails what was in it."""
        try:
            self._admit()
            if self._active:
                self._step()
        except Exception as error:
            log.exception("the embedded model failed")
            self._fail(list(self._active.values()), error)
            self._engine = BatchGroups(self._loaded.model)

    def _has_work(self) -> bool:
        """Waits for work; False ends the thread."""
        with self._changed:
            if not self._active:
                self._engine = BatchGroups(self._loaded.model)  # rows that were cancelled keep no memory
            while not self._closing and not self._queue and not self._active:
                if not self._changed.wait(LINGER):
                    break
            left = [*self._active.values(), *((job, sample) for job in self._queue for sample in job.waiting)]
            if left and not self._closing:
                return True
            self._queue.clear()
            self._engine = BatchGroups(self._loaded.model)
            self._thread, self._closing = None, False
        self._fail(left, ModelClosed("the model was closed while it answered"))
        return False

    def _admit(self) -> None:
        """Lets waiting samples into the batch."""
        with self._changed:
            chosen = list(self._choose_next())
        if not chosen:
            return
        try:
            self._engine.join([BatchPrompt(job.tokens, [sample.row for sample in samples]) for job, samples in chosen])
        except Exception as error:
            log.exception("the embedded model could not read a prompt")
            self._fail([(job, sample) for job, samples in chosen for sample in samples], error)
            return
        with self._changed:
            for job, samples in chosen:
                job.read = True
                self._active.update({sample.row: (job, sample) for sample in samples if not sample.ended})

    def _choose_next(self) -> Iterator[tuple[SamplingJob, list[SampleState]]]:
        """First come, first served; who joins makes all rows move, so a crowd waits until half the batch is free, and
        a few wait some steps for company."""
        most, taken = self._places.count, sum(job.places for job, _ in self._active.values())
        free, waiting = most - taken, sum(job.places * len(job.waiting) for job in self._queue)
        if waiting > free and free * 2 < most:
            return
        if 0 < waiting < taken // FEW and self._waited < PATIENCE:
            self._waited += 1
            return
        self._waited = 0
        while self._queue and (fitting := free // self._queue[0].places):
            job = self._queue[0]
            samples, job.waiting = job.waiting[:fitting], job.waiting[fitting:]
            free -= len(samples) * job.places
            if not job.waiting:
                self._queue.popleft()
            if samples:
                yield job, samples

    def _step(self) -> None:
        drawn = self._engine.draw()
        news: dict[SamplingJob, list[SampleDelta]] = {}
        with self._changed:
            for one in drawn:
                if one.row in self._active:
                    job, sample = self._active[one.row]
                    piece = self._record(sample, one)
                    if sample.ended:
                        del self._active[one.row]
                    if sample.ended or (piece and job.live):
                        news.setdefault(job, []).append(
                            SampleDelta(sample, piece, sample.ended, sample.take_logprobs())
                        )
        for job, deltas in news.items():
            if not job.deliver(job, deltas):
                self.cancel(job)
        for one in drawn:  # only here, as the engine counts its rows more than once: a call may be cancelled meanwhile
            one.row.done = one.row not in self._active
        self._engine.advance()

    def _record(self, sample: SampleState, drawn: DrawnToken) -> str:
        """Takes down one token; returns the text that it completes."""
        if drawn.token == LOST:
            return sample.end(error=ArithmeticError("its logits are not numbers"))
        sample.tokens.append(drawn.token)
        if drawn.logprob is not None:
            spell = self._loaded.spell
            top = tuple((spell(token), logprob) for token, logprob in drawn.top)
            sample.logprobs.append(TokenLogprob(token=spell(drawn.token), logprob=drawn.logprob, top=top))
        if drawn.token in self._loaded.ends:
            return sample.end("stop")
        piece = sample.text.push(drawn.token)
        if sample.text.stopped:
            return piece + sample.end("stop")
        if len(sample.tokens) >= sample.limit:
            return piece + sample.end("length")
        return piece

    def _fail(self, lost: Sequence[tuple[SamplingJob, SampleState]], error: Exception) -> None:
        """Ends these samples with an error as a value."""
        news: dict[SamplingJob, list[SampleDelta]] = {}
        with self._changed:
            for job, sample in lost:
                self._active.pop(sample.row, None)
                if not sample.ended:
                    news.setdefault(job, []).append(SampleDelta(sample, sample.end(error=error), True))
        for job, deltas in news.items():
            job.deliver(job, deltas)


_workers: weakref.WeakSet[BatchWorker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """An interpreter that ends under a running thread of torch's would abort."""
    for worker in list(_workers):
        worker.close()
