"""What a server replies, read without trust, and turned into candidates as it arrives; knows nothing of HTTP.

Anything in a reply may be missing or of the wrong type: then the choice concerned is broken, or the whole reply.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import FinishReason, TokenLogprob, Usage

from .errors import ErrorFactory, repair_surrogates
from .usage import LARGEST, Counts, UsageSplitter, is_count

__all__ = ["Malformed", "ReplyChoice", "ResponseParser", "parse_object"]

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Other reasons (stop, eos_token, end_turn, ...) mean that the model came to its end."""
_BROKEN = {"abort", "error"}


class Malformed(ValueError):
    """A reply that is not what the protocol says; the message names the place."""


def parse_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Malformed: it is none.
    """
    try:
        try:
            value = from_json(data)
        except ValueError:  # lone halves of surrogate pairs among others, which Python's own decoder takes
            value = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed(f"not JSON: {data[:80].decode(errors='replace')!r}") from None
    if not isinstance(value, dict):
        raise Malformed(f"{_kind(value)} where an object belongs")
    return value


@dataclass
class ReplyChoice:
    """One sample as it comes, whole or in pieces."""

    index: int
    """Of the candidate that it becomes."""
    text: str = ""
    reasoning: str = ""
    finish: FinishReason | None = None
    logprobs: list[TokenLogprob] | None = None
    emitted: int = 0
    """Of these, how many a piece of text has been written with."""
    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    pieces: int = 0
    """Streamed parts that it came in."""
    counts: Counts | None = None
    """Tokens of this choice alone, where the server tells them."""
    seconds: float | None = None
    """Until its end, from when its request had a place."""
    seen: bool = False
    ended: bool = False
    broken: str | None = None
    """Why this choice alone cannot be used."""
    _half: str = ""
    """First half of a surrogate pair whose second half comes with the next piece."""

    @property
    def characters(self) -> int:
        """Characters in all."""
        calls = (call["function"] for call in self.tools.values())
        return len(self.text) + len(self.reasoning) + sum(len(f["name"]) + len(f["arguments"]) for f in calls)

    @property
    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        for call in self.tools.values():
            call["function"]["arguments"] = repair_surrogates(call["function"]["arguments"])
        return tuple(self.tools[place] for place in sorted(self.tools))

    def take(self, raw: Mapping[str, Any], part: str) -> tuple[str, str]:
        """Adds a choice's `message` or `delta`; returns the thinking and the text that it added.

        Raises:
            Malformed: it cannot be read; what could be is added.
        """
        self.seen = True
        content = raw.get(part)
        if type(content) is dict and len(content) == 1 and not self._half:  # nearly all parts of a stream
            only = content.get("content")
            if type(only) is str and only and only.isascii():
                self.text += only
                self.pieces += part == "delta"
                return "", only
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise Malformed(f"{part} is {_kind(content)}, not an object")
        reasoning = repair_surrogates(_first_text(content, "reasoning_content", "reasoning"))
        text = self._join_halves(_first_text(content, "content", "refusal"))
        self.reasoning += reasoning
        self.text += text
        if part == "delta" and (reasoning or text or content.get("tool_calls")):
            self.pieces += 1
        return reasoning, text

    def take_rest(self, raw: Mapping[str, Any], part: str) -> None:
        """Adds what else the choice holds: tool calls and its end.

        Raises:
            Malformed: as for `take`.
        """
        content = raw.get(part) or {}
        if (calls := content.get("tool_calls")) is not None:
            self._take_tools(calls)
        if (reason := raw.get("finish_reason")) is not None:
            self._take_finish(reason)
        if part == "message":
            self._check_whole(content)

    def take_logprobs(self, logprobs: object) -> None:
        """Adds the log-probabilities of a choice.

        Raises:
            Malformed: they are none.
        """
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        if content is None:
            return
        if not isinstance(content, list):
            raise Malformed(f"logprobs.content is {_kind(content)}, not a list")
        if self.logprobs is None:
            self.logprobs = []
        self.logprobs.extend(_logprob(entry) for entry in content)

    def fresh_logprobs(self) -> Sequence[TokenLogprob] | None:
        """Those that no piece of text has been written with."""
        if self.logprobs is None:
            return None
        fresh = self.logprobs[self.emitted :]
        self.emitted = len(self.logprobs)
        return fresh

    def _check_whole(self, message: Mapping[str, Any]) -> None:
        """A message in one piece must hold something, were it the empty text."""
        something = message.get("content") is not None or self.text or self.reasoning or self.tools
        if not something and self.finish not in ("length", "content_filter"):
            raise Malformed("message without content")

    def _join_halves(self, text: str) -> str:
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return repair_surrogates(text)

    def _take_tools(self, calls: object) -> None:
        if not isinstance(calls, list):
            raise Malformed(f"tool_calls is {_kind(calls)}, not a list")
        for position, call in enumerate(calls):
            if not isinstance(call, dict) or not isinstance(call.get("function") or {}, dict):
                raise Malformed("a tool call is not an object with a function")
            place = call.get("index")
            place = place if is_count(place) else position
            blank = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            whole = self.tools.setdefault(place, blank)
            whole["id"] = repair_surrogates(_first_text(call, "id")) or whole["id"]
            whole["type"] = repair_surrogates(_first_text(call, "type")) or whole["type"]
            function = call.get("function") or {}
            whole["function"]["name"] += repair_surrogates(_first_text(function, "name"))
            whole["function"]["arguments"] += _first_text(function, "arguments")

    def _take_finish(self, reason: object) -> None:
        if not isinstance(reason, str):
            raise Malformed(f"finish_reason is {_kind(reason)}, not text")
        if reason in _BROKEN:
            raise Malformed(f"the server broke off (finish_reason {reason!r})")
        self.finish = _FINISH.get(reason, "stop")


class ResponseParser:
    """Writes the samples of one request into their slots.

    Every slot ends once, with its part of the usage, so the ledger holds what the server counted, whether
    the request succeeds, breaks off or is cancelled.

    Args:
        slots: of the candidates, in the order of the choices.
        usage: of this request.
        errors: makes the errors.
        seed: of this request, which is that of its first candidate.
        live: whether slots are written piece by piece.
    """

    def __init__(
        self,
        slots: Sequence[PartialCandidate],
        *,
        usage: UsageSplitter,
        errors: ErrorFactory,
        seed: int | None,
        live: bool,
    ) -> None:
        self._slots = {slot.index: slot for slot in slots}
        self._seed, self._live = seed, live
        self._errors = errors
        self.usage = usage
        self.choices = [ReplyChoice(slot.index) for slot in slots]
        self.begun = time.monotonic()

    @property
    def open_choices(self) -> list[ReplyChoice]:
        """Choices whose candidates have not ended."""
        return [choice for choice in self.choices if not choice.ended]

    def take_reply(self, reply: dict[str, Any]) -> None:
        """A reply in one piece; candidates that it leaves out do not end.

        Raises:
            UpstreamError: it reports an error.
            Malformed: it is no reply.
        """
        self._raise_reported(reply)
        self.usage.total = Counts.of(reply)
        raws = reply.get("choices")
        if not isinstance(raws, list) or not raws:
            raise Malformed("a reply without choices")
        for choice, raw in zip(self.choices, _in_order(raws), strict=False):
            self._take(choice, raw, "message")
        self.end()

    def take_chunk(self, chunk: dict[str, Any]) -> None:
        """A piece of a streamed reply; a candidate ends as soon as its tokens are known.

        Raises:
            UpstreamError: it reports an error.
            Malformed: it is no chunk.
        """
        self._raise_reported(chunk)
        raws, counts = chunk.get("choices"), Counts.of(chunk)
        if not isinstance(raws, list | None):
            raise Malformed("choices is not a list")
        if counts is not None and not raws:
            self.usage.total = counts
        for raw in raws or ():
            choice = self._choice_of(raw)
            if choice is None or choice.ended:
                continue
            if counts is not None:
                self._note_counts(choice, counts)
            self._take(choice, raw, "delta")
            if choice.finish is not None and choice.counts is not None and len(self.open_choices) > 1:
                self._end(choice, self.usage.part(choice, first=choice is self.choices[0]), None)

    def close(self, *, done: bool) -> None:
        """The stream is over; `done` if the server said so.

        Raises:
            Malformed: it held no choice.
        """
        if not any(choice.seen for choice in self.choices):
            raise Malformed("a stream without choices")
        for choice in self.open_choices:
            if choice.seen and choice.finish is None and not done:
                choice.broken = choice.broken or "the stream ended before the answer did"
        self.end()

    def end(self, error: UpstreamError | None = None) -> None:
        """Ends all candidates; without an error only those that the server has sent.

        What came to its finish is good, whatever happened after.
        """
        ending = [choice for choice in self.open_choices if choice.seen or error is not None]
        for choice, usage in zip(ending, self.usage.rest(ending), strict=True):
            self._end(choice, usage, error)

    def leave(self) -> None:
        """The request is cancelled: tells the slots that are left what they have cost."""
        left = self.open_choices
        for choice, usage in zip(left, self.usage.rest(left), strict=True):
            choice.ended = True
            self._slots[choice.index].leave(usage, charge=self.usage.charge(usage), **self._fields(choice))

    def _raise_reported(self, reply: dict[str, Any]) -> None:
        if reply.get("error"):
            raise self._errors.from_report(reply["error"])

    def _choice_of(self, raw: Any) -> ReplyChoice | None:
        place = raw.get("index", 0) if isinstance(raw, dict) else None
        if not isinstance(place, int):
            raise Malformed("a choice is not an object with an index")
        return self.choices[place] if 0 <= place < len(self.choices) else None

    def _note_counts(self, choice: ReplyChoice, counts: Counts) -> None:
        """Usage beside a choice is its own where it comes from the first chunk on, else the request's."""
        if len(self.choices) == 1 or choice.counts is not None or not choice.seen:
            choice.counts = counts
        else:
            self.usage.total = counts

    def _take(self, choice: ReplyChoice, raw: Any, part: str) -> None:
        """Adds to a choice; what is malformed breaks this one alone."""
        try:
            if not isinstance(raw, dict):
                raise Malformed("a choice is not an object")
            reasoning, text = choice.take(raw, part)
            if (logprobs := raw.get("logprobs")) is not None:
                choice.take_logprobs(logprobs)
            if self._live:
                slot = self._slots[choice.index]
                if reasoning:
                    slot.write(reasoning, reasoning=True, logprobs=choice.fresh_logprobs())
                if text:
                    slot.write(text, logprobs=choice.fresh_logprobs())
            choice.take_rest(raw, part)
        except Malformed as error:
            choice.seen, choice.broken = True, choice.broken or str(error)
        if choice.finish is not None and choice.seconds is None:
            choice.seconds = time.monotonic() - self.begun

    def _end(self, choice: ReplyChoice, usage: Usage, error: UpstreamError | None) -> None:
        choice.ended = True
        slot, fields = self._slots[choice.index], self._fields(choice)
        fields["charge"] = self.usage.charge(usage)
        if choice.broken is not None:
            error = self._errors.bad_reply(choice.broken)
        elif choice.finish is not None:
            error = None
        if error is not None:
            slot.fail(error, usage, finish_reason="error", **fields)
        else:
            slot.finish(choice.finish or "stop", usage, **fields)

    def _fields(self, choice: ReplyChoice) -> dict[str, Any]:
        """What is known of the candidate beside its usage and its end."""
        return {
            "text": choice.text,
            "reasoning": choice.reasoning or None,
            "tool_calls": choice.tool_calls if choice.tools else (),
            "seed": self._seed if choice is self.choices[0] else None,
            "logprobs": tuple(choice.logprobs) if choice.logprobs is not None else None,
            "latency": choice.seconds if choice.seconds is not None else time.monotonic() - self.begun,
        }


def _in_order(raws: list[Any]) -> list[Any]:
    """Choices by index, or as they come where the indices are not worth their name."""
    if len(raws) == 1:
        return raws
    by_place = {raw["index"]: raw for raw in raws if isinstance(raw, dict) and isinstance(raw.get("index"), int)}
    return [by_place[index] for index in sorted(by_place)] if len(by_place) == len(raws) else raws


def _logprob(entry: object) -> TokenLogprob:
    token, logprob = _pair(entry)
    top = entry.get("top_logprobs") if isinstance(entry, dict) else None
    if not isinstance(top, list | None):
        raise Malformed(f"top_logprobs is {_kind(top)}, not a list")
    return TokenLogprob(token=token, logprob=logprob, top=tuple(_pair(t) for t in top or ()))


def _pair(entry: object) -> tuple[str, float]:
    token, logprob = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(token, str) or not isinstance(logprob, int | float) or abs(logprob) > LARGEST:
        raise Malformed("a logprobs entry lacks its token or its logprob")
    return repair_surrogates(token), float(logprob)


def _first_text(holder: Mapping[str, Any], *names: str) -> str:
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


def _kind(value: object) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
