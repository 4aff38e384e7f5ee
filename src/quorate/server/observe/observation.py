"""One request as it went: what every sink reads when it is over."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.events import AnswerToken, CandidateToken, Done, Event
from quorate.orchestrator.types import Answer, Usage
from quorate.orchestrator.watch import CallWatch, UpstreamCall, Watch

if TYPE_CHECKING:
    from ..asking import Asking
    from .observer import Observer

__all__ = [
    "ANSWER",
    "CLIENT_GONE",
    "CallSpan",
    "Choice",
    "Observation",
    "ObservedCall",
    "RequestSpan",
    "observe",
    "observing",
]

CLIENT_GONE = 499
"""The status that nginx logs for a client that left."""
ANSWER = -1
"""Stands for the answer itself among the indices of candidates."""


class CallSpan(Protocol):
    """A call in a distributed trace (see `spans`)."""

    def headers(self) -> Mapping[str, str]:
        """What the upstream needs to join the trace."""
        ...

    def end(self, call: ObservedCall) -> None: ...


class RequestSpan(Protocol):
    """A request in a distributed trace."""

    def stage(self, choice: Choice, thread: str, stage: str) -> None: ...

    def call(self, call: UpstreamCall, choice: Choice) -> CallSpan: ...

    def end(self, seen: Observation) -> None: ...


class ObservedCall(CallWatch):
    """One call to an upstream; times are seconds since the request came."""

    def __init__(self, call: UpstreamCall, request: Observation, span: CallSpan | None) -> None:
        self.call = call
        self.started = request.now()
        self.sent_at: list[float] = []
        self.failures: list[tuple[float, str, int]] = []
        """When which try failed with which code and HTTP status."""
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.outcome = ""
        self.usage = Usage()
        self._request = request
        self._span = span

    def headers(self) -> Mapping[str, str]:
        headers = self._request.forwarded
        return {**headers, **self._span.headers()} if self._span is not None else headers

    def sent(self) -> None:
        self.sent_at.append(self._request.now())

    def failed(self, code: str, status: int) -> None:
        self.failures.append((self._request.now(), code, status))

    def answered(self) -> None:
        self.answered_at = self._request.now()

    def ended(self, outcome: str, usage: Usage) -> None:
        if self.ended_at is None:
            self.ended_at, self.outcome, self.usage = self._request.now(), outcome, usage
            if self._request.observer.metrics is not None:
                self._request.observer.metrics.called(self)
            if self._span is not None:
                self._span.end(self)


class Choice(Watch):
    """One choice of a request: its events with their times, but for its tokens, and its calls."""

    def __init__(self, request: Observation, index: int) -> None:
        self.index = index
        self.events: list[tuple[float, Event]] = []
        self.stages: list[tuple[float, str, str]] = []
        """When which stage of which thread began."""
        self.first_tokens: dict[int, float] = {}
        """When each candidate's first token came; that of the answer under `ANSWER`."""
        self.calls: list[ObservedCall] = []
        self.answer: Answer | None = None
        self.error: QuorateError | None = None
        self._request = request

    def stage(self, thread: str, stage: str) -> None:
        self.stages.append((self._request.now(), thread, stage))
        if self._request.span is not None:
            self._request.span.stage(self, thread, stage)

    def call(self, call: UpstreamCall) -> CallWatch:
        span = self._request.span.call(call, self) if self._request.span is not None else None
        self.calls.append(ObservedCall(call, self._request, span))
        return self.calls[-1]

    async def reading(self, stream: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The same events, noted."""
        now, first = self._request.now, self.first_tokens
        try:
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, CandidateToken | AnswerToken):
                        index = event.index if isinstance(event, CandidateToken) else ANSWER
                        if index not in first:
                            first[index] = now()
                    else:
                        self.events.append((now(), event))
                        if isinstance(event, Done):
                            self.answer = event.answer
                    yield event
        except QuorateError as error:
            self.error = error
            raise


@dataclass(eq=False)
class Observation:
    """One request."""

    observer: Observer
    id: str
    method: str
    path: str
    began: float = field(default_factory=time.time)
    """By the wall clock, in seconds since 1970."""
    begun: float = field(default_factory=time.monotonic)
    route: str = ""
    """Template of the path; empty where there is no such route."""
    key: str = ""
    """Name of the caller's key."""
    asking: Asking | None = None
    pipeline: str = ""
    """The model or pipeline as metrics call it; empty where none was found."""
    choices: dict[int, Choice] = field(default_factory=dict)
    status: int = 0
    streamed: bool = False
    first_byte: float | None = None
    """Seconds until the reply's first byte."""
    queued: float | None = None
    """Seconds in the queue."""
    seconds: float = 0.0
    error: QuorateError | None = None
    """Told to the client in place of an answer, or in the middle of one."""
    forwarded: Mapping[str, str] = field(default_factory=dict)
    """Headers for every upstream call."""
    span: RequestSpan | None = None

    def now(self) -> float:
        """Seconds since the request came."""
        return time.monotonic() - self.begun

    def asked(self, asking: Asking) -> None:
        """The request was understood."""
        self.asking = asking
        self.pipeline = self.observer.pipeline_label(asking.model)

    def choice(self, index: int) -> Choice:
        """Where one choice is noted."""
        return self.choices.setdefault(index, Choice(self, index))

    def failed(self, error: Exception) -> None:
        """The client is told of an error."""
        self.error = error if isinstance(error, QuorateError) else QuorateError(type(error).__name__)

    @property
    def usage(self) -> Usage:
        return self.asking.ledger.usage if self.asking is not None else Usage()

    @property
    def answers(self) -> list[Answer]:
        return [choice.answer for choice in self.choices.values() if choice.answer is not None]

    @property
    def degraded(self) -> list[str]:
        """Codes of what did not go as configured, each once."""
        codes = [each.code for answer in self.answers for each in answer.degraded]
        lost = bool(self.answers) and any(choice.error is not None for choice in self.choices.values())
        return list(dict.fromkeys([*codes, *(["choice_failed"] if lost else [])]))

    @property
    def stopped(self) -> str:
        """Why the first choice's sampling stopped."""
        return self.answers[0].stopped if self.answers else ""

    def end(self) -> None:
        """The reply is sent, or nobody is there to read it; settles what is open and tells the sinks."""
        self.seconds = self.now()
        unanswered = any(choice.answer is None and choice.error is None for choice in self.choices.values())
        if self.status < 400:
            if self.error is not None:
                self.status = self.error.status
            elif self.status == 0 or (unanswered and self.choices):
                self.status = CLIENT_GONE
        for choice in self.choices.values():
            for call in choice.calls:
                call.ended("cancelled", Usage())
        self.observer.ended(self)


_current: ContextVar[Observation | None] = ContextVar("quorate.observation", default=None)


def observing() -> Observation | None:
    """The observation of the request that the running task belongs to."""
    return _current.get()


def observe(observation: Observation) -> None:
    """Makes it the running task's, and that of every task it starts."""
    _current.set(observation)
