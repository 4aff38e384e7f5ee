"""What a Responses reply is made of: the response, its output items, and the events that tell them one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Any

from quorate.orchestrator.types import Answer
from quorate.orchestrator.usage import Usage

from ..deltas import Delta
from ..http.sse import encode_event
from .response_request import ResponseRequest

__all__ = ["ResponseWriter", "describe_end", "make_output", "make_response", "make_response_id", "make_response_usage"]


INCOMPLETE = {"length": "max_output_tokens", "cancelled": "max_output_tokens", "content_filter": "content_filter"}
"""Why an answer is not whole, by its finish reason."""


def make_response_id(kind: str) -> str:
    """A fresh id."""
    return f"{kind}_{token_hex(16)}"


def make_response(
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


def describe_end(answer: Answer) -> dict[str, Any]:
    """The status of a response, and what is missing of it."""
    reason = INCOMPLETE.get(answer.finish_reason)
    return {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
    }


def make_response_usage(usage: Usage) -> dict[str, Any]:
    """The usage, as this API calls it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def make_output(answer: Answer, logprobs: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The items of an answer: its thinking, its text, its calls."""
    items = []
    if answer.reasoning:
        items.append(_make_reasoning(make_response_id("rs"), [answer.reasoning]))
    if answer.text or not answer.tool_calls:
        items.append(
            _make_message(make_response_id("msg"), answer.text, logprobs, status=describe_end(answer)["status"])
        )
    return [*items, *(_make_call(make_response_id("fc"), call) for call in answer.tool_calls)]


def _make_reasoning(name: str, summary: Sequence[str]) -> dict[str, Any]:
    """Thinking and progress, a part each."""
    return {"id": name, "type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in summary]}


def _make_message(name: str, text: str, logprobs: list[dict[str, Any]] | None, *, status: str) -> dict[str, Any]:
    """The answer's text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": [part]}


def _make_call(name: str, call: Mapping[str, Any], *, status: str = "completed") -> dict[str, Any]:
    """A function's call, from chat's form."""
    function = call["function"]
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call["id"] or make_response_id("call"),
        "name": function["name"],
        "arguments": function["arguments"],
    }


class ResponseWriter:
    """Numbers the events, and opens and closes the items that they belong to."""

    def __init__(self) -> None:
        self._sequence = 0
        self.output: list[dict[str, Any]] = []
        """Items that are complete."""
        self._item: _MessageItem | _ReasoningItem | None = None

    def event(self, kind: str, **fields: Any) -> bytes:
        """One event."""
        value = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return encode_event(value, kind)

    def write(self, delta: Delta) -> Iterator[bytes]:
        """The events of a delta."""
        match delta.kind:
            case "text":
                yield from self._write_item(_MessageItem, delta)
            case "progress" | "reasoning":
                yield from self._write_item(_ReasoningItem, delta)
            case "calls":
                yield from self.close()
                for call in delta.calls:
                    yield from self._write_call(call)

    def close(self, logprobs: list[dict[str, Any]] | None = None, *, status: str = "completed") -> Iterator[bytes]:
        """Ends the item that is open; of a message the log-probabilities are known at its end."""
        if self._item is None:
            return
        item, self._item = self._item, None
        whole, place = item.complete(logprobs, status), len(self.output)
        for kind, fields in item.ends(whole):
            yield self.event(kind, item_id=item.name, output_index=place, **fields)
        self.output.append(whole)
        yield self.event("response.output_item.done", output_index=place, item=whole)

    def write_nothing(self) -> Iterator[bytes]:
        """A message without text, where a model said nothing."""
        yield from self._write_item(_MessageItem, Delta(0, "text"))

    def _write_item(self, kind: type[_MessageItem | _ReasoningItem], delta: Delta) -> Iterator[bytes]:
        if not isinstance(self._item, kind):
            yield from self.close()
            self._item = kind()
            yield self.event("response.output_item.added", output_index=len(self.output), item=self._item.begin())
        for event, fields in self._item.add(delta):
            yield self.event(event, item_id=self._item.name, output_index=len(self.output), **fields)

    def _write_call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        name, place = make_response_id("fc"), len(self.output)
        whole = _make_call(name, call)
        beginning = {**whole, "arguments": "", "status": "in_progress"}
        place_fields = {"item_id": name, "output_index": place}
        yield self.event("response.output_item.added", output_index=place, item=beginning)
        yield self.event("response.function_call_arguments.delta", **place_fields, delta=whole["arguments"])
        yield self.event(
            "response.function_call_arguments.done", **place_fields, name=whole["name"], arguments=whole["arguments"]
        )
        self.output.append(whole)
        yield self.event("response.output_item.done", output_index=place, item=whole)


Events = Iterator[tuple[str, dict[str, Any]]]
"""Kinds of events with the fields that are their own."""


class _MessageItem:
    """The answer's text."""

    def __init__(self) -> None:
        self.name = make_response_id("msg")
        self._texts: list[str] = []

    def begin(self) -> dict[str, Any]:
        return {**_make_message(self.name, "", None, status="in_progress"), "content": []}

    def add(self, delta: Delta) -> Events:
        if not self._texts:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield "response.content_part.added", {"content_index": 0, "part": part}
        self._texts.append(delta.text)
        if delta.text:
            yield "response.output_text.delta", {"content_index": 0, "delta": delta.text, "logprobs": []}

    def complete(self, logprobs: list[dict[str, Any]] | None, status: str) -> dict[str, Any]:
        return _make_message(self.name, "".join(self._texts), logprobs, status=status)

    def ends(self, whole: dict[str, Any]) -> Events:
        part = whole["content"][0]
        done = {"content_index": 0, "text": part["text"], "logprobs": part["logprobs"]}
        yield "response.output_text.done", done
        yield "response.content_part.done", {"content_index": 0, "part": part}


class _ReasoningItem:
    """Progress and thinking, each a part of the summary for as long as it goes on."""

    def __init__(self) -> None:
        self.name = make_response_id("rs")
        self._parts: list[tuple[str, list[str]]] = []

    def begin(self) -> dict[str, Any]:
        return _make_reasoning(self.name, [])

    def add(self, delta: Delta) -> Events:
        if not self._parts or self._parts[-1][0] != delta.kind:
            yield from self._part_ends()
            self._parts.append((delta.kind, []))
            part = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", {"summary_index": len(self._parts) - 1, "part": part}
        self._parts[-1][1].append(delta.text)
        yield "response.reasoning_summary_text.delta", {"summary_index": len(self._parts) - 1, "delta": delta.text}

    def complete(self, _: list[dict[str, Any]] | None, __: str) -> dict[str, Any]:
        return _make_reasoning(self.name, ["".join(texts) for _, texts in self._parts])

    def ends(self, _: dict[str, Any]) -> Events:
        yield from self._part_ends()

    def _part_ends(self) -> Events:
        if self._parts:
            index, text = len(self._parts) - 1, "".join(self._parts[-1][1])
            yield "response.reasoning_summary_text.done", {"summary_index": index, "text": text}
            part = {"type": "summary_text", "text": text}
            yield "response.reasoning_summary_part.done", {"summary_index": index, "part": part}
