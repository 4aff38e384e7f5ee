"""Reward models behind HTTP: verifiers over vLLM's `/pooling`, and `/score` and `/rerank`, which others speak too.

| class | endpoint | sends | reads |
|---|---|---|---|
| `RewardModel` | `/pooling`, outside `/v1` | `messages`, the candidate as the last | last number of `data[0].data` |
| `ScoreModel` | `/v1/score` | `queries`, `documents` | `data[0].score` |
| `RerankModel` | `/v1/rerank` (vLLM, Jina, Cohere) | `query`, `documents` | `results[0].relevance_score` |

A token-wise reward model of `/pooling` gives a number a token, or a row a token; the last one counts,
that is the reward of the whole text. Thinking that the backend kept apart is not sent.
"""

from __future__ import annotations

import asyncio
import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, BadReply, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.types import Candidate, Message, Question
from quorate.orchestrator.upstream import UpstreamCall
from quorate.orchestrator.usage import Usage

from .endpoint.http import Http
from .endpoint.request import encode_body
from .endpoint.transport import JsonExchange
from .endpoint.usage import estimate_tokens
from .settings import Rate, RetryPolicy, Timeouts


class PostedModel:
    """Base of models behind HTTP that answer one body with one reply and write nothing.

    Args:
        model: as the server names it.
        base_url: the server's address, with or without `/v1`.
        api_key: sent as a bearer token; never shown in messages, logs or reprs.
        name: how the ledger calls it; the model's name if not given.
        concurrency: most requests in flight at once; fewer where the server can do fewer.
        rate: at most so many requests in a time.
        timeouts: how long to wait.
        retries: when to try again.
        price: money for tokens.
        headers: sent with every request.

    Raises:
        BadInput: a setting is impossible.
    """

    path: str

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key: str | None = None,
        name: str | None = None,
        concurrency: int | None = None,
        rate: Rate | None = None,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        price: Price | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise BadInput(f"{type(self).__name__}(model) is empty: give the model's name as its server lists it")
        self.model = model
        self.name = name or model
        self.price = price
        self.http = Http(
            base_url,
            name=self.name,
            api_key=api_key,
            headers=headers,
            concurrency=concurrency,
            rate=rate,
            timeouts=timeouts,
            retries=retries,
        )

    async def post(self, body: dict[str, Any], run: RunContext) -> dict[str, Any]:
        """The reply to a body; what it spends is booked in the run's node.

        Raises:
            UpstreamError: the server failed.
        """
        watch = UpstreamCall(run, agent=self.name, model=self.model, server=self.http.server)
        rng = partial(run.rng, f"retry:{self.name}")
        request = JsonExchange(self.http, self.path, body, watch=watch, run=run, rng=rng)
        try:
            reply = await request.reply()
        except (UpstreamError, asyncio.CancelledError) as error:
            cut = isinstance(error, asyncio.CancelledError) and request.tries
            usage = self._book(run, request, _estimate(body) if cut else 0, estimated=bool(cut))
            watch.ended(error.code if isinstance(error, UpstreamError) else "cancelled", usage)
            raise
        tokens = _prompt_tokens(reply)
        known = _estimate(body) if tokens is None else tokens
        watch.ended("ok", self._book(run, request, known, estimated=tokens is None))
        return reply

    def _bad_reply(self, text: str) -> BadReply:
        return self.http.errors.bad_reply(f"{self.path.removeprefix('/..')}: {text}")

    def _book(self, run: RunContext, request: JsonExchange, tokens: int, *, estimated: bool) -> Usage:
        cost = self.price.of(tokens, 0) if self.price else None
        usage = Usage(prompt_tokens=tokens, requests=request.tries, cost=cost, estimated=estimated)
        run.record(self.name, usage)
        return usage

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Scorer(PostedModel):
    """Base of verifiers behind HTTP; satisfies `protocols.Verifier`."""

    @abstractmethod
    def body(self, question: Question, candidate: Candidate) -> dict[str, Any]:
        """What is asked."""

    @abstractmethod
    def read(self, reply: dict[str, Any]) -> object:
        """The score in a reply; whatever is missing or of the wrong kind may raise."""

    async def score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
        """See `protocols.Verifier`; what it spends is booked in the run's node.

        Raises:
            UpstreamError: the server failed, or its reply holds no finite score.
        """
        reply = await self.post({"model": self.model, **self.body(question, candidate)}, run)
        try:
            score = self.read(reply)
        except (KeyError, IndexError, TypeError) as error:
            raise self._bad_reply(f"no score in the reply ({error!r})") from None
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise self._bad_reply(f"the score is {score!r}, not a finite number")
        return float(score)


class RewardModel(Scorer):
    """A reward model that vLLM serves with `--runner pooling`, by its Pooling API."""

    path = "/../pooling"

    def body(self, question: Question, candidate: Candidate) -> dict[str, Any]:
        """The conversation with the candidate's text as the assistant's turn; the reward is wanted raw.

        vLLM would squash it to 0..1, where good candidates can no longer be told apart.
        """
        turn = Message(role="assistant", content=candidate.text)
        messages = [m.model_dump(mode="json", exclude_unset=True) for m in (*question.messages, turn)]
        return {"messages": messages, "add_generation_prompt": False, "use_activation": False}

    def read(self, reply: dict[str, Any]) -> object:
        """The last number, however deep it lies."""
        value: object = reply["data"][0]["data"]
        while isinstance(value, list):
            value = value[-1]
        return value


class ScoreModel(Scorer):
    """A model that scores pairs of texts: how well the candidate answers the question."""

    path = "/score"

    def body(self, question: Question, candidate: Candidate) -> dict[str, Any]:
        """The last user message and the candidate's text."""
        return {"queries": question.text, "documents": candidate.text}

    def read(self, reply: dict[str, Any]) -> object:
        return reply["data"][0]["score"]


class RerankModel(Scorer):
    """A reranker: the relevance of the candidate for the question."""

    path = "/rerank"

    def body(self, question: Question, candidate: Candidate) -> dict[str, Any]:
        """The last user message and the candidate's text as the only document."""
        return {"query": question.text, "documents": [candidate.text]}

    def read(self, reply: dict[str, Any]) -> object:
        return reply["results"][0]["relevance_score"]


def _estimate(body: Mapping[str, Any]) -> int:
    """Our own count of what is sent."""
    return estimate_tokens(len(encode_body(body)))


def _prompt_tokens(reply: Mapping[str, Any]) -> int | None:
    usage = reply.get("usage")
    told = usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, Mapping) else None
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None
