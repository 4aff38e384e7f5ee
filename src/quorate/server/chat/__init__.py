"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from quorate.orchestrator.context import Ledger
from quorate.orchestrator.types import Answer

from ..access.visitor import Visitor
from ..asking import Asking, Outcome, understood
from ..parts import choice_part, finish_part, logprob_parts, quorate_part, usage_part
from ..pieces import Piece, Telling
from ..settings import ServerSettings
from ..sse import DONE, frame
from .schema import ChatRequest

__all__ = ["Chat", "ChatRequest"]


class Chat:
    """OpenAI's chat completions, from a model or a pipeline."""

    path = "/chat/completions"
    form = ChatRequest

    async def exchange(self, request: ChatRequest, visitor: Visitor, settings: ServerSettings) -> ChatExchange:
        """See `api.Api`."""
        return ChatExchange(await understood(request.order(), visitor, settings))


class ChatExchange:
    """See `api.Exchange`."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    @property
    def ledger(self) -> Ledger:
        return self._asking.ledger

    @property
    def draws(self) -> int:
        return self._asking.draws

    async def reply(self) -> dict[str, Any]:
        """A `chat.completion`; a choice that failed is left out and told in `quorate.degraded`."""
        asking = self._asking
        outcomes = await asking.outcomes()
        return {
            **self._head("chat.completion"),
            "choices": [_choice(asking, i, answer) for i, answer in enumerate(outcomes) if isinstance(answer, Answer)],
            "usage": usage_part(asking.ledger.usage),
            "quorate": quorate_part(asking, outcomes),
        }

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Chunks; the ends of all choices come together at last, and the very last one carries `quorate`."""
        common = self._head("chat.completion.chunk")
        if self._asking.order.include_usage:
            common["usage"] = None
        telling = Telling(self._asking)
        async with aclosing(telling.pieces()) as pieces:
            async for piece in pieces:
                choice = {"index": piece.choice, "delta": _delta(piece), "finish_reason": None}
                yield frame({**common, "choices": [choice]})
        for last in self._ends(telling.outcomes):
            yield frame({**common, **last})
        yield DONE

    def broken(self, error: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return frame(error)

    def _head(self, kind: str) -> dict[str, Any]:
        identity = f"chatcmpl-{uuid.uuid4().hex}"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": self._asking.model.name}

    def _ends(self, outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
        asking = self._asking
        ends: list[dict[str, Any]] = [
            {"choices": [{"index": index, "delta": {}, **_ending(asking, answer)}]}
            for index, answer in enumerate(outcomes)
            if isinstance(answer, Answer)
        ]
        ends[-1]["quorate"] = quorate_part(asking, outcomes)
        yield from ends
        if asking.order.include_usage:
            yield {"choices": [], "usage": usage_part(asking.ledger.usage)}


def _choice(asking: Asking, index: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": list(answer.tool_calls)}
    return {"index": index, "message": message, **_ending(asking, answer)}


def _ending(asking: Asking, answer: Answer) -> dict[str, Any]:
    logprobs = logprob_parts(asking, answer)
    return {
        "finish_reason": finish_part(answer),
        "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None},
        **choice_part(asking, answer),
    }


def _delta(piece: Piece) -> Mapping[str, Any]:
    """The progress comes as `reasoning_content`, where chat clients show it."""
    match piece.kind:
        case "opened":
            return {"role": "assistant", "content": ""}
        case "text":
            return {"content": piece.text}
        case "calls":
            return {"tool_calls": [{"index": i, **call} for i, call in enumerate(piece.calls)]}
        case _:
            return {"reasoning_content": piece.text}
