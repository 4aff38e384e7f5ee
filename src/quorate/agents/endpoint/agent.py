"""A model behind an OpenAI-compatible chat server: vLLM, OpenAI, any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from quorate.agents.agent import Agent
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, Event
from quorate.orchestrator.merging import merge
from quorate.orchestrator.types import Candidate, Question, SamplingParams

from .call import Call
from .exchange import exchange
from .http import Http
from .request import Dialect
from .settings import Breaking, Price, Rate, Retries, Timeouts
from .texts import TextCall
from .tokens import EndpointTokens

__all__ = ["Endpoint", "discover"]

LISTING = 15.0
"""Seconds that a server has to list its models, tries again included: somebody waits for a first sign of life."""


class Endpoint(Agent):
    """A model on a chat server.

    Several samples travel in one request (`n`) where the server can do that, else in concurrent
    ones; what a server does not understand is found out at the first refusal and remembered.

    Usable from any number of event loops; each has connections of its own, which `aclose` closes
    for the running one (`asyncio.run` does so at its end by itself).

    Args:
        model: as the server names it.
        base_url: the server's address, with or without `/v1`.
        api_key: sent as a bearer token; never shown in messages, logs or reprs.
        name: how answers call this agent; the model's name if not given.
        sampling: settings where the question has none.
        concurrency: requests at once, in each event loop; further ones wait.
        rate: how many requests may start in a time; further ones wait.
        timeouts: how long to wait.
        retries: when to try again.
        breaking: when to leave the server alone for a while.
        price: makes usage carry its cost.
        headers: sent with every request.
        n_supported: whether the server answers several samples in one request; None finds out.
        tokenizer: folder or hub name of the model's tokenizer, for token-level ensembling; where the server says
            that the model lies (vLLM's `root`) if not given.

    Raises:
        BadInput: a setting is impossible.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key: str | None = None,
        name: str | None = None,
        sampling: SamplingParams | None = None,
        concurrency: int = 64,
        rate: Rate | None = None,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        breaking: Breaking | None = None,
        price: Price | None = None,
        headers: Mapping[str, str] | None = None,
        n_supported: bool | None = None,
        tokenizer: str | Path | None = None,
    ) -> None:
        if not isinstance(model, str) or not model.strip():
            raise BadInput("Endpoint(model) is empty: give the model's name as its server lists it")
        self.model = model
        self.name = name or model
        self.sampling = sampling or SamplingParams()
        self.price = price
        self.dialect = Dialect(n=n_supported)
        self.http = Http(
            base_url,
            name=self.name,
            api_key=api_key,
            headers=headers,
            concurrency=concurrency,
            rate=rate,
            timeouts=timeouts or Timeouts(),
            retries=retries or Retries(),
            breaking=breaking,
        )
        where = None if tokenizer is None else str(tokenizer)
        self._tokens = EndpointTokens(self.http, model, self.name, tokenizer=where, price=price)

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`. One request for several samples has one seed (`RunContext.request_seed`)."""
        settings = question.sampling.over(self.sampling)
        question = question.model_copy(update={"sampling": settings})
        if run.seed is None and settings.seed is not None:
            run = replace(run, seed=settings.seed)
        ended: dict[int, Candidate] = {}
        for index in indices:
            yield CandidateStarted(index=index, model=self.model)
        try:
            async with aclosing(self._drawn(question, list(indices), run, ended)) as events:
                async for event in events:
                    if isinstance(event, CandidateFinished | CandidateFailed):
                        del ended[event.candidate.index]
                    yield event
        except (asyncio.CancelledError, GeneratorExit):
            run.cut.extend(ended.values())
            raise

    async def _drawn(
        self, question: Question, rest: list[int], run: RunContext, ended: dict[int, Candidate]
    ) -> AsyncGenerator[Event, None]:
        """All in one request, and what that leaves out one by one."""
        tries, doubted = 0, False
        if len(rest) > 1 and self.dialect.n is not False:
            call = Call(self, question, rest, run, ended=ended)
            async with aclosing(call.events()) as events:
                async for event in events:
                    yield event
            rest, tries = call.missing, call.tries
            # vLLM refuses several greedy samples, which says nothing of other requests.
            doubted = call.n_refused and question.sampling.temperature != 0
            if rest and not call.n_refused:
                self.dialect.n = False
        # One request each; the first candidate answers for the tries before.
        calls = [
            Call(self, question, [index], run, ended=ended, tries=tries if index == rest[0] else 0).events()
            for index in rest
        ]
        async with aclosing(calls[0] if len(calls) == 1 else merge(calls)) as events:
            async for event in events:
                if doubted and isinstance(event, CandidateFinished):
                    self.dialect.n = False
                yield event

    def complete(self, body: Mapping[str, Any], run: RunContext) -> AsyncGenerator[dict[str, Any], None]:
        """See `protocols.Completing`."""
        return TextCall(self, body, run).replies()

    def token_model(self) -> EndpointTokens:
        """The same model asked token by token, see `tokens.TokenModel`; needs a vLLM-compatible server."""
        return self._tokens

    async def models(self) -> list[str]:
        """Names of the models that the server offers.

        Raises:
            UpstreamError: it cannot be asked, or does not answer as it should.
        """
        return await _models(self.http)

    @property
    def available(self) -> bool:
        """False while its circuit breaker is open."""
        return self.http.breaker.state != "open"

    async def aclose(self) -> None:
        """Closes the connections of the running event loop; the next question opens them again."""
        await self.http.aclose()


async def discover(base_url: str, api_key: str | None = None, **settings: Any) -> list[Endpoint]:
    """An endpoint for every model that a server offers, in its order.

    Args:
        base_url: with or without `/v1`.
        api_key: sent as a bearer token.
        settings: of all endpoints, as for `Endpoint`; without timeouts of its own the list has `LISTING` seconds.

    Raises:
        BadInput: the address or a setting is impossible.
        UpstreamError: the server cannot be asked.
    """
    patience = settings.get("timeouts") or Timeouts(total=LISTING)
    async with Endpoint("models", base_url=base_url, api_key=api_key, **{**settings, "timeouts": patience}) as asked:
        names = await asked.models()
    return [Endpoint(name, base_url=base_url, api_key=api_key, **settings) for name in names]


async def _models(http: Http) -> list[str]:
    reply = await exchange(http, "/models")
    listed = reply.get("data")
    names = [entry.get("id") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise http.faults.bad_reply("/models is not a list of models with an id")
    return [str(name) for name in names]
