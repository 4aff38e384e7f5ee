"""A text completion as the answer to a question: pipelines, and models without a server for text."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from itertools import accumulate
from typing import Any

from quorate.orchestrator.context import Ledger
from quorate.orchestrator.types import Answer

from ..asking import Asking
from ..parts import choice_part, finish_part, logprob_parts, quorate_part, usage_part
from ..pieces import Telling
from ..sse import DONE, frame
from .schema import CompletionRequest

__all__ = ["WrittenExchange"]


class WrittenExchange:
    """See `api.Exchange`. Thinking, progress and tool calls have no place in this API and stay out."""

    def __init__(self, request: CompletionRequest, asking: Asking) -> None:
        self._request = request
        self._asking = asking

    @property
    def ledger(self) -> Ledger:
        return self._asking.ledger

    @property
    def draws(self) -> int:
        return self._asking.draws

    async def reply(self) -> dict[str, Any]:
        """A `text_completion`; a choice that failed is left out and told in `quorate.degraded`."""
        outcomes = await self._asking.outcomes()
        return {
            **self._head(),
            "choices": [
                {"index": i, "text": self._echoed(i) + answer.text, **self._ending(i, answer)}
                for i, answer in enumerate(outcomes)
                if isinstance(answer, Answer)
            ],
            "usage": usage_part(self.ledger.usage),
            "quorate": quorate_part(self._asking, outcomes),
        }

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Chunks of text; the ends of all choices come at last, the very last with `quorate`."""
        common: dict[str, Any] = {**self._head(), "usage": None} if self._request.include_usage else self._head()
        telling = Telling(self._asking)
        async with aclosing(telling.pieces()) as pieces:
            async for piece in pieces:
                text = {"opened": self._echoed(piece.choice), "text": piece.text}.get(piece.kind)
                if text is not None:
                    choice = {"index": piece.choice, "text": text, "finish_reason": None, "logprobs": None}
                    yield frame({**common, "choices": [choice]})
        ends: list[dict[str, Any]] = [
            {"choices": [{"index": i, "text": "", **self._ending(i, answer)}]}
            for i, answer in enumerate(telling.outcomes)
            if isinstance(answer, Answer)
        ]
        ends[-1]["quorate"] = quorate_part(self._asking, telling.outcomes)
        for end in ends:
            yield frame({**common, **end})
        if self._request.include_usage:
            yield frame({**common, "choices": [], "usage": usage_part(self.ledger.usage)})
        yield DONE

    def broken(self, error: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return frame(error)

    def _head(self) -> dict[str, Any]:
        identity = f"cmpl-{uuid.uuid4().hex}"
        name = self._asking.model.name
        return {"id": identity, "object": "text_completion", "created": int(time.time()), "model": name}

    def _echoed(self, index: int) -> str:
        return self._asking.question(index).text if self._request.echo else ""

    def _ending(self, index: int, answer: Answer) -> dict[str, Any]:
        tokens = logprob_parts(self._asking, answer)
        logprobs = None if tokens is None else _logprobs(tokens, len(self._echoed(index)))
        return {"finish_reason": finish_part(answer), "logprobs": logprobs, **choice_part(self._asking, answer)}


def _logprobs(tokens: list[dict[str, Any]], start: int) -> dict[str, Any]:
    """The older form: lists side by side."""
    texts = [token["token"] for token in tokens]
    offsets = accumulate(map(len, texts), initial=start)
    return {
        "tokens": texts,
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": list(offsets)[:-1],
    }


def _alternatives(token: Mapping[str, Any]) -> dict[str, float]:
    return {other["token"]: other["logprob"] for other in (token, *token["top_logprobs"])}
