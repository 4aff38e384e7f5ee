"""One request to `/chat/completions` for one or several samples, in the dialect that its server understands."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import PromptTooLong, QuorateError, Rejected, TimedOut, UpstreamError
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Message, Price, Question
from quorate.orchestrator.upstream import UpstreamCall

from .context import context_in_words
from .request import HttpReply, UpstreamRequest
from .response import Malformed, ResponseParser, parse_object
from .sse import DONE, Decoder
from .transport import Place, Transport
from .usage import UsageSplitter

__all__ = ["ChatCall", "Dialect", "ServedModel", "chat_body"]

DRAIN = 0.1
"""Seconds for a stream to close by itself after its last event, so that its connection can be used again."""
_STREAM_OPTIONS = {"include_usage": True, "continuous_usage_stats": True}
_MEANS_STREAM_OPTIONS = re.compile(r"stream_options|include_usage|continuous_usage_stats")
_PLAIN = {"role", "content"}
_MEANS_N = re.compile(r"(?<!\w)n(?!\w)")


@dataclass
class Dialect:
    """What a server has been found to understand; its refusals teach it."""

    n: bool | None = None
    """Whether one request may ask for several samples; None until tried."""
    max_tokens: str = "max_tokens"
    stream_options: Mapping[str, Any] | None = field(default_factory=lambda: _STREAM_OPTIONS)
    context: int | None = None
    """Tokens that prompt and answer may have together; None until the server has said."""

    def learn(self, body: Mapping[str, Any], refusal: str) -> None:
        """Takes note of what in this body the server's words object to."""
        options = body.get("stream_options")
        if options and _MEANS_STREAM_OPTIONS.search(refusal):
            self.stream_options = {"include_usage": True} if len(options) > 1 else None
        elif "max_tokens" in body and "max_completion_tokens" in refusal:
            self.max_tokens = "max_completion_tokens"


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
    """

    def __init__(
        self,
        served: ServedModel,
        question: Question,
        slots: Sequence[PartialCandidate],
        run: RunContext,
        *,
        tries: int = 0,
    ) -> None:
        super().__init__("/chat/completions")
        self._served, self._transport = served, served.transport
        self._question, self._slots, self._run = question, slots, run
        self._body: dict[str, Any] = {}
        self._indices = [slot.index for slot in slots]
        self._seed = run.request_seed(self._indices)
        self._usage = UsageSplitter(partial(_said_in, question), served.price, tries)
        self._parser = ResponseParser(
            slots, usage=self._usage, errors=self._transport.errors, seed=self._seed, live=run.live
        )
        self.n_refused = False
        """The server wants one sample a request; nothing else became of this one."""

    @property
    def open_slots(self) -> list[PartialCandidate]:
        """Slots that the server has left out without failing."""
        return [slot for slot in self._slots if not slot.done]

    @property
    def untaken(self) -> int:
        """Requests that count for no candidate yet."""
        return self._usage.untaken

    async def write_slots(self) -> None:
        """Ends every slot but the `open_slots`."""
        self.watch, outcome = self._served.watch(self._run, self._indices), "ok"
        try:
            await self._exchange()
        except asyncio.CancelledError:
            outcome = "cancelled" if self._parser.open_choices else "ok"
            self._parser.leave()
            raise
        except UpstreamError as error:
            outcome = error.code
            if not self.n_refused:
                self._parser.end(error)
        except Exception as error:
            outcome = error.code if isinstance(error, QuorateError) else "model_crashed"
            raise
        finally:
            self.watch.ended(outcome, self._usage.total_given)

    async def _exchange(self) -> None:
        transport, run = self._transport, self._run
        async with transport.place(run.caller, run.priority) as place:
            self._parser.begun = time.monotonic()
            reply = await self._open(place)
            try:
                plain = reply.headers.get("content-type", "").startswith("application/json")
                if run.live and not plain:
                    await self._read_stream(reply)
                else:
                    self._parser.take_reply(parse_object(await reply.read()))
            except Malformed as error:
                raise transport.errors.bad_reply(str(error)) from None
            finally:
                await reply.release()

    async def _open(self, place: Place) -> HttpReply:
        try:
            return await self._transport.open(self, place, rng=self._rng, live=self._run.live)
        except UpstreamError as error:
            self._usage.working = self._usage.working and isinstance(error, TimedOut)
            raise

    def _rng(self) -> random.Random:
        return self._run.rng(f"retry:{self._served.name}:{self._question.text}:{self._indices[0]}")

    async def _read_stream(self, reply: HttpReply) -> None:
        decoder, parser, piece = Decoder(), self._parser, b"-"
        try:
            while piece:
                # One of several samples may end, and make the others needless, before the stream does.
                reply.patient = len(self._slots) == 1 and not self._slots[0].is_followed
                piece = await reply.next_piece()
                for message in decoder.decode(piece):
                    if message == DONE:
                        await _drain(reply)
                        parser.close(done=True)
                        return
                    parser.take_chunk(parse_object(message))
        except asyncio.CancelledError:
            if reply.patient:
                self._take_rest(decoder, reply.take_rest())
            raise
        parser.close(done=False)

    def _take_rest(self, decoder: Decoder, piece: bytes) -> None:
        """What had come when somebody wanted no more; how it ends is of no matter any more."""
        with suppress(UpstreamError, Malformed):
            for message in decoder.decode(piece) if piece else ():
                if message != DONE:
                    self._parser.take_chunk(parse_object(message))

    def body(self) -> dict[str, Any]:
        """See `UpstreamRequest`."""
        self._body = self._new_body()
        return self._body

    def note_sent(self) -> None:
        """See `UpstreamRequest`."""
        super().note_sent()
        self._usage.tries += 1
        self._usage.working = True

    def note_refusal(self, error: UpstreamError) -> bool:
        """Learns from the server's words what it does not understand."""
        super().note_refusal(error)
        self._usage.working = False
        if isinstance(error, PromptTooLong):
            self._served.dialect.context = context_in_words(str(error)) or self._served.dialect.context
            return False
        if not isinstance(error, Rejected) or error.status not in (400, 422):
            return False
        words = str(error).removeprefix(self._transport.errors.where)
        self._served.dialect.learn(self._body, words)
        self.n_refused = len(self._slots) > 1 and _MEANS_N.search(words) is not None
        return not self.n_refused and self._new_body() != self._body

    def _new_body(self) -> dict[str, Any]:
        served = self._served
        return chat_body(
            served.model, self._question, served.dialect, n=len(self._slots), seed=self._seed, live=self._run.live
        )


def _said_in(question: Question) -> str:
    return "".join(message.text for message in question.messages)


def chat_body(
    model: str, question: Question, dialect: Dialect, *, n: int, seed: int | None, live: bool
) -> dict[str, Any]:
    """The request as the server gets it; only what is set, `sampling.extra` last."""
    sampling = question.sampling
    logprobs = sampling.top_logprobs is not None
    fields = {
        "model": model,
        "messages": [dump_message(message) for message in question.messages],
        "n": n if n > 1 else None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        dialect.max_tokens: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": seed,
        "logprobs": logprobs or None,
        "top_logprobs": sampling.top_logprobs or None,
        "tools": list(question.tools) or None,
        "tool_choice": question.tool_choice,
        "response_format": question.response_format,
        "stream": live or None,
        "stream_options": dialect.stream_options if live else None,
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(sampling.extra)


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
