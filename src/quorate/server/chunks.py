"""A request's events as the chunks of OpenAI's stream.

Every choice opens with its role as soon as its model shows a sign of life; a synthesis arrives as its
tokens do, a vote's progress as `reasoning_content` and its answer when it is decided. The ends of all
choices come together at last, and the very last one carries the `quorate` object.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.events import CandidateFailed, CandidateStarted, Done, Event, StoppedEarly, SynthesisToken
from quorate.orchestrator.merging import merge
from quorate.orchestrator.types import Answer

from .asking import Asking, Outcome, answered
from .progress import Progress
from .replies import choice_part, head, quorate_part, usage_part

__all__ = ["chunks"]


async def chunks(asking: Asking) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks in order; the first one comes when success is likely, so an early error is still raised.

    Raises:
        QuorateError: no choice gave an answer.
    """
    common = {**head(asking, "chat.completion.chunk")}
    if asking.include_usage:
        common["usage"] = None
    writers = [_Choice(asking) for _ in range(asking.choices)]
    outcomes: dict[int, Outcome] = {}
    async with aclosing(merge([_ending(asking, index) for index in range(asking.choices)])) as events:
        async for index, event in events:
            if isinstance(event, QuorateError):
                outcomes[index] = event
                continue
            if isinstance(event, Done):
                outcomes[index] = event.answer
            for delta in writers[index].deltas(event):
                yield {**common, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
    for last in _ends(asking, answered([outcomes[index] for index in range(asking.choices)])):
        yield {**common, **last}


async def _ending(asking: Asking, index: int) -> AsyncGenerator[tuple[int, Event | QuorateError], None]:
    """The events of one choice, an error among them as a value."""
    try:
        async with aclosing(asking.stream(index)) as events:
            async for event in events:
                yield index, event
    except QuorateError as error:
        yield index, error


def _ends(asking: Asking, outcomes: list[Outcome]) -> Iterator[dict[str, Any]]:
    ends: list[dict[str, Any]] = [
        {"choices": [{"index": index, "delta": {}, **choice_part(asking, answer)}]}
        for index, answer in enumerate(outcomes)
        if isinstance(answer, Answer)
    ]
    ends[-1]["quorate"] = quorate_part(asking, outcomes)
    yield from ends
    if asking.include_usage:
        yield {"choices": [], "usage": usage_part(asking.ledger.usage)}


class _Choice:
    """What has been sent of one choice."""

    def __init__(self, asking: Asking) -> None:
        self._progress = Progress(asking.model, asking.budget) if asking.progress else None
        self._open = False
        self._sent = {"content": False, "reasoning_content": False}

    def deltas(self, event: Event) -> Iterator[dict[str, Any]]:
        """What the client is to see of an event."""
        line = self._progress.line(event) if self._progress else None
        if not self._open:
            # These come before the first reply of an upstream, or instead of it.
            if isinstance(event, CandidateStarted | CandidateFailed | StoppedEarly):
                return
            self._open = True
            yield {"role": "assistant", "content": ""}
        if line:
            yield {"reasoning_content": line}
        match event:
            case SynthesisToken(text=text, reasoning=reasoning):
                yield self._piece("reasoning_content" if reasoning else "content", text)
            case Done(answer=answer):
                yield from self._rest(answer)

    def _rest(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """The parts of the answer that did not come as tokens."""
        if answer.reasoning and not self._sent["reasoning_content"]:
            yield self._piece("reasoning_content", answer.reasoning)
        if answer.text and not self._sent["content"]:
            yield self._piece("content", answer.text)
        if answer.tool_calls:
            yield {"tool_calls": [{"index": i, **call} for i, call in enumerate(answer.tool_calls)]}

    def _piece(self, kind: str, text: str) -> dict[str, Any]:
        self._sent[kind] = True
        return {kind: text}
