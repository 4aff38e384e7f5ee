"""A model behind a vLLM-compatible server, asked token by token: two round trips a cycle.

A draft is a completion of a prompt of token ids, distributions after prefixes are one completion of all
these prefixes, one token each; the server's prefix cache does the rest. Servers tell the best few tokens
only (vLLM 20, unless started with `--max-logprobs`), so the engine's probabilities of others are bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Sequence
from typing import Any

from quorate.agents.listed import ALL, MOST, SMALL, listed
from quorate.agents.vocabulary import TokenizerVocabulary
from quorate.orchestrator.errors import BadInput, Rejected, UpstreamError
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.tokens import Distribution, Draft, DraftAsk, Draw, ScoreAsk, Scores
from quorate.orchestrator.types import Question, Usage

from .continuing import Said, ask_body, read_texts, usage_of
from .exchange import Exchange, exchange
from .http import Http
from .reply import Malformed
from .settings import Price
from .tokenizing import Tokenizing, find_tokenizer

__all__ = ["EndpointTokens"]

log = logging.getLogger("quorate.agents")

FEWER = (MOST, 10, 5, 1)
"""Numbers of tokens to ask for until a server agrees."""
UNKNOWN = 1 << 20
"""Context of a server that does not tell; its refusal ends the answer."""


class EndpointTokens:
    """See `orchestrator.tokens.TokenModel`. Usable from any number of event loops.

    Args:
        http: the server.
        model: as the server names it.
        name: of the model, for errors.
        tokenizer: folder or hub name of the model's tokenizer; what the server calls the model's root if not given.
        price: makes usage carry its cost.
    """

    in_process = False

    def __init__(self, http: Http, model: str, name: str, *, tokenizer: str | None, price: Price | None) -> None:
        self.name = name
        self._http, self._model, self._where, self._price = http, model, tokenizer, price
        self._tokenizing: Tokenizing | None = None
        self._context = UNKNOWN

    @property
    def context(self) -> int:
        """See `TokenModel`."""
        return self._context

    @property
    def vocabulary(self) -> TokenizerVocabulary:
        """See `TokenModel`."""
        return self._opened.vocabulary

    async def open(self) -> None:
        """See `TokenModel`.

        Raises:
            MissingExtra: transformers is not installed, which reads the tokenizer.
            BadInput: no (fast) tokenizer is known or it is another than the server's, there is no chat template,
                or completions come without log-probabilities or token ids.
            UpstreamError: the server cannot be asked.
        """
        if self._tokenizing is not None:
            return
        told = await self._told()
        where = self._where or told.get("root")
        if not isinstance(where, str) or not where:
            raise BadInput(
                f"{self._http.faults.where} does not say where its tokenizer is, and token-level ensembling needs it: "
                "set `tokenizer` to the model's folder or its name on the hub"
            )
        loaded = await asyncio.to_thread(find_tokenizer, where, self.name, hub=self._where is not None)
        tokenizing = Tokenizing(self._http, self._model, self.name, loaded, where)
        length = await tokenizing.check()
        lengths = [told.get("max_model_len"), length, tokenizing.context]
        self._context = next((n for n in lengths if isinstance(n, int) and n > 0), UNKNOWN)
        self._k = await self._probed(tokenizing)
        self._tokenizing = tokenizing

    def prompt(self, question: Question) -> list[int]:
        """See `TokenModel`; a server with a chat template of its own is asked, and waited for."""
        return self._opened.prompt(question)

    async def draft(self, asks: Sequence[DraftAsk]) -> list[Draft]:
        """See `TokenModel`; a draft goes on where it was to stop early."""
        return await gather([self._draft(ask) for ask in asks])

    async def score(self, asks: Sequence[ScoreAsk]) -> list[Scores]:
        """See `TokenModel`; all prefixes of one context in one request."""
        return await gather([self._score(ask) for ask in asks])

    def release(self, rows: Sequence[Hashable]) -> None:
        """See `TokenModel`; the server's cache forgets by itself."""

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        await self._http.aclose()

    @property
    def _opened(self) -> Tokenizing:
        if self._tokenizing is None:
            raise RuntimeError(f"{self.name} has not been opened")
        return self._tokenizing

    async def _draft(self, ask: DraftAsk) -> Draft:
        [said], usage = await self._said(ask, [ask.tokens], ask.limit, ask.draw)
        known = [(one.token, self._distribution(one)) for one in said if one.token < self.vocabulary.size]
        if not known:
            raise self._http.faults.bad_reply(f"token {said[0].token}, but the vocabulary has {self.vocabulary.size}")
        return Draft([token for token, _ in known], [distribution for _, distribution in known], usage)

    async def _score(self, ask: ScoreAsk) -> Scores:
        texts, usage = await self._said(ask, [ask.tokens[:place] for place in ask.places], 1)
        return Scores([self._distribution(said[0]) for said in texts], usage)

    def _distribution(self, said: Said) -> Distribution:
        try:
            return listed(said.entries, self._k, self.vocabulary.size)
        except ValueError as error:
            raise self._http.faults.bad_reply(str(error)) from None

    async def _said(
        self, ask: DraftAsk | ScoreAsk, prompts: Sequence[Sequence[int]], limit: int, draw: Draw | None = None
    ) -> tuple[list[list[Said]], Usage]:
        """What comes after each prompt, and what it cost; what gave nothing is spent in vain."""
        watch = ask.watch(self.name, self._model, self._http.server)
        request = Exchange(self._http, "/completions", ask_body(self._model, prompts, limit, self._k, draw), watch)

        def in_vain(outcome: str, usage: Usage) -> None:
            ask.spend(usage)
            watch.ended(outcome, usage)

        try:
            reply = await request.reply()
        except UpstreamError as error:
            in_vain(error.code, Usage(requests=request.tries))
            raise
        except asyncio.CancelledError:
            in_vain("cancelled", usage_of({}, prompts if request.tries else [], 0, request.tries, self._price))
            raise
        try:
            texts = read_texts(reply, len(prompts))
        except Malformed as error:
            fault = self._http.faults.bad_reply(f"/completions: {error}")
            in_vain(fault.code, usage_of(reply, prompts, 0, request.tries, self._price))
            raise fault from None
        usage = usage_of(reply, prompts, sum(map(len, texts)), request.tries, self._price)
        watch.ended("ok", usage)
        return texts, usage

    async def _told(self) -> dict[str, Any]:
        """What the server lists of the model; nothing where it has no list."""
        try:
            reply = await exchange(self._http, "/models")
        except Rejected as error:
            if error.status not in (404, 405):
                raise
            return {}
        listing = reply.get("data")
        entries = [entry for entry in listing if isinstance(entry, dict)] if isinstance(listing, list) else []
        return next((entry for entry in entries if entry.get("id") == self._model), {})

    async def _probed(self, tokenizing: Tokenizing) -> int:
        """How many of the likeliest tokens to ask for.

        Raises:
            BadInput: the server does not tell any, or not by id.
            UpstreamError: it failed, or does not have the model.
        """
        asked = (ALL, *FEWER) if tokenizing.vocabulary.size <= SMALL else FEWER
        for k in asked:
            try:
                return await self._agreed(tokenizing.probe(), k, tokenizing.vocabulary.size)
            except Rejected as error:
                if error.status not in (400, 422):
                    raise
                refusal = error
        raise BadInput(f"token-level ensembling needs log-probabilities after token ids, but {refusal}") from refusal

    async def _agreed(self, prompt: list[int], k: int, size: int) -> int:
        """The number that a server keeps to which is asked for so many.

        Raises:
            BadInput: its reply holds no log-probabilities or no ids.
            UpstreamError: it refused.
        """
        reply = await exchange(self._http, "/completions", ask_body(self._model, [prompt], 1, k))
        try:
            [[said]] = read_texts(reply, 1)
        except (Malformed, ValueError) as error:
            raise BadInput(
                f"{self._http.faults.where} does not tell log-probabilities by token id ({error}): token-level "
                "ensembling needs /v1/completions with logprobs and return_tokens_as_token_ids, as vLLM has them"
            ) from error
        told = len(said.entries)
        if k == ALL:
            return ALL if told >= size else told
        if told < k:
            log.info(
                "%s: the server tells %d of its likeliest tokens; others count as much as the last", self.name, told
            )
        return min(k, told)
