"""What a server replies, read without trust: anything may be missing or of the wrong type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from quorate.orchestrator.types import FinishReason, TokenLogprob

__all__ = ["Choice", "Counts", "Malformed", "parsed", "sound"]

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Other reasons (stop, eos_token, end_turn, ...) mean that the model came to its end."""
_BROKEN = {"abort", "error"}
_LARGEST = 1e15
"""No honest count or log-probability is further from zero."""


class Malformed(ValueError):
    """A reply that is not what the protocol says; the message names the place."""


def parsed(data: bytes) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"not JSON: {data[:80].decode(errors='replace')!r}") from None
    if not isinstance(value, dict):
        raise Malformed(f"{_kind(value)} where an object belongs")
    return value


def sound(text: str) -> str:
    """Text that UTF-8 can hold: halves of surrogate pairs are joined, lone ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@dataclass(frozen=True)
class Counts:
    """Tokens as the server counts them."""

    prompt: int
    completion: int
    reasoning: int = 0

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Counts | None:
        """The `usage` of a reply or chunk, if it holds one that can be used."""
        usage = reply.get("usage")
        if not isinstance(usage, Mapping):
            return None
        details = usage.get("completion_tokens_details")
        reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (_is_count(prompt) and _is_count(completion)):
            return None
        return cls(prompt, completion, min(reasoning, completion) if _is_count(reasoning) else 0)


@dataclass
class Choice:
    """One sample as it comes, whole or in pieces."""

    index: int
    """Of the candidate that it becomes."""
    text: str = ""
    reasoning: str = ""
    finish: FinishReason | None = None
    logprobs: list[TokenLogprob] | None = None
    told: int = 0
    """Of these, how many a piece of text has been told with."""
    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    pieces: int = 0
    """Streamed parts that it came in."""
    counts: Counts | None = None
    """Tokens of this choice alone, where the server tells them."""
    seconds: float | None = None
    seen: bool = False
    ended: bool = False
    broken: str | None = None
    """Why this choice alone cannot be used."""
    _half: str = ""
    """First half of a surrogate pair whose second half comes with the next piece."""

    @property
    def written(self) -> int:
        """Characters in all."""
        calls = (call["function"] for call in self.tools.values())
        return len(self.text) + len(self.reasoning) + sum(len(f["name"]) + len(f["arguments"]) for f in calls)

    @property
    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        for call in self.tools.values():
            call["function"]["arguments"] = sound(call["function"]["arguments"])
        return tuple(self.tools[place] for place in sorted(self.tools))

    def take(self, raw: Mapping[str, Any], part: str) -> Iterator[tuple[str, bool]]:
        """Adds a choice's `message` or `delta`; yields (text, whether it is reasoning) as it was added."""
        self.seen = True
        content = raw.get(part)
        if content is None:
            content = {}
        if not isinstance(content, Mapping):
            raise Malformed(f"{part} is {_kind(content)}, not an object")
        reasoning = sound(_text(content, "reasoning_content", "reasoning"))
        text = self._whole(_text(content, "content", "refusal"))
        self.reasoning += reasoning
        self.text += text
        if part == "delta" and (reasoning or text or content.get("tool_calls")):
            self.pieces += 1
        self._take_logprobs(raw.get("logprobs"))
        if reasoning:
            yield reasoning, True
        if text:
            yield text, False
        self._take_tools(content.get("tool_calls"))
        self._take_finish(raw.get("finish_reason"))
        if part == "message":
            self._check_whole(content)

    def fresh(self) -> tuple[TokenLogprob, ...] | None:
        """Log-probabilities that no piece of text has been told with."""
        if self.logprobs is None:
            return None
        fresh = tuple(self.logprobs[self.told :])
        self.told = len(self.logprobs)
        return fresh

    def _check_whole(self, message: Mapping[str, Any]) -> None:
        """A message in one piece must hold something, were it the empty text."""
        empty = message.get("content") is None
        if (
            empty
            and not (self.text or self.reasoning or self.tools)
            and self.finish not in ("length", "content_filter")
        ):
            raise Malformed("message without content")

    def _whole(self, text: str) -> str:
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return sound(text)

    def _take_tools(self, calls: object) -> None:
        if calls is None:
            return
        if not isinstance(calls, list):
            raise Malformed(f"tool_calls is {_kind(calls)}, not a list")
        for position, call in enumerate(calls):
            if not isinstance(call, Mapping) or not isinstance(call.get("function") or {}, Mapping):
                raise Malformed("a tool call is not an object with a function")
            place = call.get("index")
            place = place if _is_count(place) else position
            blank = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            whole = self.tools.setdefault(place, blank)
            whole["id"] = sound(_text(call, "id")) or whole["id"]
            whole["type"] = sound(_text(call, "type")) or whole["type"]
            function = call.get("function") or {}
            whole["function"]["name"] += sound(_text(function, "name"))
            whole["function"]["arguments"] += _text(function, "arguments")

    def _take_logprobs(self, logprobs: object) -> None:
        content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        if content is None:
            return
        if not isinstance(content, list):
            raise Malformed(f"logprobs.content is {_kind(content)}, not a list")
        self.logprobs = (self.logprobs or []) + [_token(entry) for entry in content]

    def _take_finish(self, reason: object) -> None:
        if reason is None:
            return
        if not isinstance(reason, str):
            raise Malformed(f"finish_reason is {_kind(reason)}, not text")
        if reason in _BROKEN:
            raise Malformed(f"the server broke off (finish_reason {reason!r})")
        self.finish = _FINISH.get(reason, "stop")


def _token(entry: object) -> TokenLogprob:
    token, logprob = _pair(entry)
    top = entry.get("top_logprobs") if isinstance(entry, Mapping) else None
    if not isinstance(top, list | None):
        raise Malformed(f"top_logprobs is {_kind(top)}, not a list")
    return TokenLogprob(token=token, logprob=logprob, top=tuple(_pair(t) for t in top or ()))


def _pair(entry: object) -> tuple[str, float]:
    token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
    if not isinstance(token, str) or not isinstance(logprob, int | float) or abs(logprob) > _LARGEST:
        raise Malformed("a logprobs entry lacks its token or its logprob")
    return sound(token), float(logprob)


def _text(holder: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is set."""
    for name in names:
        value = holder.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise Malformed(f"{name} is {_kind(value)}, not text")
        if value:
            return value
    return ""


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
