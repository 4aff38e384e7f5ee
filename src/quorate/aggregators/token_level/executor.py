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
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from quorate.orchestrator.sampling import gather
from quorate.orchestrator.tokens import Draft, DraftAsk, ScoreAsk, Scores, TokenModel, Vocabulary
from quorate.orchestrator.types import Question

from .decode_state import DecodeState
from .engine import DecodeEngine

log = logging.getLogger("quorate")

LINGER = 5.0
"""Seconds that an idle thread waits for more work."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of an answer, or its end."""

    state: DecodeState
    text: str
    done: bool
    """Whether this is the last of it; the state itself may be ahead of it."""


class DecodeExecutor(ABC):
    """Where answers are written."""

    @abstractmethod
    async def write(self, states: Sequence[DecodeState], on_delta: Callable[[TextDelta], None]) -> None:
        """Returns when every answer has ended; cancelling it stops what has not.

        Args:
            states: of one question.
            on_delta: is told on the caller's event loop, of each answer until it is done, and not after a
                cancellation.
        """


class TaskPerAnswer(DecodeExecutor):
    """Each answer by itself, on the event loop."""

    def __init__(self, engine: DecodeEngine) -> None:
        self._engine = engine

    async def write(self, states: Sequence[DecodeState], on_delta: Callable[[TextDelta], None]) -> None:
        try:
            await gather([self._write_one(state, on_delta) for state in states])
        finally:
            self._engine.release(states)

    async def _write_one(self, state: DecodeState, on_delta: Callable[[TextDelta], None]) -> None:
        while not state.done:
            try:
                await self._engine.cycle([state])
            except Exception as error:
                log.exception("token-level ensembling failed")
                state.fail(error)
            on_delta(TextDelta(state, state.characters.take(ended=state.done), state.done))


class _Listener:
    """Who waits for some answers on an event loop, seen from the thread that writes them."""

    def __init__(self, left: int, on_delta: Callable[[TextDelta], None]) -> None:
        self._left, self._on_delta = left, on_delta
        self._loop = asyncio.get_running_loop()
        self.done = asyncio.Event()
        self.cancelled = False

    def deliver(self, delta: TextDelta) -> bool:
        """Hands it over from another thread; False if nobody listens any more."""
        try:
            self._loop.call_soon_threadsafe(self._take, delta)
        except RuntimeError:  # the loop has been closed
            return False
        return True

    def _take(self, delta: TextDelta) -> None:
        if self.cancelled:
            return
        self._on_delta(delta)
        self._left -= delta.done
        if not self._left:
            self.done.set()


class BatchThread(DecodeExecutor):
    """All answers together, in one thread.

    Args:
        engine: of models that compute where they are called.
        max_batch: answers at once; more wait.
    """

    def __init__(self, engine: DecodeEngine, max_batch: int = 64) -> None:
        self._engine, self._max_batch = engine, max_batch
        self._waiting: list[tuple[DecodeState, _Listener]] = []
        self._active: list[tuple[DecodeState, _Listener]] = []
        self._cancelled: set[DecodeState] = set()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    async def write(self, states: Sequence[DecodeState], on_delta: Callable[[TextDelta], None]) -> None:
        listener = _Listener(len(states), on_delta)
        self._submit([(state, listener) for state in states])
        try:
            await listener.done.wait()
        finally:
            listener.cancelled = True
            self._cancel(states)

    def _submit(self, jobs: Sequence[tuple[DecodeState, _Listener]]) -> None:
        with self._changed:
            self._waiting += jobs
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="quorate-token-level", daemon=True)
                self._thread.start()

    def _cancel(self, states: Sequence[DecodeState]) -> None:
        """Nothing is written to these from the next cycle on."""
        with self._changed:
            gone = set(states)
            self._waiting = [job for job in self._waiting if job[0] not in gone]
            self._cancelled |= gone & {state for state, _ in self._active}

    def _run(self) -> None:
        while self._admit():
            states = [state for state, _ in self._active]
            try:
                run_without_waiting(self._engine.cycle(states))
            except Exception as error:
                log.exception("token-level ensembling failed")
                for state in states:
                    state.fail(error)
            for state, listener in self._active:
                text = state.characters.take(ended=state.done)
                if (text or state.done) and not listener.deliver(TextDelta(state, text, state.done)):
                    self._cancelled.add(state)

    def _admit(self) -> bool:
        """Lets go of what has ended and takes in what waits; False ends the thread."""
        with self._changed:
            ended = [state for state, _ in self._active if state.done or state in self._cancelled]
            self._active = [job for job in self._active if job[0] not in ended]
            self._cancelled.clear()
            self._engine.release(ended)
            while not self._active and not self._waiting:
                if not self._changed.wait(LINGER) and not self._waiting:
                    self._thread = None
                    return False
            free = self._max_batch - len(self._active)
            self._active += self._waiting[:free]
            self._waiting = self._waiting[free:]
            return True


class InThread:
    """A model that computes in this process, seen from an event loop that must not stand still meanwhile."""

    in_process = False

    def __init__(self, model: TokenModel) -> None:
        self._model, self.name = model, model.name

    @property
    def context(self) -> int:
        return self._model.context

    @property
    def vocabulary(self) -> Vocabulary:
        return self._model.vocabulary

    async def open(self) -> None:
        await self._model.open()

    def prompt(self, question: Question) -> list[int]:
        return self._model.prompt(question)

    async def draft(self, asks: Sequence[DraftAsk]) -> Sequence[Draft]:
        return await asyncio.to_thread(run_without_waiting, self._model.draft(asks))

    async def score(self, asks: Sequence[ScoreAsk]) -> Sequence[Scores]:
        return await asyncio.to_thread(run_without_waiting, self._model.score(asks))

    def release(self, rows: Sequence[Hashable]) -> None:
        self._model.release(rows)

    async def aclose(self) -> None:
        await self._model.aclose()


def run_without_waiting(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing, in any thread."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a model that is said to compute in this process waited for something else")
