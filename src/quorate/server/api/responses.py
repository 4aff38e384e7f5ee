"""`POST /v1/responses`, without a memory: every request brings its whole conversation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.types import Answer

from ..context import Caller
from ..deltas import Delta
from ..generation import Generation, prepare
from ..reply_fields import list_logprobs, make_quorate
from .response_request import ResponseRequest
from .response_stream import (
    ResponseWriter,
    describe_end,
    make_output,
    make_response,
    make_response_id,
    make_response_usage,
)

__all__ = ["ResponseRequest", "Responses"]


class Responses:
    """OpenAI's responses, from a model or a pipeline."""

    path = "/v1/responses"
    form = ResponseRequest

    async def prepare(self, request: ResponseRequest, caller: Caller, settings: ServerSettings) -> ResponseExchange:
        """See `routes.Api`."""
        return ResponseExchange(request, await prepare(request.to_generation(), caller, settings))


class ResponseExchange:
    """See `routes.Exchange`."""

    def __init__(self, request: ResponseRequest, generation: Generation) -> None:
        self._request = request
        self.generation = generation
        self._id = make_response_id("resp")
        self._created = int(time.time())
        self._writer = ResponseWriter()

    async def reply(self) -> dict[str, Any]:
        """A `response`."""
        [answer] = await self.generation.answer()
        assert isinstance(answer, Answer)
        return self._complete(answer, make_output(answer, list_logprobs(self.generation, answer)))

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Typed events; progress and thinking are reasoning summaries."""
        writer = self._writer

        def write_delta(delta: Delta) -> None:
            if delta.kind == "opened":
                for kind in ("response.created", "response.in_progress"):
                    write(writer.event(kind, response=self._response(status="in_progress")))
            for event in writer.write(delta):
                write(event)

        [answer] = await self.generation.answer(write_delta)
        assert isinstance(answer, Answer)
        if not answer.text and not answer.tool_calls:
            for event in writer.write_nothing():
                write(event)
        logprobs = list_logprobs(self.generation, answer)
        for event in writer.close(logprobs, status=describe_end(answer)["status"]):
            write(event)
        whole = self._complete(answer, writer.output)
        write(writer.event(f"response.{whole['status']}", response=whole))

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """An `error` event, from which clients raise, and `response.failed`."""
        error = envelope["error"]
        code = "rate_limit_exceeded" if error["type"] == "rate_limit_error" else "server_error"
        failed = self._response(
            status="failed",
            error={"code": code, "message": error["message"]},
            output=self._writer.output,
            usage=make_response_usage(self.generation.ledger.usage),
        )
        about = {name: error[name] for name in ("code", "message", "param")}
        first = self._writer.event("error", **about, error=error)
        return first + self._writer.event("response.failed", response=failed)

    def _complete(self, answer: Answer, output: list[dict[str, Any]]) -> dict[str, Any]:
        return self._response(
            **describe_end(answer),
            output=output,
            usage=make_response_usage(self.generation.ledger.usage),
            quorate=make_quorate(self.generation, [answer]),
        )

    def _response(self, *, status: str, **more: Any) -> dict[str, Any]:
        name = self.generation.model.name
        return make_response(self._request, name, self._id, self._created, status=status, **more)
