"""What every model can do once it has `stream`: answer, answer synchronously, be closed."""

from __future__ import annotations

import asyncio
import atexit
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .events import Done, Event
from .run import Budget, Run
from .types import Answer, Message, Question

if TYPE_CHECKING:
    from .checkpoints import Checkpoints

__all__ = ["Answering", "answer_of"]

Asked = Question | str | Sequence[Message | Mapping[str, Any]]
T = TypeVar("T")


class Answering(ABC):
    """Base of models: give it `stream`, get `answer`, `answer_sync` and `events`."""

    name: str

    @abstractmethod
    def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """See `protocols.Model`."""

    def events(
        self,
        question: Asked,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        checkpoints: Checkpoints | None = None,
        thread: str = "",
        live: bool = True,
    ) -> AsyncGenerator[Event, None]:
        """Everything that happens while the question is answered, ending in `Done`.

        Args:
            question: text, chat messages or a `Question`.
            seed: makes the run reproducible; the question's own sampling seed if not given.
            budget: hard limits.
            checkpoints: where finished stages are kept, so that the same thread resumes after them.
            thread: name of the run in `checkpoints`.
            live: whether tokens are wanted as they come, or the end is enough.
        """
        asked = Question.of(question)
        seed = asked.sampling.seed if seed is None else seed
        run = Run(seed=seed, budget=budget or Budget(), checkpoints=checkpoints, thread=thread, live=live)
        return self.stream(asked, run)

    async def answer(
        self,
        question: Asked,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        checkpoints: Checkpoints | None = None,
        thread: str = "",
    ) -> Answer:
        """The answer to one question; arguments as in `events`.

        Raises:
            BadInput: the question is empty or a setting impossible.
            UpstreamError: the model's server failed.
            NoAnswer: every candidate failed, or the budget ended before the first.
        """
        return await answer_of(
            self.events(question, seed=seed, budget=budget, checkpoints=checkpoints, thread=thread, live=False)
        )

    def answer_sync(self, question: Asked, *, seed: int | None = None, budget: Budget | None = None) -> Answer:
        """`answer` for scripts and notebooks, also where an event loop runs already."""
        _background.opened.add(self)
        return _background.call(self.answer(question, seed=seed, budget=budget))

    async def aclose(self) -> None:  # noqa: B027 - most models have nothing to close
        """Closes connections and workers; the next call opens them again."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


async def answer_of(events: AsyncGenerator[Event, None]) -> Answer:
    """The answer that a stream of events ends in."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Done):
                return event.answer
    raise AssertionError("a model's stream ended without Done")


class _Background:
    """One event loop in a daemon thread, so that synchronous calls share connections and engines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.opened: weakref.WeakSet[Answering] = weakref.WeakSet()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._start()).result()

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=self._loop.run_forever, name="quorate-sync", daemon=True)
                thread.start()
                atexit.register(self._stop, self._loop, thread)
            return self._loop

    def _stop(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        for model in list(self.opened):
            asyncio.run_coroutine_threadsafe(model.aclose(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


_background = _Background()
