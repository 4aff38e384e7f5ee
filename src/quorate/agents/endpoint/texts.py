"""A request to a server's `/v1/completions`, passed on as it came: what continues a text without a conversation.

Nothing of the reply is read but its token counts, so whatever a server can do here (echo, log-probabilities of
the prompt, token ids, suffixes, ...) reaches the caller.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer, Rejected, UpstreamError
from quorate.orchestrator.merging import until
from quorate.orchestrator.types import SamplingParams, Usage
from quorate.orchestrator.watch import CallWatch, UpstreamCall

from .reply import Counts, Malformed, parsed
from .request import encoded
from .sse import DONE, messages

if TYPE_CHECKING:
    from .agent import Endpoint

__all__ = ["TextCall"]

CHARACTERS = 4
"""Of usual text in a token, where nobody counted."""


class TextCall:
    """One exchange.

    Args:
        endpoint: whose server is asked.
        body: the request; its `model` is replaced, and what it leaves open is set by the endpoint's sampling.
        run: its budget and where usage is recorded.
    """

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any], run: RunContext) -> None:
        self._endpoint = endpoint
        self._http = endpoint.http
        self._run = run
        self._given = {**_defaults(endpoint.sampling), **body, "model": endpoint.model}
        self._live = bool(body.get("stream"))
        self._count = _Count(_prompts(body.get("prompt")), int(body.get("n") or 1))
        if (left := run.tokens_left()) is not None:
            self._given["max_tokens"] = min(left, self._given.get("max_tokens", left))
        self._body: dict[str, Any] = {}
        self._tries = 0
        self._watch = CallWatch()

    async def replies(self) -> AsyncGenerator[dict[str, Any], None]:
        """The reply, or its chunks where the body asks for a stream; tokens are recorded however it ends.

        Raises:
            UpstreamError: the server failed, or cannot do what is asked.
            NoAnswer: the budget's time ran out.
        """
        asked = UpstreamCall(
            self._run.thread,
            self._run.stage,
            agent=self._endpoint.name,
            model=self._endpoint.model,
            server=self._http.server,
        )
        self._watch, outcome = self._run.watch.call(asked), "cancelled"
        try:
            async with aclosing(until(self._run.deadline, self._exchange(), self._run.halt)) as exchange:
                async for reply in exchange:
                    yield reply
            outcome = "ok"
        except TimeoutError:
            outcome = "budget_exhausted"
            raise NoAnswer(f"{self._endpoint.name}: out of time", status=504, code=outcome) from None
        except UpstreamError as error:
            outcome = error.code
            raise
        finally:
            usage = self._count.usage(self._tries, refused=outcome not in {"ok", "cancelled", "budget_exhausted"})
            if price := self._endpoint.price:
                usage = usage.model_copy(update={"cost": price.of(usage.prompt_tokens, usage.completion_tokens)})
            if usage != Usage():
                self._run.record(self._endpoint.model, usage)
            self._watch.ended(outcome, usage)

    async def _exchange(self) -> AsyncGenerator[dict[str, Any], None]:
        rng = partial(self._run.rng, f"retry:{self._endpoint.name}:texts")
        async with self._http.slot() as deadline:
            response = await self._http.open("POST", "/completions", self, rng, deadline=deadline, live=self._live)
            self._watch.answered()
            try:
                plain = response.headers.get("content-type", "").startswith("application/json")
                whole = plain or not self._live
                read = self._whole if whole else self._streamed
                async with aclosing(read(response, deadline)) as replies:
                    async for reply in replies:
                        if reply.get("error"):
                            raise self._http.faults.reported(reply["error"])
                        self._count.take(reply, whole=whole)
                        yield reply
            except Malformed as error:
                raise self._http.faults.bad_reply(str(error)) from None
            finally:
                response.release()

    async def _whole(self, response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[dict[str, Any], None]:
        reply = parsed(await self._http.whole(response, deadline))
        if not reply.get("error") and not (isinstance(reply.get("choices"), list) and reply["choices"]):
            raise Malformed("a reply without choices")
        yield reply

    async def _streamed(
        self, response: aiohttp.ClientResponse, deadline: float
    ) -> AsyncGenerator[dict[str, Any], None]:
        async with (
            aclosing(self._http.body(response, deadline)) as pieces,
            aclosing(messages(pieces)) as events,
        ):
            async for message in events:
                if message == DONE:
                    return
                yield parsed(message)
        if not self._count.finished:
            raise Malformed("the stream ended before the text did")

    # What http.Request asks for.

    def content(self) -> bytes:
        self._body = self._new_body()
        return encoded(self._body)

    def headers(self) -> Mapping[str, str]:
        return self._watch.headers()

    def sent(self) -> None:
        self._tries += 1
        self._watch.sent()

    def refused(self, error: UpstreamError) -> bool:
        """Learns whether the server can tell usage while it streams."""
        self._watch.failed(error.code, error.status)
        if not isinstance(error, Rejected) or error.status not in (400, 422):
            return False
        self._endpoint.dialect.learn(self._body, str(error).removeprefix(self._http.faults.where))
        return self._new_body() != self._body

    def _new_body(self) -> dict[str, Any]:
        options = self._endpoint.dialect.stream_options if self._live else None
        body = {name: value for name, value in self._given.items() if name != "stream_options" and value is not None}
        return body if options is None else {**body, "stream_options": dict(options)}


class _Count:
    """Tokens of a request for several texts, as far as its server has told them."""

    def __init__(self, prompts: list[int], n: int) -> None:
        self._prompts = prompts
        self._n = n
        self._total: Counts | None = None
        self._told: dict[int, Counts] = {}
        self._written: dict[int, int] = {}
        self._done: set[int] = set()

    @property
    def finished(self) -> bool:
        """Whether every text that has begun has come to its end."""
        return bool(self._written) and set(self._written) == self._done

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
                self._told[index] = counts
            if choice.get("finish_reason") is not None:
                self._done.add(index)

    def usage(self, tries: int, *, refused: bool) -> Usage:
        """What it came to; our own count, marked so, where the server did not tell."""
        counts, estimated = self._known(), False
        if counts is None:
            begun = self._written or not refused
            prompt = sum(self._prompts) if begun and tries else 0
            written = sum(self._written.values())
            counts = Counts(prompt, -(-written // CHARACTERS))
            estimated = bool(prompt or written)
        return Usage(
            prompt_tokens=counts.prompt, completion_tokens=counts.completion, requests=tries, estimated=estimated
        )

    def _known(self) -> Counts | None:
        if self._total is not None:
            return self._total
        if len(self._told) < len(self._prompts) * self._n:
            return None
        prompts = {index // self._n: counts.prompt for index, counts in self._told.items()}
        return Counts(sum(prompts.values()), sum(counts.completion for counts in self._told.values()))


def _prompts(prompt: Any) -> list[int]:
    """Tokens of each prompt, by our own count where it is text."""
    if isinstance(prompt, str):
        return [-(-len(prompt) // CHARACTERS)]
    if not isinstance(prompt, list) or not prompt:
        return [0]
    if isinstance(prompt[0], int):
        return [len(prompt)]
    return [count for each in prompt for count in _prompts(each)]


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
