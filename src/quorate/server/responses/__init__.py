"""`POST /v1/responses`, without a memory: every request brings its whole conversation."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from quorate.orchestrator.context import Ledger
from quorate.orchestrator.types import Answer

from ..access.visitor import Visitor
from ..asking import Asking, understood
from ..parts import logprob_parts, quorate_part
from ..pieces import Telling
from ..settings import ServerSettings
from .output import ending_of, identity, output_of, response, usage_of
from .schema import ResponseRequest
from .stream import Writer

__all__ = ["ResponseRequest", "Responses"]


class Responses:
    """OpenAI's responses, from a model or a pipeline."""

    path = "/responses"
    form = ResponseRequest

    async def exchange(self, request: ResponseRequest, visitor: Visitor, settings: ServerSettings) -> ResponseExchange:
        """See `api.Api`."""
        return ResponseExchange(request, await understood(request.order(), visitor, settings))


class ResponseExchange:
    """See `api.Exchange`."""

    def __init__(self, request: ResponseRequest, asking: Asking) -> None:
        self._request = request
        self._asking = asking
        self._name = identity("resp")
        self._created = int(time.time())
        self._writer = Writer()

    @property
    def ledger(self) -> Ledger:
        return self._asking.ledger

    @property
    def draws(self) -> int:
        return self._asking.draws

    async def reply(self) -> dict[str, Any]:
        """A `response`."""
        [answer] = await self._asking.outcomes()
        assert isinstance(answer, Answer)
        return self._whole(answer, output_of(answer, logprob_parts(self._asking, answer)))

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Typed events; progress and thinking are reasoning summaries."""
        writer, telling = self._writer, Telling(self._asking)
        async with aclosing(telling.pieces()) as pieces:
            async for piece in pieces:
                if piece.kind == "opened":
                    for kind in ("response.created", "response.in_progress"):
                        yield writer.event(kind, response=self._response(status="in_progress"))
                for each in writer.piece(piece):
                    yield each
        [answer] = telling.outcomes
        assert isinstance(answer, Answer)
        if not answer.text and not answer.tool_calls:
            for each in writer.empty():
                yield each
        for each in writer.close(logprob_parts(self._asking, answer), status=ending_of(answer)["status"]):
            yield each
        whole = self._whole(answer, writer.output)
        yield writer.event(f"response.{whole['status']}", response=whole)

    def broken(self, error: dict[str, Any]) -> bytes:
        """An `error` event, from which clients raise, and `response.failed`."""
        told = error["error"]
        code = "rate_limit_exceeded" if told["type"] == "rate_limit_error" else "server_error"
        failure = {"code": code, "message": told["message"]}
        about = {name: told[name] for name in ("code", "message", "param")}
        usage = usage_of(self.ledger.usage)
        failed = self._response(status="failed", error=failure, output=self._writer.output, usage=usage)
        return b"".join(
            [
                self._writer.event("error", **about, error=told),
                self._writer.event("response.failed", response=failed),
            ]
        )

    def _whole(self, answer: Answer, output: list[dict[str, Any]]) -> dict[str, Any]:
        return self._response(
            **ending_of(answer),
            output=output,
            usage=usage_of(self.ledger.usage),
            quorate=quorate_part(self._asking, [answer]),
        )

    def _response(self, *, status: str, **more: Any) -> dict[str, Any]:
        return response(self._request, self._asking.model.name, self._name, self._created, status=status, **more)
