"""What every model can do once it has `_answer`, and every single model once it has `sample`."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from importlib import import_module
from typing import Any, Self, TypeVar

from .amplification import requests_of
from .checks import check_model, check_value
from .conforming import answer_conforming
from .context import Budget, Ledger, RunContext, Saver, explain_cut
from .errors import BadInput, Misconfigured, NoAnswer, QuorateError
from .events import AnswerToken, Done, Event, NodeEnded, NodeStarted
from .identity import Identity
from .partial import PartialCandidate
from .protocols import Model
from .types import Answer, Candidate, Failure, Message, Question, TokenLogprob

log = logging.getLogger("quorate")

Asked = Question | str | Sequence[Message | Mapping[str, Any]]
T = TypeVar("T")


class _ClassName:
    """The name of a model that has been given none."""

    def __get__(self, model: object, owner: type) -> str:
        return owner.__name__.lower()


class ModelBase(ABC):
    """Base of models: give it `_answer`, get `answer`, `answer_sync` and `events`."""

    name: str = _ClassName()  # type: ignore[assignment]
    """How answers call it."""

    @property
    def identity(self) -> Identity:
        return Identity(kind=type(self).__name__.lower(), model=self.name)

    @property
    def parts(self) -> tuple[Model, ...]:
        return ()

    @property
    def calls(self) -> int:
        return 1

    @property
    def available(self) -> bool:
        """See `protocols.Model`: whether all of its parts are."""
        return all(part.available for part in self.parts)

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        """Itself: its connections cannot be copied, and programs copy what holds a model."""
        return self

    @abstractmethod
    async def _answer(self, question: Question, run: RunContext) -> Answer:
        """The answer, as `protocols.Model.answer` has it."""

    async def answer(
        self,
        question: Asked,
        run: RunContext | None = None,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        checkpoints: Saver | None = None,
        thread: str = "",
    ) -> Answer:
        """The answer to one question; one that misses a strict schema of it is asked for twice (see `conforming`).

        Args:
            question: text, chat messages or a `Question`.
            run: that this answer belongs to, which has all that follows; a new one, if not given.
            seed: makes the run reproducible; the question's own sampling seed if not given.
            budget: hard limits.
            checkpoints: where finished nodes are kept, so that the same thread resumes after them.
            thread: name of the run in `checkpoints`.

        Raises:
            BadInput: the question is empty or a setting impossible.
            UpstreamError: the model's server failed.
            NoAnswer: every candidate failed, or the budget ended before the first.
        """
        if isinstance(run, RunContext) and isinstance(question, Question):
            answer = await self._answer(question, run)
            if not isinstance(answer, Answer):
                raise Misconfigured(f"{self.name} gave {answer!r:.80}: its _answer has to give an Answer")
            return answer
        asked = Question.of(question)
        if run is None:
            run = _new_run(asked, seed, budget, checkpoints, thread, live=False)
        elif not isinstance(run, RunContext):
            raise BadInput(f"answer(run={run!r:.60}): give a RunContext")
        return await answer_conforming(self, asked, run)

    def events(
        self,
        question: Asked,
        *,
        seed: int | None = None,
        budget: Budget | None = None,
        checkpoints: Saver | None = None,
        thread: str = "",
        live: bool = True,
    ) -> AsyncGenerator[Event, None]:
        """Everything that happens while the question is answered, ending in `Done`; closing it cancels the run.

        Args:
            question, seed, budget, checkpoints, thread: see `answer`, also for the errors raised.
            live: whether tokens are wanted as they come, or the end is enough.
        """
        asked = Question.of(question)
        return iterate_events(self, asked, _new_run(asked, seed, budget, checkpoints, thread, live=live))

    def answer_sync(self, question: Asked, *, seed: int | None = None, budget: Budget | None = None) -> Answer:
        """`answer` for scripts and notebooks, also where an event loop runs already."""
        _background.opened.add(self)
        return _background.call(self.answer(question, seed=seed, budget=budget))

    def events_sync(
        self, question: Asked, *, seed: int | None = None, budget: Budget | None = None, live: bool = True
    ) -> Generator[Event]:
        """`events` for scripts and notebooks, also where an event loop runs already."""
        _background.opened.add(self)
        return iterate_sync(self.events(question, seed=seed, budget=budget, live=live))

    async def aclose(self) -> None:
        """Closes connections and workers; the next call opens them again."""
        for model in self.parts:
            await model.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _new_run(
    question: Question, seed: int | None, budget: Budget | None, checkpoints: Saver | None, thread: str, *, live: bool
) -> RunContext:
    seed = question.sampling.seed if seed is None else seed
    if not isinstance(seed, int | None):
        raise BadInput(f"seed={seed!r:.60}: give a whole number")
    check_value("budget", budget, Budget)
    if checkpoints is not None and not hasattr(checkpoints, "execute"):
        raise BadInput(f"checkpoints={checkpoints!r:.60}: give Checkpoints(...), opened by 'async with'")
    return RunContext(seed=seed, budget=budget or Budget(), checkpoints=checkpoints, thread=thread, live=live)


async def iterate_events(model: Model, question: Question, run: RunContext) -> AsyncGenerator[Event, None]:
    """What a run pushes, to be pulled: the one place where a push becomes an iterator."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(answer_conforming(model, question, run.replace(emit=queue.put_nowait)))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield event
        yield Done(answer=task.result())
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def iterate_sync(iterator: AsyncGenerator[T]) -> Generator[T]:
    """An asynchronous generator, run on the event loop of synchronous calls; closing this one closes it, too."""

    async def step() -> T | None:
        return await anext(iterator, None)

    try:
        while (item := _background.call(step())) is not None:
            yield item
    finally:
        with suppress(
            RuntimeError
        ):  # it runs still where the wait for it was interrupted, and ends as it was cancelled
            _background.call(_close(iterator))


async def _close(iterator: AsyncGenerator[Any]) -> None:
    await iterator.aclose()


class Agent(ModelBase):
    """A single model: give it `sample`, which draws candidates; its answer is the first one."""

    @abstractmethod
    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`."""

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        """One candidate, its tokens told as those of the answer.

        Raises:
            NoAnswer: the model failed (with its status), or the budget ended before any text.
        """
        run = run.replace(ledger=Ledger(run.ledger), live=run.live or run.deadline is not None).at_node("answer")
        if (left := run.tokens_left()) is not None:
            question = question.with_params(max_tokens=min(left, question.sampling.max_tokens or left))
        slot, late = _AnswerCandidate(0, run), False
        if run.observed:
            run.emit(NodeStarted(thread=run.thread, node=run.node))
        try:
            async with run.time_limit():
                await self.sample(question, [slot], run)
            slot.fail(Failure(code="model_silent", message=f"{self.name} ended without an answer"))
        except TimeoutError:
            late = True
        except QuorateError as error:
            slot.fail(error)
            raise
        finally:
            slot.cancel()
            if run.observed:
                run.emit(NodeEnded(thread=run.thread, node=run.node, seconds=slot.seconds, outcome=slot.text[:80]))
        candidate = slot.result
        assert candidate is not None
        if candidate.error is not None:
            raise _no_answer(candidate.error)
        return self._cut_off(candidate, run) if late and not candidate.ok else self._given(candidate, run)

    def _given(self, candidate: Candidate, run: RunContext, **changes: Any) -> Answer:
        fields = {
            "model": self.name,
            "candidates": (candidate,),
            "degraded": candidate.degraded,
            "usage": run.ledger.usage,
            "nodes": run.ledger.nodes,
        }
        return Answer.of(candidate, **(fields | changes))

    def _cut_off(self, partial: Candidate, run: RunContext) -> Answer:
        """The answer as far as it came before the deadline."""
        reason = run.exhausted() or run.timed_out()
        note = explain_cut(reason, f"answer: {self.name}")
        if not partial.text:
            status = 503 if note.code == "halted" else 504
            raise NoAnswer(f"{self.name} gave no text in time ({reason})", status=status, code=note.code)
        return self._given(partial, run, finish_reason="length", stopped=reason, degraded=(note, *partial.degraded))


class _AnswerCandidate(PartialCandidate):
    """The one candidate of a single model: its pieces are told as pieces of the answer."""

    def _tell_piece(self, text: str, reasoning: bool, logprobs: Sequence[TokenLogprob]) -> None:  # noqa: ARG002
        if text:
            self._run.emit(AnswerToken(text=text, reasoning=reasoning))


class Wrapper(ModelBase):
    """Base of what stands before one model and hands on what it is."""

    def __init__(self, model: Model, *, name: str | None = None) -> None:
        check_model(type(self).__name__, model)
        self.model = model
        self.name = name or model.name

    @property
    def identity(self) -> Identity:
        return self.model.identity

    @property
    def parts(self) -> tuple[Model, ...]:
        return (self.model,)

    @property
    def calls(self) -> int:
        return self.model.calls

    @property
    def max_requests(self) -> int:
        return requests_of(self.model)

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        """The same before another model."""
        other = copy(self)
        other.model = change(self.model)
        return other


def _no_answer(failure: Failure) -> NoAnswer:
    return NoAnswer(failure.message, status=failure.status, code=failure.code, retry_after=failure.retry_after)


class _Background:
    """One event loop in a daemon thread, so that synchronous calls share connections and engines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.opened: weakref.WeakSet[ModelBase] = weakref.WeakSet()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        loop = self._start()
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a synchronous call inside the event loop of synchronous calls would wait for itself")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # nobody waits for it: an interrupt must not leave work that costs money
            raise

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="quorate-sync", daemon=True)
                self._thread.start()
                _call_at_exit(partial(self._stop, self._loop, self._thread))
            return self._loop

    def _stop(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._close(loop), loop).result(timeout=10)
        except TimeoutError:
            log.warning("some models could not be closed in time")
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        if not thread.is_alive():
            loop.close()

    async def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes the models, then what still runs on the loop."""
        for model in list(self.opened):
            try:
                await model.aclose()
            except Exception:
                log.exception("%s could not be closed", model.name)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await loop.shutdown_asyncgens()
        await loop.shutdown_default_executor()


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the event loop of synchronous calls, and waits for it.

    Raises:
        RuntimeError: called on that very loop, which would wait for itself.
    """
    return _background.call(coroutine)


def _call_at_exit(function: Callable[[], None]) -> None:
    """Registers what is done when the interpreter ends, while threads can still be given work.

    `atexit` comes later: closing a model in a thread would fail there.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    # Functions are called in reverse order, and the pool's own, which ends it, is registered with its first import.
    import_module("concurrent.futures.thread")
    register(function)


_background = _Background()
