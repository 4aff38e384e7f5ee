"""What a server replies, read without trust, and turned into candidates as it arrives; knows nothing of HTTP.

Anything in a reply may be missing or of the wrong type: then the choice concerned is broken, or the whole reply.
What is beside the answer (log-probabilities, usage, ids) costs only itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.json_values import repair_surrogates
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Degradation, FinishReason, TokenLogprob
from quorate.orchestrator.usage import Usage

from .errors import ErrorFactory
from .framing import Malformed, describe_kind
from .shapes import find_report, find_report_in_all, read_calls, read_finish, read_logprobs, read_message
from .tool_calls import ToolCalls
from .usage import Counts, UsageSplitter

__all__ = ["ReplyChoice", "ResponseParser"]

NOTHING: Mapping[str, Any] = {}


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
    tools: ToolCalls | None = None
    pieces: int = 0
    """Streamed parts that it came in."""
    counts: Counts | None = None
    """Tokens of this choice alone, where the server tells them."""
    seconds: float | None = None
    """Until its end, from when its request had a place."""
    seen: bool = False
    ended: bool = False
    broken: UpstreamError | None = None
    """Why this choice alone cannot be used."""
    _half: str = ""
    """First half of a surrogate pair whose second half comes with the next piece."""
    _without_logprobs: bool = False

    @property
    def characters(self) -> int:
        """Characters in all."""
        return len(self.text) + len(self.reasoning) + (self.tools.characters if self.tools else 0)

    def take(self, raw: Mapping[str, Any]) -> tuple[str, str]:
        """Adds what a piece of the choice (`delta`), or all of it (`message`), says; returns thinking and text.

        Raises:
            Malformed: it cannot be read; what could be is added.
        """
        self.seen = True
        content, reason = raw.get("delta"), raw.get("finish_reason")
        only = content.get("content") if type(content) is dict and len(content) == 1 else None
        if type(only) is str and only and only.isascii() and not self._half:  # nearly all pieces of a stream
            reasoning, text = "", only
            self.text += text
            self.pieces += 1
        else:
            content, whole = self._content_of(raw)
            reasoning, text = read_message(content)
            reasoning, text = repair_surrogates(reasoning), self._join_halves(text)
            self.reasoning += reasoning
            self.text += text
            calls = read_calls(content)
            if calls:
                self.tools = self.tools or ToolCalls()
                self.tools.add(calls, whole=whole)
            if whole:
                reason = self._check_whole(raw, content)
            elif reasoning or text or calls:
                self.pieces += 1
        if reason is not None:
            ended = read_finish(reason)
            # Behind the true reason some servers send a mere stop.
            self.finish = self.finish or ended if ended in (None, "stop") else ended
        return reasoning, text

    def take_logprobs(self, logprobs: object, most: int | None) -> None:
        """Adds log-probabilities; those that cannot be read make all of this choice's unknown.

        Args:
            logprobs: as the server sends them.
            most: alternatives for each token; all where that is None.
        """
        found = read_logprobs(logprobs, most)
        if found is None:
            if isinstance(logprobs, dict) and any(logprobs.values()):
                self.logprobs, self._without_logprobs = None, True
        elif not self._without_logprobs:
            self.logprobs = self.logprobs or []
            self.logprobs.extend(found)

    @property
    def reason(self) -> FinishReason | None:
        """Why it ended; calls are what it ended with, whatever the server calls that."""
        return "tool_calls" if self.finish == "stop" and self.tools else self.finish

    def fresh_logprobs(self) -> Sequence[TokenLogprob] | None:
        """Those that no piece of text has been written with."""
        if self.logprobs is None:
            return None
        fresh = self.logprobs[self.emitted :]
        self.emitted = len(self.logprobs)
        return fresh

    def _content_of(self, raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """What a choice says, and whether it is the whole: a `message`, also in an event, unless it repeats pieces."""
        for name in ("delta", "message"):
            content = raw.get(name)
            if not isinstance(content, dict | None):
                raise Malformed(f"{name} is {describe_kind(content)}, not an object")
            if content and not (name == "message" and self.pieces):
                return content, name == "message"
        if (text := raw.get("text")) is not None:  # as of a text completion
            return {"content": text}, False
        return NOTHING, "message" in raw and "delta" not in raw

    def _check_whole(self, raw: Mapping[str, Any], content: Mapping[str, Any]) -> object:
        """Why a whole message ended; it must hold something, were it the empty text. Not every server says why."""
        reason = raw.get("finish_reason", "stop")
        something = content.get("content") is not None or self.text or self.reasoning or self.tools
        if not something and read_finish(reason) not in ("length", "content_filter"):
            raise Malformed("message without content")
        return reason

    def _join_halves(self, text: str) -> str:
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return repair_surrogates(text)


class ResponseParser:
    """Writes the samples of one request into their slots.

    Every slot ends once, with its part of the usage, so the ledger holds what the server counted, whether
    the request succeeds, breaks off or is cancelled.

    Args:
        slots: of the candidates, in the order of the choices.
        usage: of this request.
        errors: makes the errors.
        live: whether slots are written piece by piece.
        top_logprobs: as asked for: alternatives for each token, None for no log-probabilities.
        beginning: text that the answers go on from.
    """

    def __init__(
        self,
        slots: Sequence[PartialCandidate],
        *,
        usage: UsageSplitter,
        errors: ErrorFactory,
        live: bool,
        top_logprobs: int | None,
        beginning: str = "",
    ) -> None:
        self._beginning = beginning
        self._slots = {slot.index: slot for slot in slots}
        self._live, self._top_logprobs = live, top_logprobs
        self._errors = errors
        self.usage = usage
        self.seed: int | None = None
        """Of the request as it was sent last, which is that of its first candidate."""
        self.notes: tuple[Degradation, ...] = ()
        """What was not done as asked."""
        self.choices = [ReplyChoice(slot.index) for slot in slots]
        self.begun = time.monotonic()
        self.has_begun = False
        """Something of an answer has come."""

    @property
    def open_choices(self) -> list[ReplyChoice]:
        """Choices whose candidates have not ended."""
        return [choice for choice in self.choices if not choice.ended]

    @property
    def has_written(self) -> bool:
        """Whether a choice says anything yet, or has ended; some servers begin with one that is empty."""
        return any(choice.characters or choice.finish or choice.broken for choice in self.choices)

    def take(self, reply: Mapping[str, Any]) -> None:
        """A reply, or a piece of a streamed one; a candidate ends as soon as its tokens are known.

        Raises:
            UpstreamError: it reports an error.
            Malformed: it is no reply.
        """
        raws = reply.get("choices")
        if (not raws or "error" in reply) and (report := find_report(reply)) is not None:
            raise self._errors.from_report(report)
        if (report := find_report_in_all(raws, len(self.choices))) is not None and not self.has_written:
            raise self._errors.from_report(report)
        if not isinstance(raws, list | None):
            raise Malformed("choices is not a list")
        counts = Counts.of(reply)
        if not raws:
            self._note_total(counts)
            return
        pieces = isinstance(raws[0], dict) and ("delta" in raws[0] or "message" not in raws[0])
        if counts is not None and not pieces:
            self.usage.total = counts
        ordered = raws if pieces else _in_order(raws)
        if not pieces and "timings" in reply:
            ordered = [_without(raw, self._beginning) for raw in ordered]
        for place, raw in enumerate(ordered):
            choice = self._choice_of(raw, place, len(raws)) if pieces else self._nth(place)
            if choice is None or choice.ended:
                continue
            if counts is not None and pieces:
                self._note_counts(choice, counts)
            self._take(choice, raw)
            if pieces:
                self._end_counted(choice)

    def close(self, *, done: bool, stray: bytes = b"") -> None:
        """The reply is over. Candidates that it has left out do not end.

        Args:
            done: the server said so.
            stray: what else it said, for the error.

        Raises:
            Malformed: it held no choice.
        """
        if not self.has_begun:
            raise Malformed("a reply without choices" + _quote(stray))
        self._leave_unended(done)
        for choice in self.choices:
            if choice.finish is None and choice.seen and choice.broken is None and not choice.ended:
                said = "the server never said that the answer ended (no finish_reason)"
                why = said if done else "the reply ended before the answer did"
                choice.broken = self._errors.bad_reply(why + _quote(stray))
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

    def _choice_of(self, raw: Any, place: int, count: int) -> ReplyChoice | None:
        """The choice that a piece belongs to, by its index; where it has none, by its place, if that is plain.

        Raises:
            Malformed: it is not to be known.
        """
        index = raw.get("index") if type(raw) is dict else False
        if type(index) is int:
            return self.choices[index] if 0 <= index < len(self.choices) else None
        if index is None and (len(self.choices) == 1 or count == len(self.choices)):
            return self._nth(place)
        raise Malformed("a choice is not an object with an index")

    def _nth(self, place: int) -> ReplyChoice | None:
        return self.choices[place] if 0 <= place < len(self.choices) else None

    def _note_counts(self, choice: ReplyChoice, counts: Counts) -> None:
        """Usage beside a choice is its own where it comes from the first chunk on, else the request's."""
        if len(self.choices) == 1 or choice.counts is not None or not choice.seen:
            choice.counts = counts
        else:
            self.usage.total = counts

    def _note_total(self, counts: Counts | None) -> None:
        """Usage by itself is the request's, or (llama.cpp) that of a choice that has just ended while others write."""
        fresh = [choice for choice in self.open_choices if choice.finish is not None and choice.counts is None]
        others = [choice for choice in self.choices if choice not in fresh]
        if counts is not None and len(fresh) == 1 and any(c.counts or c.finish is None for c in others):
            fresh[0].counts = counts
            self._end_counted(fresh[0])
        else:
            self.usage.total = counts or self.usage.total

    def _end_counted(self, choice: ReplyChoice) -> None:
        """Ends a choice whose end and tokens are known, before the others."""
        if choice.finish is not None and choice.counts is not None and len(self.open_choices) > 1:
            self._end(choice, self.usage.part(choice, first=choice is self.choices[0]), None)

    def _leave_unended(self, done: bool) -> None:
        """Of a whole stream that told the end of some choices, the others do not end: nobody knows whether they did.

        LiteLLM tells one end for all, and the last log-probabilities of the others with it.
        """
        open_, ended = self.open_choices, any(choice.finish is not None for choice in self.choices)
        self.usage.in_vain = [c for c in open_ if done and ended and c.seen and c.finish is None and c.broken is None]
        for choice in open_ if self.usage.in_vain else ():
            if choice.finish is None:
                choice.seen = False
            elif "".join(entry.token for entry in choice.logprobs or ()) != choice.text:
                choice.logprobs = None

    def _take(self, choice: ReplyChoice, raw: Any) -> None:
        """Adds to a choice; what is malformed breaks this one alone."""
        self.has_begun = True
        try:
            if not isinstance(raw, dict):
                raise Malformed("a choice is not an object")
            if raw.get("error") and (report := find_report(raw)) is not None:
                raise self._errors.from_report(report)
            reasoning, text = choice.take(raw)
            if (logprobs := raw.get("logprobs")) is not None:
                choice.take_logprobs(logprobs, self._top_logprobs)
            if self._live:
                slot = self._slots[choice.index]
                if reasoning:
                    slot.write(reasoning, reasoning=True, logprobs=choice.fresh_logprobs())
                if text:
                    slot.write(text, logprobs=choice.fresh_logprobs())
        except Malformed as error:
            choice.seen, choice.broken = True, choice.broken or self._errors.bad_reply(str(error))
        except UpstreamError as error:
            choice.seen, choice.broken = True, choice.broken or error
        if choice.finish is not None and choice.seconds is None:
            choice.seconds = time.monotonic() - self.begun
            if raw.get("usage") is not None:  # Moonshot's
                choice.counts = Counts.of(raw) or choice.counts

    def _end(self, choice: ReplyChoice, usage: Usage, error: UpstreamError | None) -> None:
        choice.ended = True
        slot, fields = self._slots[choice.index], self._fields(choice)
        fields["charge"] = self.usage.charge(usage)
        if choice.broken is not None:
            error = choice.broken
        elif choice.finish is not None:
            error = None
        if error is not None:
            slot.fail(error, usage, finish_reason="error", **fields)
        else:
            slot.finish(choice.reason or "stop", usage, **fields)

    def _fields(self, choice: ReplyChoice) -> dict[str, Any]:
        """What is known of the candidate beside its usage and its end."""
        fields: dict[str, Any] = {
            "text": choice.text,
            "reasoning": choice.reasoning or None,
            "tool_calls": () if choice.tools is None else choice.tools.dump(),
            "seed": self.seed if choice is self.choices[0] else None,
            "logprobs": tuple(choice.logprobs) if choice.logprobs is not None else None,
            "latency": choice.seconds if choice.seconds is not None else time.monotonic() - self.begun,
        }
        notes = self.notes
        if self._top_logprobs is not None and choice.logprobs is None and choice.text:
            why = "log-probabilities were asked for and did not come"
            notes = (*notes, Degradation(code="logprobs_missing", where=self._errors.where, detail=why))
        if notes:
            fields["degraded"] = notes
        return fields


def _quote(stray: bytes) -> str:
    return f": {stray.decode(errors='replace')}" if stray else ""


def _in_order(raws: list[Any]) -> list[Any]:
    """Choices by index, or as they come where the indices are not worth their name."""
    if len(raws) == 1:
        return raws
    by_place = {raw["index"]: raw for raw in raws if isinstance(raw, dict) and isinstance(raw.get("index"), int)}
    return [by_place[index] for index in sorted(by_place)] if len(by_place) == len(raws) else raws


def _without(raw: Any, beginning: str) -> Any:
    """A whole choice of llama.cpp's (whose replies have `timings`), which repeats the text that it went on from."""
    message = raw.get("message") if beginning and isinstance(raw, dict) else None
    said = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(said, str):
        return raw
    return {**raw, "message": {**message, "content": said.removeprefix(beginning)}}
