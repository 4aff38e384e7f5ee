"""A text completion that a server behind us writes: its reply goes on as it came, with our account of the usage."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from secrets import token_hex
from typing import Any

from quorate.aggregators.replies import make_quorate_usage, make_usage
from quorate.orchestrator.protocols import Completing
from quorate.orchestrator.types import Answer

from ..generation import Generation
from ..http.sse import DONE, encode_event

__all__ = ["ProxiedExchange"]


class ProxiedExchange:
    """See `routes.Exchange`.

    Args:
        generation: what is asked, for those who look on.
        model: that is asked.
        body: for its server.
        include_usage: whether a stream ends in a chunk with the usage.
    """

    def __init__(
        self, generation: Generation, model: Completing, body: Mapping[str, Any], *, include_usage: bool
    ) -> None:
        self.generation = generation
        self._model = model
        self._body = body
        self._include_usage = include_usage

    async def reply(self) -> dict[str, Any]:
        """The server's reply."""
        async with aclosing(self._ask(live=False)) as replies:
            [reply] = [reply async for reply in replies]
        ours = {"usage": make_usage(self.generation.ledger.usage), "quorate": self._quorate()}
        return {**reply, **self._head(), **ours}

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """The server's chunks; the last one with a choice waits for the end of the stream, to carry `quorate`."""
        common: dict[str, Any] = {**self._head(), "usage": None} if self._include_usage else self._head()
        held: dict[str, Any] | None = None
        async with aclosing(self._ask(live=True)) as replies:
            async for reply in replies:
                if not reply.get("choices"):
                    continue
                chunk = {**{name: value for name, value in reply.items() if name != "usage"}, **common}
                if held is not None:
                    write(encode_event(held))
                    held = None
                if any(isinstance(c, dict) and c.get("finish_reason") is not None for c in reply["choices"]):
                    held = chunk
                else:
                    write(encode_event(chunk))
        if held is not None:
            write(encode_event({**held, "quorate": self._quorate()}))
        if self._include_usage:
            write(encode_event({**common, "choices": [], "usage": make_usage(self.generation.ledger.usage)}))
        write(DONE)

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return encode_event(envelope)

    async def _ask(self, *, live: bool) -> AsyncGenerator[dict[str, Any], None]:
        """The server's replies; who looks on is told the first text in the end."""
        generation = self.generation
        run = generation.make_context(0, seed=generation.question(0).sampling.seed, live=live).at_node("answer")
        texts: list[str] = []
        async with aclosing(self._model.complete(self._body, run)) as replies:
            async for reply in replies:
                texts.extend(_first_texts(reply))
                yield reply
        ledger = generation.ledger
        answer = Answer(text="".join(texts), model=self._model.name, usage=ledger.usage, nodes=ledger.nodes)
        generation.caller.record.choice(0).complete(answer)

    def _head(self) -> dict[str, Any]:
        name, created = self._model.name, int(time.time())
        return {"id": f"cmpl-{token_hex(16)}", "object": "text_completion", "created": created, "model": name}

    def _quorate(self) -> dict[str, Any]:
        usage = make_quorate_usage(self.generation.ledger.usage, self.generation.ledger.nodes)
        most = self.generation.requests.most
        return {
            "answer": None,
            "tally": [],
            "stopped": "complete",
            "degraded": [],
            "usage": usage,
            "max_requests": most,
        }


def _first_texts(reply: dict[str, Any]) -> list[str]:
    """What a reply, read without trust, holds of the first choice."""
    choices = [choice for choice in reply.get("choices") or () if isinstance(choice, dict)]
    return [str(choice.get("text") or "") for choice in choices if not choice.get("index")]
