"""A text completion that a server behind us writes: its reply goes on as it came, with our account of the usage."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from quorate.orchestrator.context import Budget, Ledger, RunContext
from quorate.orchestrator.protocols import Completing
from quorate.orchestrator.types import Answer
from quorate.orchestrator.watch import UNWATCHED

from ..access.visitor import Visitor
from ..asking import Asking, checked, tokens_within
from ..parts import usage_part, usage_quorate
from ..settings import ServerSettings
from ..sse import DONE, frame
from .schema import CompletionRequest

__all__ = ["PassedExchange"]


class PassedExchange:
    """See `api.Exchange`."""

    def __init__(
        self, request: CompletionRequest, model: Completing, visitor: Visitor, settings: ServerSettings
    ) -> None:
        choices = max(request.n or 1, request.best_of or 1)
        self.draws = checked(model, request.control, settings, n=choices, questions=request.prompts)
        if (tokens := tokens_within(settings, request.max_tokens)) is not None:
            request = request.model_copy(update={"max_tokens": tokens})
        self._request = request
        self._model = model
        self._asking = Asking(
            request.as_passed(),
            model,
            progress=False,
            budget=visitor.within(request.control.budget or Budget()),
            draws=self.draws,
            halt=visitor.halt,
        )

    @property
    def ledger(self) -> Ledger:
        return self._asking.ledger

    async def reply(self) -> dict[str, Any]:
        """The server's reply."""
        async with aclosing(self._replies()) as replies:
            [reply] = [reply async for reply in replies]
        return {**reply, **self._head(), "usage": usage_part(self.ledger.usage), "quorate": self._ours()}

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The server's chunks; the last one with a choice waits for the end of the stream, to carry `quorate`."""
        common: dict[str, Any] = {**self._head(), "usage": None} if self._request.include_usage else self._head()
        held: dict[str, Any] | None = None
        async with aclosing(self._replies()) as replies:
            async for reply in replies:
                if not reply.get("choices"):
                    continue
                chunk = {**{name: value for name, value in reply.items() if name != "usage"}, **common}
                if held is not None:
                    yield frame(held)
                    held = None
                if any(isinstance(c, dict) and c.get("finish_reason") is not None for c in reply["choices"]):
                    held = chunk
                else:
                    yield frame(chunk)
        if held is not None:
            yield frame({**held, "quorate": self._ours()})
        if self._request.include_usage:
            yield frame({**common, "choices": [], "usage": usage_part(self.ledger.usage)})
        yield DONE

    def broken(self, error: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return frame(error)

    async def _replies(self) -> AsyncGenerator[dict[str, Any], None]:
        """The server's replies; who looks on is told the first text in the end."""
        asking, seen = self._asking, self._asking.observation
        run = RunContext(
            seed=self._request.seed,
            budget=asking.budget,
            ledger=asking.ledger,
            halt=asking.halt,
            live=bool(self._request.stream),
            watch=UNWATCHED if seen is None else seen.choice(0),
        )
        texts: list[str] = []
        async with aclosing(self._model.complete(self._request.passed(), run.at_node("answer"))) as replies:
            async for reply in replies:
                texts.extend(_first_texts(reply))
                yield reply
        if seen is not None:
            usage, stages = self.ledger.usage, self.ledger.nodes
            seen.choice(0).answer = Answer(text="".join(texts), model=self._model.name, usage=usage, stages=stages)

    def _head(self) -> dict[str, Any]:
        identity = f"cmpl-{uuid.uuid4().hex}"
        return {"id": identity, "object": "text_completion", "created": int(time.time()), "model": self._model.name}

    def _ours(self) -> dict[str, Any]:
        usage = usage_quorate(self.ledger.usage, self.ledger.nodes)
        return {"answer": None, "tally": [], "stopped": "complete", "degraded": [], "usage": usage}


def _first_texts(reply: dict[str, Any]) -> list[str]:
    """What a reply, read without trust, holds of the first choice."""
    choices = [choice for choice in reply.get("choices") or () if isinstance(choice, dict)]
    return [str(choice.get("text") or "") for choice in choices if not choice.get("index")]
