"""A request's events as the pieces that a streaming client is to see, whatever the API writes them in.

Every choice opens as soon as its model shows a sign of life; a synthesis arrives as its tokens do, a
vote's progress as lines and its answer when it is decided.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.events import (
    AnswerToken,
    CandidateCancelled,
    CandidateFailed,
    CandidateStarted,
    Done,
    Event,
    StoppedEarly,
)
from quorate.orchestrator.merging import merge
from quorate.orchestrator.types import Answer

from .asking import Asking, Outcome, answered
from .progress import Progress

__all__ = ["Piece", "Telling"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to be seen of one choice."""

    choice: int
    kind: Literal["opened", "progress", "reasoning", "text", "calls"]
    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()


class Telling:
    """One request as it is told; read `pieces` to the end, then `outcomes` has how each choice ended."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self.outcomes: list[Outcome] = []

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """The pieces in order; the first one comes when success is likely, so an early error is still raised.

        Raises:
            QuorateError: no choice gave an answer.
        """
        asking, ended = self._asking, dict[int, Outcome]()
        choices = [_Choice(asking, index) for index in range(asking.choices)]
        async with aclosing(merge([_ending(asking, index) for index in range(asking.choices)])) as events:
            async for index, event in events:
                if isinstance(event, QuorateError):
                    ended[index] = event
                    continue
                if isinstance(event, Done):
                    ended[index] = event.answer
                for piece in choices[index].pieces(event):
                    yield piece
        self.outcomes = answered([ended[index] for index in range(asking.choices)])


async def _ending(asking: Asking, index: int) -> AsyncGenerator[tuple[int, Event | QuorateError], None]:
    """The events of one choice, an error among them as a value."""
    try:
        async with aclosing(asking.stream(index)) as events:
            async for event in events:
                yield index, event
    except QuorateError as error:
        yield index, error


class _Choice:
    """What has been told of one choice."""

    def __init__(self, asking: Asking, index: int) -> None:
        self._index = index
        self._progress = Progress(asking.model, asking.budget) if asking.progress else None
        self._open = self._written = self._thought = False

    def pieces(self, event: Event) -> Iterator[Piece]:
        """What the client is to see of an event."""
        line = self._progress.line(event) if self._progress else None
        if not self._open:
            # These come before the first reply of an upstream, or instead of it.
            if isinstance(event, CandidateStarted | CandidateFailed | CandidateCancelled | StoppedEarly):
                return
            self._open = True
            yield Piece(self._index, "opened")
        if line:
            yield Piece(self._index, "progress", line)
        match event:
            case AnswerToken(text=text, reasoning=True):
                yield self._thinking(text)
            case AnswerToken(text=text):
                yield self._writing(text)
            case Done(answer=answer):
                yield from self._rest(answer)

    def _rest(self, answer: Answer) -> Iterator[Piece]:
        """The parts of the answer that did not come as tokens."""
        if answer.reasoning and not self._thought:
            yield self._thinking(answer.reasoning)
        if answer.text and not self._written:
            yield self._writing(answer.text)
        if answer.tool_calls:
            yield Piece(self._index, "calls", calls=answer.tool_calls)

    def _thinking(self, text: str) -> Piece:
        self._thought = True
        return Piece(self._index, "reasoning", text)

    def _writing(self, text: str) -> Piece:
        self._written = True
        return Piece(self._index, "text", text)
