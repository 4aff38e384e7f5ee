"""Where answers are written: in a thread, many at a time, or on the event loop, each as a task.

Models that compute in this process share one batch, so their answers are written together by a thread
that starts with the first and ends when there has been none for a while. Models behind a server are
batched there, so each answer is a task of its own. Where both kinds write together, the ones in this
process compute in threads.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from quorate.orchestrator.tokens import Draft, DraftAsk, ScoreAsk, Scores, TokenModel, Vocabulary
from quorate.orchestrator.types import Question

from .writing import Writing

__all__ = ["Aside", "News", "Room", "Tasks", "Thread", "finished"]

log = logging.getLogger("quorate")

LINGER = 5.0
"""Seconds that an idle thread waits for more work."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class News:
    """New text of an answer, or its end."""

    writing: Writing
    piece: str
    done: bool
    """Whether this is the last of it; the writing itself may have gone on since."""


class Cycling(Protocol):
    """What a room needs of an engine; see `engine.Engine`."""

    async def cycle(self, writings: Sequence[Writing]) -> None: ...

    def release(self, writings: Sequence[Writing]) -> None: ...


class Room:
    """Where answers are written."""

    def write(self, writings: Sequence[Writing]) -> AsyncGenerator[News, None]:
        """News until every answer has ended; closing it stops what has not."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Stops what is being written."""


class Tasks(Room):
    """Each answer by itself, on the event loop."""

    def __init__(self, engine: Cycling) -> None:
        self._engine = engine

    async def write(self, writings: Sequence[Writing]) -> AsyncGenerator[News, None]:
        """See `Room`."""
        queue: asyncio.Queue[News] = asyncio.Queue()
        tasks = [asyncio.ensure_future(self._one(writing, queue)) for writing in writings]
        left = len(writings)
        try:
            while left:
                news = await queue.get()
                left -= news.done
                yield news
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._engine.release(writings)

    async def _one(self, writing: Writing, queue: asyncio.Queue[News]) -> None:
        while not writing.done:
            try:
                await self._engine.cycle([writing])
            except Exception as error:
                log.exception("token-level ensembling failed")
                writing.fail(error)
            queue.put_nowait(News(writing, writing.speech.fresh(ended=writing.done), writing.done))


class Thread(Room):
    """All answers together, in one thread.

    Args:
        engine: of models that compute where they are called.
        max_batch: answers at once; more wait.
    """

    def __init__(self, engine: Cycling, max_batch: int = 64) -> None:
        self._engine, self._max_batch = engine, max_batch
        self._waiting: list[tuple[Writing, Callable[[News], bool]]] = []
        self._active: list[tuple[Writing, Callable[[News], bool]]] = []
        self._cancelled: set[Writing] = set()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    async def write(self, writings: Sequence[Writing]) -> AsyncGenerator[News, None]:
        """See `Room`."""
        queue: asyncio.Queue[News] = asyncio.Queue()
        deliver = _into(queue, asyncio.get_running_loop())
        self._submit([(writing, deliver) for writing in writings])
        left = len(writings)
        try:
            while left:
                news = await queue.get()
                left -= news.done
                yield news
        finally:
            self._cancel(writings)

    def _submit(self, jobs: Sequence[tuple[Writing, Callable[[News], bool]]]) -> None:
        with self._changed:
            self._waiting += jobs
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="quorate-token-level", daemon=True)
                self._thread.start()

    def _cancel(self, writings: Sequence[Writing]) -> None:
        """Nothing is written to these from the next cycle on."""
        with self._changed:
            gone = set(writings)
            self._waiting = [job for job in self._waiting if job[0] not in gone]
            self._cancelled |= gone & {writing for writing, _ in self._active}

    def _run(self) -> None:
        while self._admitted():
            writings = [writing for writing, _ in self._active]
            try:
                finished(self._engine.cycle(writings))
            except Exception as error:
                log.exception("token-level ensembling failed")
                for writing in writings:
                    writing.fail(error)
            for writing, deliver in self._active:
                piece = writing.speech.fresh(ended=writing.done)
                if (piece or writing.done) and not deliver(News(writing, piece, writing.done)):
                    self._cancelled.add(writing)

    def _admitted(self) -> bool:
        """Lets go of what has ended and takes in what waits; False ends the thread."""
        with self._changed:
            ended = [writing for writing, _ in self._active if writing.done or writing in self._cancelled]
            self._active = [job for job in self._active if job[0] not in ended]
            self._cancelled.clear()
            self._engine.release(ended)
            while not self._active and not self._waiting:
                if not self._changed.wait(LINGER) and not self._waiting:
                    self._thread = None
                    return False
            room = self._max_batch - len(self._active)
            self._active += self._waiting[:room]
            self._waiting = self._waiting[room:]
            return True


class Aside:
    """A model that computes in this process, seen from an event loop that must not stand still meanwhile."""

    in_process = False

    def __init__(self, model: TokenModel) -> None:
        self._model, self.name = model, model.name

    @property
    def context(self) -> int:
        """See `TokenModel`."""
        return self._model.context

    @property
    def vocabulary(self) -> Vocabulary:
        """See `TokenModel`."""
        return self._model.vocabulary

    async def open(self) -> None:
        """See `TokenModel`."""
        await self._model.open()

    def prompt(self, question: Question) -> list[int]:
        """See `TokenModel`."""
        return self._model.prompt(question)

    async def draft(self, asks: Sequence[DraftAsk]) -> Sequence[Draft]:
        """See `TokenModel`."""
        return await asyncio.to_thread(finished, self._model.draft(asks))

    async def score(self, asks: Sequence[ScoreAsk]) -> Sequence[Scores]:
        """See `TokenModel`."""
        return await asyncio.to_thread(finished, self._model.score(asks))

    def release(self, rows: Sequence[Hashable]) -> None:
        """See `TokenModel`."""
        self._model.release(rows)

    async def aclose(self) -> None:
        """See `TokenModel`."""
        await self._model.aclose()


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a model that is said to compute in this process waited for something else")


def _into(queue: asyncio.Queue[News], loop: asyncio.AbstractEventLoop) -> Callable[[News], bool]:
    """Puts news into a queue from another thread; False if its loop has been closed."""

    def deliver(news: News) -> bool:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, news)
        except RuntimeError:
            return False
        return True

    return deliver
