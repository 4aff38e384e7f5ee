"""One request as it went: what every sink reads when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from quorate.orchestrator.context import Ledger
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateToken,
    Event,
    UpstreamEnded,
    UpstreamRetried,
    UpstreamStarted,
)
from quorate.orchestrator.types import Answer, Question
from quorate.orchestrator.usage import Usage

__all__ = [
    "ANSWER",
    "CLIENT_GONE",
    "RECORD",
    "CallRecord",
    "ChoiceRecord",
    "RequestRecord",
    "RequestSpan",
    "current_record",
    "set_record",
]

RECORD = "quorate.record"
"""Where the scope of a request has its record."""
CLIENT_GONE = 499
"""The status that nginx logs for a client that left."""
ANSWER = ("", -1)
"""Stands for the answer itself among the indices of candidates."""


@dataclass(eq=False, slots=True)
class CallRecord:
    """One call to an upstream; times are seconds since the request came."""

    call: UpstreamStarted
    started: float
    sent: list[float] = field(default_factory=list)
    """When each try was sent."""
    failures: list[tuple[float, str, int]] = field(default_factory=list)
    """When which try failed with which code and HTTP status."""
    ended: float | None = None
    end: UpstreamEnded | None = None

    @property
    def answered(self) -> float | None:
        """When the reply began, if it did."""
        first = None if self.end is None else self.end.first_byte
        return None if first is None else (self.sent[-1] if self.sent else self.started) + first

    @property
    def outcome(self) -> str:
        """`ok`, `cancelled` or the code of the error."""
        return "cancelled" if self.end is None else self.end.outcome

    @property
    def usage(self) -> Usage:
        """What the upstream counted."""
        return Usage() if self.end is None else self.end.usage


class RequestSpan(Protocol):
    """A request in a distributed trace (see `spans`)."""

    def note(self, choice: ChoiceRecord, event: Event) -> None:
        """A node or a call of a choice began or ended."""
        ...

    def headers(self, choice: ChoiceRecord, call: UpstreamStarted) -> Mapping[str, str]:
        """What the upstream needs to join the trace."""
        ...

    def end(self, record: RequestRecord) -> None:
        """The request is over."""
        ...


class ChoiceRecord:
    """One choice of a request, the observer of its run: its events with their times, but for its tokens; its calls.

    It does not know its request, which knows it: without such circles a request's memory is free as soon as it is over.
    """

    def __init__(self, request: RequestRecord, index: int) -> None:
        self.index = index
        self.events: list[tuple[float, Event]] = []
        self.first_tokens: dict[tuple[str, int], float] = {}
        """When each candidate's first token came, by node and index; that of the answer under `ANSWER`."""
        self.calls: dict[int, CallRecord] = {}
        self.answer: Answer | None = None
        self.answered: float | None = None
        self.error: QuorateError | None = None
        self._begun, self._span = request.begun, request.span
        self._forwarded, self._on_call = request.forwarded, request.on_call

    def __call__(self, event: Event) -> None:
        """Something happened."""
        kind = type(event)
        if kind is CandidateToken:
            place = (event.node, event.index)  # type: ignore[union-attr]
            if place not in self.first_tokens:
                self.first_tokens[place] = self._now()
        elif kind is AnswerToken:
            if ANSWER not in self.first_tokens:
                self.first_tokens[ANSWER] = self._now()
        elif isinstance(event, UpstreamStarted | UpstreamRetried | UpstreamEnded):
            self._note_call(event)
        else:
            self.events.append((self._now(), event))
        if self._span is not None:
            self._span.note(self, event)

    def headers(self, call: UpstreamStarted) -> Mapping[str, str]:
        """What the next try of a call carries, which is about to be sent."""
        if (known := self.calls.get(call.call)) is not None:
            known.sent.append(self._now())
        return self._forwarded if self._span is None else {**self._forwarded, **self._span.headers(self, call)}

    def complete(self, answer: Answer) -> None:
        """It has its answer."""
        self.answer, self.answered = answer, self._now()

    def _note_call(self, event: UpstreamStarted | UpstreamRetried | UpstreamEnded) -> None:
        if isinstance(event, UpstreamStarted):
            self.calls[event.call] = CallRecord(event, self._now())
            return
        call = self.calls[event.call]
        if isinstance(event, UpstreamRetried):
            call.failures.append((self._now(), event.code, event.status))
            return
        call.end, call.ended = event, self._now()
        if self._on_call is not None:
            self._on_call(call)

    def _now(self) -> float:
        return time.monotonic() - self._begun


@dataclass(eq=False)
class RequestRecord:
    """One request."""

    id: str
    method: str
    began: float = field(default_factory=time.time)
    """By the wall clock, in seconds since 1970."""
    begun: float = field(default_factory=time.monotonic)
    route: str = ""
    """Template of the path; empty where there is no such route."""
    key: str = ""
    """Name of the caller's key."""
    model: str = ""
    """Name of the model or pipeline that is asked, in full; empty where the request was not understood."""
    pipeline: str = ""
    """The model or pipeline as metrics call it; empty where none was found."""
    composed: bool = False
    """Whether several models, or one several times, are asked."""
    question: Question | None = None
    """The first one that is asked."""
    asked_choices: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    """What all choices have cost so far."""
    choices: dict[int, ChoiceRecord] = field(default_factory=dict)
    status: int = 0
    streamed: bool = False
    first_byte: float | None = None
    """Seconds until the reply's first byte."""
    queued: float | None = None
    """Seconds in the queue."""
    seconds: float = 0.0
    error: QuorateError | None = None
    """Told to the client in place of an answer, or in the middle of one."""
    observed: bool = True
    """Whether somebody wants to know what happens in its runs."""
    forwarded: Mapping[str, str] = field(default_factory=dict)
    """Headers for every upstream call."""
    watched: list[bytes] | None = None
    """What was told to who looks on, as it was sent, to be shown again; None where nobody does."""
    span: RequestSpan | None = None
    on_call: Callable[[CallRecord], None] | None = None
    """Is told of every call to an upstream that ended."""

    def seconds_so_far(self) -> float:
        """Since the request came."""
        return time.monotonic() - self.begun

    def choice(self, index: int) -> ChoiceRecord:
        """Where one choice is noted."""
        known = self.choices.get(index)
        if known is None:
            known = self.choices[index] = ChoiceRecord(self, index)
        return known

    def fail(self, error: Exception) -> None:
        """The client is told of an error."""
        self.error = error if isinstance(error, QuorateError) else QuorateError(type(error).__name__)

    @property
    def understood(self) -> bool:
        """Whether a model was found for it."""
        return bool(self.model)

    @property
    def usage(self) -> Usage:
        """What all choices have cost so far."""
        return self.ledger.usage

    @property
    def answers(self) -> list[Answer]:
        """Of the choices that have one."""
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
        return next((answer.stopped for answer in self.answers), "")

    def end(self) -> None:
        """The reply is sent, or nobody is there to read it."""
        self.seconds = self.seconds_so_far()
        unanswered = any(choice.answer is None and choice.error is None for choice in self.choices.values())
        if self.status < 400:
            if self.error is not None:
                self.status = self.error.status
            elif self.status == 0 or unanswered:
                self.status = CLIENT_GONE


_current: ContextVar[RequestRecord | None] = ContextVar("quorate.record", default=None)


def current_record() -> RequestRecord | None:
    """The record of the request that the running task belongs to."""
    return _current.get()


def set_record(record: RequestRecord) -> None:
    """Makes it the running task's, and that of every task it starts."""
    _current.set(record)
