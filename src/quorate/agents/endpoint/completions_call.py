"""A request to a server's `/v1/completions`, passed on as it came: what continues a text without a conversation.

Nothing of the reply is read but its token counts, so whatever a server can do here (echo, log-probabilities of
the prompt, token ids, suffixes, ...) reaches the caller.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.types import SamplingParams
from quorate.orchestrator.usage import Usage

from .chat_call import STREAM_OPTIONS, ServedModel
from .dialect import Refused
from .framing import Frames, Malformed
from .request import REFUSALS, HttpReply, UpstreamRequest
from .shapes import find_report, find_report_in_all
from .usage import Counts, estimate_tokens

__all__ = ["CompletionsCall"]


class CompletionsCall(UpstreamRequest):
    """One exchange.

    Args:
        served: who is asked.
        sampling: what the request leaves open.
        body: the request; its `model` is replaced.
        run: its budget and where usage is recorded.
    """

    def __init__(self, served: ServedModel, sampling: SamplingParams, body: Mapping[str, Any], run: RunContext) -> None:
        super().__init__("/completions")
        self._served, self._run = served, run
        self._given = {**_defaults(sampling), **body, "model": served.model}
        self._live = bool(body.get("stream"))
        if (left := run.tokens_left()) is not None:
            self._given["max_tokens"] = min(left, self._given.get("max_tokens", left))
        most = self._given.get("max_tokens")
        self._counter = _TokenCounter(_prompt_sizes(body.get("prompt")), int(body.get("n") or 1), most)
        self._options = {"stream_options": STREAM_OPTIONS} if self._live else {}
        self._left_out: list[Refused] = []
        self._report: UpstreamError | None = None
        """An error that came in place of an answer, under a good status."""

    async def replies(self) -> AsyncGenerator[dict[str, Any], None]:
        """The reply, or its chunks where the body asks for a stream; tokens are recorded however it ends.

        Raises:
            UpstreamError: the server failed, or cannot do what is asked.
            NoAnswer: the budget's time ran out.
        """
        self.watch, outcome = self._served.watch(self._run), "cancelled"
        try:
            async with aclosing(self._exchange()) as exchange:
                while True:
                    # The limit holds for each reply alone: a generator may be read on by another task.
                    async with self._run.time_limit():
                        reply = await anext(exchange, None)
                    if reply is None:
                        break
                    yield reply
            outcome = "ok"
        except TimeoutError:
            outcome = "budget_exhausted"
            raise NoAnswer(f"{self._served.name}: out of time", status=504, code=outcome) from None
        except UpstreamError as error:
            outcome = error.code
            raise
        finally:
            refused = outcome not in {"ok", "cancelled", "budget_exhausted"}
            usage = self._counter.usage(self.tries, self._served.price, refused=refused)
            if usage != Usage():
                self._run.record(self._served.model, usage)
            self.watch.ended(outcome, usage)

    async def _exchange(self) -> AsyncGenerator[dict[str, Any], None]:
        rng = partial(self._run.rng, f"retry:{self._served.name}:texts")
        transport = self._served.transport
        async with transport.place(self._run) as place:
            while True:
                reply = await transport.open(self, place, rng=rng, live=self._live)
                try:
                    async with aclosing(self._read(reply)) as objects:
                        if self._live:
                            async for found in objects:
                                yield found
                        else:
                            yield _join([found async for found in objects])
                    self._served.dialect.note_served({"stream_options": None} if self._live else {}, self._left_out)
                    return
                except Malformed as error:
                    raise transport.errors.bad_reply(str(error)) from None
                except UpstreamError as error:
                    # What comes in place of the whole answer is a refusal, whatever its status.
                    if error is not self._report or self._counter.has_begun:
                        raise
                    if not self.note_refusal(error):
                        await transport.wait_to_retry(error, place, self.tries, rng)
                finally:
                    await reply.release()

    async def _read(self, reply: HttpReply) -> AsyncGenerator[dict[str, Any], None]:
        frames, piece = Frames(), b"-"
        while piece and not frames.done:
            piece = await reply.next_piece()
            for found in frames.take(piece):
                if (report := find_report(found) or self._find_failure(found)) is not None:
                    self._report = self._served.transport.errors.from_report(report)
                    raise self._report
                self._counter.take(found, whole=frames.is_document)
                yield found
        if not self._counter.has_begun:
            raise Malformed("a reply without choices")
        if not (frames.is_document or frames.done or self._counter.all_done):
            raise Malformed("the stream ended before the text did")
        if self._counter.is_mixed:
            raise Malformed("more tokens than its texts may have: the server mixed several into one")

    def _find_failure(self, reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The error that a first reply holds in place of every text."""
        return None if self._counter.has_begun else find_report_in_all(reply.get("choices"), self._counter.texts)

    def body(self) -> dict[str, Any]:
        """See `UpstreamRequest`."""
        body = {name: value for name, value in self._given.items() if name != "stream_options" and value is not None}
        return {**body, **self._served.dialect.adapt(self._options, self._left_out)}

    def note_refusal(self, error: UpstreamError) -> bool:
        """Learns whether the server can tell usage while it streams; all else is the caller's own."""
        super().note_refusal(error)
        if error.status not in REFUSALS:
            return False
        words, dialect = str(error).removeprefix(self._served.transport.errors.where), self._served.dialect
        found = dialect.suspect(dialect.adapt(self._options, self._left_out), words, self._left_out)
        if found is not None:
            self._left_out.append(found)
        return found is not None


class _TokenCounter:
    """Tokens of a request for several texts, as far as its server has told them.

    Args:
        prompts: tokens of each.
        n: texts for each.
        max_tokens: so many has a text that was cut at its length; None where the server decides.
    """

    def __init__(self, prompts: list[int], n: int, max_tokens: int | None) -> None:
        self._prompts = prompts
        self._n = n
        self._max_tokens = max_tokens
        self._total: Counts | None = None
        self._counts: dict[int, Counts] = {}
        self._written: dict[int, int] = {}
        self._ends: dict[int, str] = {}

    @property
    def texts(self) -> int:
        """How many were asked for."""
        return len(self._prompts) * self._n

    @property
    def has_begun(self) -> bool:
        """Whether a choice has come."""
        return bool(self._written)

    @property
    def all_done(self) -> bool:
        """Whether every text that has begun has come to its end."""
        return bool(self._written) and self._written.keys() == self._ends.keys()

    @property
    def is_mixed(self) -> bool:
        """Whether there are more tokens than the texts that came may have: LiteLLM streams all as one."""
        counts = self._server_counts()
        if counts is None or not self._max_tokens or len(self._written) == self.texts:
            return False
        return counts.completion > self._max_tokens * len(self._written)

    def take(self, reply: Mapping[str, Any], *, whole: bool) -> None:
        counts, choices = Counts.of(reply), reply.get("choices")
        choices = [c for c in choices if isinstance(c, Mapping)] if isinstance(choices, list) else []
        if counts is not None and (whole or not choices):
            self._total = counts
        for choice in choices:
            index = choice.get("index") if isinstance(choice.get("index"), int) else 0
            text = choice.get("text")
            self._written[index] = self._written.get(index, 0) + (len(text) if isinstance(text, str) else 0)
            if counts is not None:
                self._counts[index] = counts
            if choice.get("finish_reason"):
                self._ends[index] = choice["finish_reason"]

    def usage(self, tries: int, price: Price | None, *, refused: bool) -> Usage:
        """What it came to; our own count, marked so, where the server did not tell."""
        counts, estimated = self._server_counts(), False
        if counts is not None and self._is_too_low(counts):
            counts, estimated = counts._replace(completion=sum(map(self._likely, self._written))), True
        if counts is None:
            begun = self._written or not refused
            prompt = sum(self._prompts) if begun and tries else 0
            written = sum(self._written.values())
            counts = Counts(prompt, estimate_tokens(written))
            estimated = bool(prompt or written)
        return counts.to_usage(price, requests=tries, estimated=estimated)

    def _is_too_low(self, total: Counts) -> bool:
        """Whether several texts must have more than a total, which llama.cpp's is of one of them."""
        least = sum(self._likely(i) if self._is_cut(i) else min(1, size) for i, size in self._written.items())
        return len(self._written) > 1 and (total.of_one or total.completion < least)

    def _is_cut(self, index: int) -> bool:
        return self._ends.get(index) == "length" and self._max_tokens is not None

    def _likely(self, index: int) -> int:
        """Tokens of one text."""
        return self._max_tokens if self._is_cut(index) and self._max_tokens else estimate_tokens(self._written[index])

    def _server_counts(self) -> Counts | None:
        if self._total is not None:
            return self._total
        if len(self._counts) < (len(self._written) if self.all_done else self.texts):
            return None  # some are still to come
        prompts = {index // self._n: counts.prompt for index, counts in self._counts.items()}
        return Counts(sum(prompts.values()), sum(counts.completion for counts in self._counts.values()))


def _join(replies: list[dict[str, Any]]) -> dict[str, Any]:
    """One reply out of the pieces that a server sends although nobody has asked for a stream."""
    if len(replies) == 1:
        return replies[0]
    choices: dict[int, dict[str, Any]] = {}
    for choice in (choice for reply in replies for choice in reply.get("choices") or () if isinstance(choice, dict)):
        index, text, logprobs = choice.get("index"), choice.get("text"), choice.get("logprobs")
        fresh = {**choice, "text": "", "finish_reason": None, "logprobs": None}
        whole = choices.setdefault(index if isinstance(index, int) else 0, fresh)
        whole["text"] += text if isinstance(text, str) else ""
        whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
        for name, values in logprobs.items() if isinstance(logprobs, dict) else ():
            lists = whole["logprobs"] = whole["logprobs"] or {}
            lists[name] = [*lists.get(name, ()), *(values if isinstance(values, list) else ())]
    return {**replies[0], "choices": [choices[index] for index in sorted(choices)]}


def _prompt_sizes(prompt: Any) -> list[int]:
    """Tokens of each prompt, by our own count where it is text."""
    if isinstance(prompt, str):
        return [estimate_tokens(len(prompt))]
    if not isinstance(prompt, list) or not prompt:
        return [0]
    if isinstance(prompt[0], int):
        return [len(prompt)]
    return [count for each in prompt for count in _prompt_sizes(each)]


def _defaults(sampling: SamplingParams) -> dict[str, Any]:
    """The endpoint's settings, for what the request leaves open."""
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(sampling.extra)
