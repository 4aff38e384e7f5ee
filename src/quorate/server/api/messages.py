"""`POST /v1/messages` and `/v1/messages/count_tokens`: Anthropic's API, from any model or pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from secrets import token_hex
from typing import Any

from starlette.types import Receive, Scope, Send

from quorate.agents.endpoint.chat_call import dump_message
from quorate.aggregators.synthesis.context import TokenBudget, learn_limits
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Question
from quorate.orchestrator.usage import Usage

from ..context import Caller, ServerContext
from ..deltas import Delta
from ..generation import Generation, prepare, resolve_model
from ..http.body import parse_body, read_body
from ..http.errors import make_envelope, send_json, status_of
from ..http.routing import Route
from ..http.sse import encode_event
from ..reply_fields import make_quorate
from .message_request import MessageRequest, PromptRequest
from .routes import make_route

__all__ = ["Messages", "make_messages_routes"]

STOPS = {"length": "max_tokens", "cancelled": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""Reasons to stop that are not `end_turn`. Chat's servers do not tell which stop sequence they met."""
ERRORS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""Errors by their status, where they are neither the caller's (`invalid_request_error`) nor ours (`api_error`)."""
FRAME = 4
"""Tokens that a chat template puts around a message."""
PICTURE = 1000
"""Tokens of an image or a document whose size nobody knows."""


def make_messages_routes(context: ServerContext) -> list[Route]:
    """Both routes; their errors have Anthropic's form."""

    async def count(scope: Scope, receive: Receive, send: Send) -> None:
        caller, settings = await context.admit(scope), context.settings
        body = await read_body(scope, receive, settings.max_body_bytes, settings.body_seconds)
        request = await parse_body(body, PromptRequest)
        question = request.to_question()
        model = await resolve_model(request.model, request.control, caller)
        await send_json(send, {"input_tokens": await _count_tokens(model, question)})

    about = "Tokens of a prompt, by the model's own tokenizer where it runs in this process, else estimated."
    counting = Route(
        "/v1/messages/count_tokens", count, "count_tokens", about, "POST", form=PromptRequest, envelope=_make_error
    )
    return [make_route(Messages(), context, _make_error), counting]


def _make_error(error: Exception) -> dict[str, Any]:
    """The envelope of an error in Anthropic's form."""
    status = status_of(error)
    kind = ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {**make_envelope(error)["error"], "type": kind}}


async def _count_tokens(model: Model, question: Question) -> int:
    """Tokens of one prompt; a pipeline's samples each read it."""
    messages = [dump_message(message) for message in question.messages]
    beside = [*question.tools, *(message["tool_calls"] for message in messages if "tool_calls" in message)]
    texts = [*(message.text for message in question.messages), *(json.dumps(each) for each in beside)]
    await learn_limits(model, ())
    budget = TokenBudget.of(model, 1)
    parts = (part for m in question.messages if m.content and not isinstance(m.content, str) for part in m.content)
    pictures: int = sum(part.get("type") != "text" for part in parts)
    return sum(budget.size(text) for text in texts) + FRAME * len(messages) + PICTURE * pictures


class Messages:
    """Anthropic's messages, from a model or a pipeline."""

    path = "/v1/messages"
    form = MessageRequest

    async def prepare(self, request: MessageRequest, caller: Caller, settings: ServerSettings) -> MessageExchange:
        """See `routes.Api`."""
        generation = await prepare(request.to_generation(), caller, settings)
        return MessageExchange(generation, thinking=request.shows_thinking)


class MessageExchange:
    """See `routes.Exchange`.

    Args:
        generation: the request.
        thinking: whether the reply tells of the progress and the thinking.
    """

    def __init__(self, generation: Generation, *, thinking: bool) -> None:
        self.generation = generation
        self._thinking = thinking
        self._id = f"msg_{token_hex(16)}"

    async def reply(self) -> dict[str, Any]:
        """A `message`."""
        [answer] = await self.generation.answer()
        assert isinstance(answer, Answer)
        return {
            **self._head(make_message_usage(self.generation.ledger.usage)),
            "content": list(_make_blocks(answer, thinking=self._thinking)),
            **_describe_stop(answer),
            "quorate": make_quorate(self.generation, [answer]),
        }

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Events of content blocks; progress and thinking are thinking blocks; `message_delta` carries `quorate`."""
        writer = _BlockWriter()

        def tell(events: Iterator[dict[str, Any]]) -> None:
            for event in events:
                write(encode_event(event, event["type"]))

        def write_delta(delta: Delta) -> None:
            if delta.kind == "opened":
                tell(iter([{"type": "message_start", "message": self._head(make_message_usage(Usage()))}]))
            elif self._thinking or delta.kind in ("text", "calls"):
                tell(writer.write(delta))

        [answer] = await self.generation.answer(write_delta)
        assert isinstance(answer, Answer)
        tell(writer.close())
        end = {
            "type": "message_delta",
            "delta": _describe_stop(answer),
            "usage": make_message_usage(self.generation.ledger.usage),
            "quorate": make_quorate(self.generation, [answer]),
        }
        tell(iter([end, {"type": "message_stop"}]))

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """An `error` event, from which clients raise."""
        return encode_event(envelope, "error")

    def _head(self, usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self.generation.model.name,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }


def make_message_usage(usage: Usage) -> dict[str, Any]:
    """The usage, as this API calls it: its parts of the prompt add up."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _describe_stop(answer: Answer) -> dict[str, Any]:
    return {"stop_reason": STOPS.get(answer.finish_reason, "end_turn"), "stop_sequence": None}


def _make_blocks(answer: Answer, *, thinking: bool) -> Iterator[dict[str, Any]]:
    """The thinking, the text and the calls of an answer."""
    if answer.reasoning and thinking:
        yield _THINKING | {"thinking": answer.reasoning}
    if answer.text:
        yield _TEXT | {"text": answer.text}
    for call in answer.tool_calls:
        yield _make_call(call) | {"input": _read_arguments(call)}


_TEXT: dict[str, Any] = {"type": "text", "text": "", "citations": None}
_THINKING: dict[str, Any] = {"type": "thinking", "thinking": "", "signature": ""}


def _make_call(call: Mapping[str, Any]) -> dict[str, Any]:
    name = call["id"] or f"toolu_{token_hex(16)}"
    return {"type": "tool_use", "id": name, "name": call["function"]["name"], "input": {}}


def _read_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments; what is no JSON object, such as one that was cut, is one argument by itself."""
    text = call["function"]["arguments"]
    try:
        read = json.loads(text or "{}")
    except ValueError:
        read = None
    return read if isinstance(read, dict) else {"arguments": text}


class _BlockWriter:
    """Numbers the content blocks, and opens and closes them."""

    def __init__(self) -> None:
        self._count = 0
        self._open: str | None = None
        """The kind of the block that is open."""

    def write(self, delta: Delta) -> Iterator[dict[str, Any]]:
        """The events of a delta."""
        if delta.kind == "calls":
            for call in delta.calls:
                yield from self._begin("tool_use", _make_call(call))
                text = json.dumps(_read_arguments(call), ensure_ascii=False)
                yield self._delta({"type": "input_json_delta", "partial_json": text})
                yield from self.close()
        elif delta.text:
            kind, empty = ("text", _TEXT) if delta.kind == "text" else ("thinking", _THINKING)
            if self._open != kind:
                yield from self._begin(kind, empty)
            yield self._delta({"type": f"{kind}_delta", kind: delta.text})

    def close(self) -> Iterator[dict[str, Any]]:
        """Ends the block that is open."""
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._count - 1}

    def _begin(self, kind: str, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield from self.close()
        yield {"type": "content_block_start", "index": self._count, "content_block": block}
        self._open, self._count = kind, self._count + 1

    def _delta(self, delta: dict[str, Any]) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": self._count - 1, "delta": delta}
