"""One request to `/chat/completions` for one or several samples, in the dialect that its server understands."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import PromptTooLong, QuorateError, TimedOut, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Degradation, Message, Question
from quorate.orchestrator.upstream import UpstreamCall

from .context import context_in_words
from .dialect import Dialect, Refused, names_n
from .framing import Frames, Malformed
from .request import REFUSALS, HttpReply, UpstreamRequest
from .response import ResponseParser
from .transport import Place, Transport
from .usage import UsageSplitter

__all__ = ["ChatCall", "ServedModel", "chat_body"]

DRAIN = 0.1
"""Seconds for a stream to close by itself after its last event, so that its connection can be used again."""
STREAM_OPTIONS = {"include_usage": True, "continuous_usage_stats": True}
_PLAIN = {"role", "content"}


@dataclass(frozen=True)
class ServedModel:
    """A model behind a server, and what is known of both."""

    transport: Transport
    model: str
    """As the server names it."""
    name: str
    """As answers call it."""
    price: Price | None = None
    dialect: Dialect = field(default_factory=Dialect)

    def watch(self, run: RunContext, indices: Sequence[int] = (0,)) -> UpstreamCall:
        """A call to it that begins now."""
        return UpstreamCall(run, agent=self.name, model=self.model, server=self.transport.server, indices=indices)


class ChatCall(UpstreamRequest):
    """Writes some slots by one request, from the first try to the last token.

    Args:
        served: who is asked.
        question: with its sampling settings complete.
        slots: to be written.
        run: the run they belong to.
        tries: requests made in vain for these candidates before.
        seed: of the request, where it is not that of its candidates (`RunContext.request_seed`).
        doubts_n: whether a refusal may be due to the number of samples.
        only_named: whether only what a refusal names is left out, so that any other refusal ends it (`refusal`).
    """

    is_answer = True

    def __init__(
        self,
        served: ServedModel,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        *,
        tries: int = 0,
        seed: int | None = None,
        doubts_n: bool = True,
        only_named: bool = False,
    ) -> None:
        super().__init__("/chat/completions")
        self._served, self._transport = served, served.transport
        self._question, self._slots, self._run = question, slots, run
        self._fields: Mapping[str, Any] = {}
        """Of the body sent last, without the caller's own."""
        self._doubts_n, self._only_named = doubts_n, only_named
        self._left_out: list[Refused] = []
        """What this request is tried without."""
        self._report: UpstreamError | None = None
        """An error that came in place of an answer, under a good status."""
        self._indices = [slot.index for slot in slots]
        self._seed = run.request_seed(self._indices) if seed is None else seed
        self._usage = UsageSplitter(partial(_said_in, question), served.price, tries, question.sampling.max_tokens)
        self._parser = ResponseParser(
            slots,
            usage=self._usage,
            errors=self._transport.errors,
            live=run.live,
            top_logprobs=question.sampling.top_logprobs,
            beginning=question.messages[-1].text if question.messages[-1].role == "assistant" else "",
        )
        self.refusal: UpstreamError | None = None
        """The server does not bear the request in this form; nothing else became of it, and its slots are open."""

    @property
    def open_slots(self) -> list[PartialCandidate]:
        """Slots that the server has left out without failing."""
        return [slot for slot in self._slots if not slot.done]

    @property
    def untaken(self) -> int:
        """Requests that count for no candidate yet."""
        return self._usage.untaken

    @property
    def words(self) -> str:
        """Of the `refusal`."""
        return str(self.refusal).removeprefix(self._transport.errors.where)

    @property
    def has_suspects(self) -> bool:
        """Whether something could be left out that has not been."""
        return self._suspect(self.words) is not None

    @property
    def was_muddled(self) -> bool:
        """The server lost account of the samples: of the tokens of each, or of their ends."""
        return self._usage.doubted or bool(self._usage.in_vain)

    def give_up(self) -> None:
        """Ends the open slots with the refusal."""
        self._parser.end(self.refusal)

    async def write_slots(self) -> None:
        """Ends every slot but the `open_slots`."""
        self.watch, outcome = self._served.watch(self._run, self._indices), "ok"
        try:
            await self._exchange()
            self.refusal = None
            if any(slot.result is not None and slot.result.ok for slot in self._slots):
                self._served.dialect.note_served(self._fields, self._left_out)
        except asyncio.CancelledError:
            outcome = "cancelled" if self._parser.open_choices else "ok"
            self._parser.leave()
            raise
        except UpstreamError as error:
            outcome = error.code
            if self.refusal is None:
                self._parser.end(error)
        except Exception as error:
            outcome = error.code if isinstance(error, QuorateError) else "model_crashed"
            raise
        finally:
            self.watch.ended(outcome, self._usage.total_given)

    async def _exchange(self) -> None:
        transport, run = self._transport, self._run
        async with transport.place(run, len(self._slots)) as place:
            self._parser.begun = time.monotonic()
            while True:
                reply = await self._open(place)
                try:
                    return await self._read(reply)
                except Malformed as error:
                    raise transport.errors.bad_reply(str(error)) from None
                except UpstreamError as error:
                    # What comes in place of the whole answer is a refusal, whatever its status.
                    if error is not self._report or self._parser.has_written:
                        raise
                    if not self.note_refusal(error):
                        await transport.wait_to_retry(error, place, self.tries, self._rng)
                finally:
                    await reply.release()

    async def _open(self, place: Place) -> HttpReply:
        try:
            return await self._transport.open(self, place, rng=self._rng, live=self._run.live)
        except UpstreamError as error:
            self._usage.working = self._usage.working and isinstance(error, TimedOut)
            raise
        finally:
            if place.held_back:
                where = f"{self._run.node}: {self._served.name}"
                note = Degradation(code="held_back", where=where, detail=place.held_back)
                self._parser.notes, place.held_back = (*self._parser.notes, note), ""

    def subject(self) -> str:
        """See `UpstreamRequest`."""
        return self._question.key

    def _rng(self) -> random.Random:
        return self._run.rng(f"retry:{self._served.name}:{self._question.text}:{self._indices[0]}")

    async def _read(self, reply: HttpReply) -> None:
        frames, parser, piece = Frames(), self._parser, b"-"
        try:
            while piece and not frames.done:
                # One of several samples may end, and make the others needless, before the stream does.
                reply.patient = len(self._slots) == 1 and not self._slots[0].is_followed
                piece = await reply.next_piece()
                if piece and not self._run.live:
                    await self._take_in_turn(frames, piece)
                else:
                    self._take(frames, piece)
        except asyncio.CancelledError:
            if reply.patient:
                with suppress(UpstreamError, Malformed):  # what had come when somebody wanted no more
                    self._take(frames, reply.take_rest() or b":")
            raise
        if piece:
            await _drain(reply)
        parser.close(done=frames.done, stray=frames.stray)

    async def _take_in_turn(self, frames: Frames, piece: bytes) -> None:
        """For whole replies, of which many may come at once; who is cancelled before its turn has it all the same."""
        try:
            await self._transport.limits().replies.take(self._run.caller)
        except asyncio.CancelledError:
            with suppress(UpstreamError, Malformed):
                self._take(frames, piece)
            raise
        self._take(frames, piece)

    def _take(self, frames: Frames, piece: bytes) -> None:
        for found in frames.take(piece):
            try:
                self._parser.take(found)
            except UpstreamError as error:
                self._report = error
                raise

    def body(self) -> Mapping[str, Any]:
        """See `UpstreamRequest`."""
        served, extra = self._served, self._question.sampling.extra
        fields = chat_body(served.model, self._question, n=len(self._slots), seed=self._seed, live=self._run.live)
        self._fields = served.dialect.adapt(fields, self._left_out)
        if self._fields is not fields:
            self._note_missing(fields)
        body = {**self._fields, **extra} if extra else self._fields
        self._parser.seed = body.get("seed")
        return body

    def _note_missing(self, fields: Mapping[str, Any]) -> None:
        """Tells of what the samples are drawn without that makes them others."""
        left_out = [each.words for each in self._left_out if each.setting.matters]
        missing = dict.fromkeys([*self._served.dialect.missing(fields), *left_out])
        where, why = f"{self._run.node}: {self._served.name}", "was refused, and the samples were drawn without it"
        others = [note for note in self._parser.notes if note.code != "setting_refused"]
        told = [Degradation(code="setting_refused", where=where, detail=f"{words} {why}") for words in missing]
        self._parser.notes = (*others, *told)

    def note_sent(self) -> None:
        """See `UpstreamRequest`."""
        super().note_sent()
        self._usage.tries += 1
        self._usage.working = True

    def note_refusal(self, error: UpstreamError) -> bool:
        """Leaves out what may be the reason; several samples at once are for the caller to give up (`refusal`)."""
        super().note_refusal(error)
        self._usage.working = False
        if isinstance(error, PromptTooLong):
            self._served.dialect.context = context_in_words(str(error)) or self._served.dialect.context
            return False
        several, greedy = len(self._slots) > 1, self._question.sampling.temperature == 0
        takes_n = self._served.dialect.takes_n(greedy=greedy) if several and self._doubts_n else True
        if error.status not in REFUSALS:
            if takes_n is None and (error.status == 500 or error is self._report):
                self.refusal = error
            return False
        words = str(error).removeprefix(self._transport.errors.where)
        found = self._suspect(words)
        by_name = found is not None and found.was_named
        gives_up = takes_n is not True or self._only_named or (found is None and not self._doubts_n)
        if (several and self._doubts_n and names_n(words)) or (gives_up and not by_name):
            self.refusal = error
        elif found is not None:
            self._left_out.append(found)
            return True
        return False

    def _suspect(self, words: str) -> Refused | None:
        """What the server may not understand of what was sent; the caller's own fields are beyond doubt."""
        own = self._question.sampling.extra
        fields = {name: value for name, value in self._fields.items() if name not in own}
        return self._served.dialect.suspect(fields, words, self._left_out)


def _said_in(question: Question) -> str:
    return "".join(message.text for message in question.messages)


def chat_body(model: str, question: Question, *, n: int, seed: int | None, live: bool) -> dict[str, Any]:
    """The request for a server that understands everything; only what is set, without `sampling.extra`."""
    sampling = question.sampling
    logprobs = sampling.top_logprobs is not None
    fields = {
        "model": model,
        "messages": [dump_message(message) for message in question.messages],
        "n": n if n > 1 else None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": seed,
        "logprobs": logprobs or None,
        "top_logprobs": max(1, sampling.top_logprobs) if sampling.top_logprobs is not None else None,
        "tools": list(question.tools) or None,
        "tool_choice": question.tool_choice,
        "response_format": question.response_format,
        "stream": live or None,
        "stream_options": STREAM_OPTIONS if live else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def dump_message(message: Message) -> dict[str, Any]:
    """A message as it is sent: with the fields that were set."""
    if message.model_fields_set == _PLAIN and isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    return message.model_dump(mode="json", exclude_unset=True)


async def _drain(reply: HttpReply) -> None:
    """Reads to the end of a stream that has said all, unless that takes longer than a new connection."""
    try:
        async with asyncio.timeout(DRAIN):
            while await reply.next_piece():
                pass
    except (TimeoutError, UpstreamError):
        return
