"""One request for one or several samples, from the first try to the last token."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import aiohttp

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import Rejected, TimedOut, UpstreamError
from quorate.orchestrator.events import Event
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.watch import CallWatch, UpstreamCall

from .accounts import Bill
from .reading import Reading
from .reply import Malformed, parsed
from .request import chat_body, encoded, names_n
from .sse import DONE, messages

if TYPE_CHECKING:
    from .agent import Endpoint

__all__ = ["Call"]

DRAIN = 0.1
"""Seconds for a stream to close by itself after its last event, so that its connection can be used again."""


class Call:
    """Asks for the candidates of some indices in one request.

    Args:
        endpoint: whose server is asked.
        question: with its sampling settings complete.
        indices: of the candidates.
        run: the run they belong to.
        ended: takes the candidates that have ended, by index.
        tries: requests made in vain for these candidates before.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        question: Question,
        indices: Sequence[int],
        run: RunContext,
        *,
        ended: dict[int, Candidate],
        tries: int = 0,
    ) -> None:
        self._endpoint = endpoint
        self._http = endpoint.http
        self._question = question
        self._run = run
        self._indices = indices
        self._body: dict[str, Any] = {}
        prompt = "".join(message.text for message in question.messages)
        self._bill = Bill(prompt, endpoint.price, tries)
        blank = Candidate(index=0, model=endpoint.model, agent=endpoint.name)
        self._reading = Reading(blank, indices, run, bill=self._bill, faults=self._http.faults, ended=ended)
        self.n_refused = False
        """The server wants one sample a request; nothing else became of this one."""
        self._watch = CallWatch()

    @property
    def missing(self) -> list[int]:
        """Candidates that the server has left out without failing."""
        return [choice.index for choice in self._reading.left]

    @property
    def tries(self) -> int:
        """Requests that count for no candidate yet."""
        return self._bill.untaken

    async def events(self) -> AsyncGenerator[Event, None]:
        """Tokens as they come and the end of each candidate, but for those `missing`."""
        self._watch = self._run.watch.call(self._described())
        try:
            async with aclosing(self._exchange()) as exchange:
                async for event in exchange:
                    yield event
            self._watch.ended("ok", self._bill.given)
            return
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled" if self._reading.left else "ok"
            self._reading.cut()
            self._watch.ended(outcome, self._bill.given)
            raise
        except UpstreamError as error:
            # Ended all at once, so that each is in the ledger even if nobody reads on.
            ends = [] if self.n_refused else list(self._reading.end(error))
            self._watch.ended(error.code, self._bill.given)
        for end in ends:
            yield end

    async def _exchange(self) -> AsyncGenerator[Event, None]:
        async with self._http.slot() as deadline:
            self._reading.begun = time.monotonic()
            response = await self._opened(deadline)
            self._watch.answered()
            try:
                plain = response.headers.get("content-type", "").startswith("application/json")
                read = self._streamed if self._run.live and not plain else self._whole
                async with aclosing(read(response, deadline)) as events:
                    async for event in events:
                        yield event
            except Malformed as error:
                raise self._http.faults.bad_reply(str(error)) from None
            finally:
                response.release()

    async def _opened(self, deadline: float) -> aiohttp.ClientResponse:
        def rng() -> random.Random:
            return self._run.rng(f"retry:{self._endpoint.name}:{self._question.text}:{self._indices[0]}")

        try:
            return await self._http.open("POST", "/chat/completions", self, rng, deadline=deadline, live=self._run.live)
        except UpstreamError as error:
            self._bill.working = self._bill.working and isinstance(error, TimedOut)
            raise

    async def _whole(self, response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[Event, None]:
        data = await self._http.whole(response, deadline)
        for event in list(self._reading.whole(parsed(data))):
            yield event

    async def _streamed(self, response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[Event, None]:
        done = False
        async with aclosing(self._http.body(response, deadline)) as chunks:
            async with aclosing(messages(chunks)) as data:
                async for message in data:
                    if done := message == DONE:
                        break
                    for event in self._reading.chunk(parsed(message)):
                        yield event
            if done:
                await _drained(chunks)
        for event in list(self._reading.close(done=done)):
            yield event

    # What http.Request asks for.

    def content(self) -> bytes:
        self._body = self._new_body()
        return encoded(self._body)

    def headers(self) -> Mapping[str, str]:
        return self._watch.headers()

    def sent(self) -> None:
        self._bill.tries += 1
        self._bill.working = True
        self._watch.sent()

    def refused(self, error: UpstreamError) -> bool:
        """Learns from the server's words what it does not understand."""
        self._bill.working = False
        self._watch.failed(error.code, error.status)
        if not isinstance(error, Rejected) or error.status not in (400, 422):
            return False
        words = str(error).removeprefix(self._http.faults.where)
        self._endpoint.dialect.learn(self._body, words)
        self.n_refused = len(self._indices) > 1 and names_n(words)
        return not self.n_refused and self._new_body() != self._body

    def _described(self) -> UpstreamCall:
        return UpstreamCall(
            self._run.thread,
            self._run.stage,
            agent=self._endpoint.name,
            model=self._endpoint.model,
            server=self._http.server,
            indices=self._indices,
        )

    def _new_body(self) -> dict[str, Any]:
        return chat_body(
            self._endpoint.model,
            self._question,
            self._endpoint.dialect,
            n=len(self._indices),
            seed=self._run.request_seed(self._indices),
            live=self._run.live,
        )


async def _drained(chunks: AsyncGenerator[bytes, None]) -> None:
    """Reads to the end of a stream that has said all, unless that takes longer than a new connection."""
    try:
        async with asyncio.timeout(DRAIN):
            async for _ in chunks:
                pass
    except (TimeoutError, UpstreamError):
        return
