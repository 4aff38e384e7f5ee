"""A thread that draws the samples of many questions together.

It starts with the first job and ends when there has been none for a while, so an agent that nobody
closes leaves nothing behind. All that both sides touch is guarded by one lock; the lock is never
held while the model computes.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from quorate.orchestrator.types import FinishReason, TokenLogprob

from .chat import Closed
from .engine import Drawn, Engine, Prompt, Row
from .text import Text
from .weights import Loaded

__all__ = ["Draft", "Job", "Update", "Worker"]

log = logging.getLogger("quorate")

LINGER = 5.0
"""Seconds that an idle thread waits for more work."""

FEW = 8
"""Fewer samples than this part of those in the batch are few."""

PATIENCE = 8
"""Steps that a few samples wait before they join by themselves."""


@dataclass(eq=False)
class Draft:
    """One sample on its way: what has been drawn of it so far."""

    index: int
    row: Row
    text: Text
    limit: int
    """Tokens at most."""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    told: int = 0
    """Of these, how many an update has told."""
    finish_reason: FinishReason | None = None
    error: Exception | None = None
    ended: float | None = None
    """When, on the monotonic clock."""

    def end(self, reason: FinishReason | None = None, error: Exception | None = None) -> str:
        """Ends it; returns the rest of its text."""
        self.row.done, self.finish_reason, self.error, self.ended = True, reason, error, time.monotonic()
        return self.text.end()

    def fresh(self) -> tuple[TokenLogprob, ...] | None:
        """Log-probabilities that no update has told."""
        if self.row.rule.top_logprobs is None:
            return None
        fresh = tuple(self.logprobs[self.told :])
        self.told = len(self.logprobs)
        return fresh


@dataclass(frozen=True, slots=True)
class Update:
    """New text of a draft, or its end."""

    draft: Draft
    piece: str
    ended: bool
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Of the tokens since the last update, where they were asked for."""


@dataclass(eq=False)
class Job:
    """The samples of one question.

    `deliver` is called from the worker's thread, once a step, with what is new; it returns False if
    nobody listens any more.
    """

    tokens: list[int]
    drafts: list[Draft]
    deliver: Callable[[list[Update]], bool]
    live: bool = True
    """Whether pieces of text are wanted as they come."""
    read: bool = False
    """Whether the model has read the prompt."""
    waiting: list[Draft] = field(init=False)
    """Drafts that have not joined the batch."""

    def __post_init__(self) -> None:
        self.waiting = list(self.drafts)


class Worker:
    """Draws jobs with one loaded model.

    Args:
        loaded: the model.
        max_batch: rows at once.
        threads: torch's threads, its own choice if None.
    """

    def __init__(self, loaded: Loaded, *, max_batch: int, threads: int | None = None) -> None:
        self._loaded = loaded
        self._max_batch = max_batch
        self._threads = threads
        self._engine = Engine(loaded.model)
        self._queue: deque[Job] = deque()
        self._active: dict[Row, tuple[Job, Draft]] = {}
        self._thread: threading.Thread | None = None
        self._closing = False
        self._held = 0
        self._changed = threading.Condition()

    def submit(self, job: Job) -> None:
        """Queues a job; its samples join the batch at the next step."""
        with self._changed:
            self._queue.append(job)
            self._changed.notify()
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(target=self._run, name="quorate-embedded", daemon=True)
                self._thread.start()
                _workers.add(self)

    def cancel(self, job: Job) -> None:
        """Drops what has not ended of a job; no token is drawn for it once this returns."""
        with self._changed:
            if job in self._queue:
                self._queue.remove(job)
            for draft in job.drafts:
                if not draft.row.done:
                    draft.end("cancelled")
                    self._active.pop(draft.row, None)

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
                self._turn()

    def _turn(self) -> None:
        """One step of everything in the batch; an error inside the model fails what was in it."""
        try:
            self._admit()
            if self._active:
                self._step()
        except Exception as error:
            log.exception("the embedded model failed")
            self._fail(list(self._active.values()), error)
            self._engine = Engine(self._loaded.model)

    def _has_work(self) -> bool:
        """Waits for work; False ends the thread."""
        with self._changed:
            while not self._closing and not self._queue and not self._active:
                if not self._changed.wait(LINGER):
                    break
            left = [*self._active.values(), *((job, draft) for job in self._queue for draft in job.waiting)]
            if left and not self._closing:
                return True
            self._queue.clear()
            self._thread, self._closing = None, False
        self._fail(left, Closed("the model was closed while it answered"))
        return False

    def _admit(self) -> None:
        """Lets waiting samples into the batch."""
        with self._changed:
            chosen = list(self._choose())
        if not chosen:
            return
        try:
            self._engine.join([Prompt(job.tokens, [draft.row for draft in drafts]) for job, drafts in chosen])
        except Exception as error:
            log.exception("the embedded model could not read a prompt")
            self._fail([(job, draft) for job, drafts in chosen for draft in drafts], error)
            return
        with self._changed:
            for job, drafts in chosen:
                job.read = True
                self._active.update({draft.row: (job, draft) for draft in drafts if not draft.row.done})

    def _choose(self) -> Iterator[tuple[Job, list[Draft]]]:
        """First come, first served; who joins makes all rows move, so a crowd waits until half the batch is free, and
        a few wait some steps for company."""
        room, waiting = self._max_batch - len(self._active), sum(len(job.waiting) for job in self._queue)
        if waiting > room and room * 2 < self._max_batch:
            return
        if 0 < waiting < len(self._active) // FEW and self._held < PATIENCE:
            self._held += 1
            return
        self._held = 0
        while self._queue and room:
            job = self._queue[0]
            drafts, job.waiting = job.waiting[:room], job.waiting[room:]
            room -= len(drafts)
            if not job.waiting:
                self._queue.popleft()
            if drafts:
                yield job, drafts

    def _step(self) -> None:
        drawn = self._engine.draw()
        news: dict[Job, list[Update]] = {}
        with self._changed:
            for one in drawn:
                if one.row in self._active:
                    job, draft = self._active[one.row]
                    piece = self._note(draft, one)
                    if draft.row.done:
                        del self._active[one.row]
                    if draft.row.done or (piece and job.live):
                        news.setdefault(job, []).append(Update(draft, piece, draft.row.done, draft.fresh()))
        for job, updates in news.items():
            if not job.deliver(updates):
                self.cancel(job)
        self._engine.advance()

    def _note(self, draft: Draft, drawn: Drawn) -> str:
        """Takes down one token; returns the text that it completes."""
        draft.tokens.append(drawn.token)
        if drawn.logprob is not None:
            spelling = self._loaded.spelling
            top = tuple((spelling(token), logprob) for token, logprob in drawn.top)
            draft.logprobs.append(TokenLogprob(token=spelling(drawn.token), logprob=drawn.logprob, top=top))
        if drawn.token in self._loaded.ends:
            return draft.end("stop")
        piece = draft.text.push(drawn.token)
        if draft.text.stopped:
            return piece + draft.end("stop")
        if len(draft.tokens) >= draft.limit:
            return piece + draft.end("length")
        return piece

    def _fail(self, lost: Sequence[tuple[Job, Draft]], error: Exception) -> None:
        """Ends these drafts with an error as a value."""
        news: dict[Job, list[Update]] = {}
        with self._changed:
            for job, draft in lost:
                self._active.pop(draft.row, None)
                if not draft.row.done:
                    news.setdefault(job, []).append(Update(draft, draft.end(error=error), True))
        for job, updates in news.items():
            job.deliver(updates)


_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """An interpreter that ends under a running thread of torch's would abort."""
    for worker in list(_workers):
        worker.close()
