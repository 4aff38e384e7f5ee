"""What a Responses reply is made of: the response itself and its output items."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from quorate.orchestrator.types import Answer, Usage

from .schema import ResponseRequest

__all__ = ["call_item", "ending_of", "identity", "message_item", "output_of", "reasoning_item", "response", "usage_of"]

INCOMPLETE = {"length": "max_output_tokens", "cancelled": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is not whole, by its finish reason."""


def identity(kind: str) -> str:
    """A fresh id."""
    return f"{kind}_{uuid.uuid4().hex}"


def response(
    request: ResponseRequest, model: str, name: str, created: int, *, status: str, **more: Any
) -> dict[str, Any]:
    """A `response`; what the request did not set is null or OpenAI's default."""
    return {
        "id": name,
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": request.reasoning.effort if request.reasoning else None, "summary": None},
        "store": False,
        "temperature": request.temperature,
        "text": {"format": (request.text.format if request.text else None) or {"type": "text"}},
        "tool_choice": request.tool_choice or "auto",
        "tools": list(request.tools or ()),
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
        **more,
    }


def ending_of(answer: Answer) -> dict[str, Any]:
    """The status of a response, and what is missing of it."""
    reason = INCOMPLETE.get(answer.finish_reason)
    return {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
    }


def usage_of(usage: Usage) -> dict[str, Any]:
    """The usage, as this API calls it. Caches are the upstreams' own business: none is told of."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def output_of(answer: Answer, logprobs: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The items of an answer: its thinking, its text, its calls."""
    items = []
    if answer.reasoning:
        items.append(reasoning_item(identity("rs"), [answer.reasoning]))
    if answer.text or not answer.tool_calls:
        items.append(message_item(identity("msg"), answer.text, logprobs, status=ending_of(answer)["status"]))
    return [*items, *(call_item(identity("fc"), call) for call in answer.tool_calls)]


def reasoning_item(name: str, summary: Sequence[str]) -> dict[str, Any]:
    """Thinking and progress, a part each."""
    return {"id": name, "type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in summary]}


def message_item(name: str, text: str, logprobs: list[dict[str, Any]] | None, *, status: str) -> dict[str, Any]:
    """The answer's text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": [part]}


def call_item(name: str, call: Mapping[str, Any], *, status: str = "completed") -> dict[str, Any]:
    """A function's call, from chat's form."""
    function = call["function"]
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call["id"] or identity("call"),
        "name": function["name"],
        "arguments": function["arguments"],
    }
