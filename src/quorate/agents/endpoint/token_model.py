"""A model behind a vLLM-compatible server, asked token by token: two round trips a cycle.

A draft is a completion of a prompt of token ids, distributions after prefixes are one completion of all
these prefixes, one token each; the server's prefix cache does the rest. Servers tell the best few tokens
only (vLLM 20, unless started with `--max-logprobs`), so the engine's probabilities of others are bounds.
Ids come back as `token_id:N` (`return_tokens_as_token_ids`, vLLM's word): decoded tokens collide, since
several ids may read the same and half a character reads as a replacement mark.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quorate.agents.vocabulary import ALL, MOST, SMALL, TokenizerVocabulary, top_k_distribution
from quorate.orchestrator.errors import BadInput, Rejected, UpstreamError
from quorate.orchestrator.identity import Price
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.tokens import Distribution, Draft, DraftAsk, Draw, ScoreAsk, Scores
from quorate.orchestrator.types import Question
from quorate.orchestrator.upstream import UpstreamCall
from quorate.orchestrator.usage import Usage

from .framing import Malformed
from .served_tokenizer import ServedTokenizer, find_tokenizer
from .shapes import list_models
from .transport import JsonExchange, Transport
from .usage import Counts

__all__ = ["EndpointTokens"]

log = logging.getLogger("quorate.agents")

_ID = "token_id:"
FEWER = (MOST, 10, 5, 1)
"""Numbers of tokens to ask for until a server agrees."""
UNKNOWN = 1 << 20
"""Context of a server that does not tell; its refusal ends the answer."""


class EndpointTokens:
    """See `orchestrator.tokens.TokenModel`. Usable from any number of event loops.

    Args:
        transport: reaches the server.
        model: as the server names it.
        name: of the model, for errors.
        tokenizer: folder or hub name of the model's tokenizer; what the server calls the model's root if not given.
        price: makes usage carry its cost.
    """

    in_process = False

    def __init__(
        self, transport: Transport, model: str, name: str, *, tokenizer: str | None, price: Price | None
    ) -> None:
        self.name = name
        self._transport, self._model, self._where, self._price = transport, model, tokenizer, price
        self._tokenizer: ServedTokenizer | None = None
        self._context = UNKNOWN

    @property
    def context(self) -> int:
        """See `TokenModel`."""
        return self._context

    @property
    def known_context(self) -> int | None:
        """`context`, once the server has told it."""
        return None if self._context == UNKNOWN else self._context

    @property
    def vocabulary(self) -> TokenizerVocabulary:
        """See `TokenModel`."""
        return self._ready_tokenizer.vocabulary

    async def open(self) -> None:
        """See `TokenModel`.

        Raises:
            MissingExtra: transformers is not installed, which reads the tokenizer.
            BadInput: no (fast) tokenizer is known or it is another than the server's, there is no chat template,
                or completions come without log-probabilities or token ids.
            UpstreamError: the server cannot be asked.
        """
        if self._tokenizer is not None:
            return
        about = await self._read_listing()
        where = self._where or about.get("root")
        if not isinstance(where, str) or not where:
            raise BadInput(
                f"{self._transport.errors.where} does not say where its tokenizer is, and token-level ensembling needs "
                "it: set `tokenizer` to the model's folder or its name on the hub"
            )
        loaded = await asyncio.to_thread(find_tokenizer, where, self.name, hub=self._where is not None)
        tokenizer = ServedTokenizer(self._transport, self._model, self.name, loaded, where)
        length = await tokenizer.check()
        lengths = [about.get("max_model_len"), length, tokenizer.context]
        self._context = next((n for n in lengths if isinstance(n, int) and n > 0), UNKNOWN)
        self._k = await self._find_k(tokenizer)
        self._tokenizer = tokenizer

    def prompt(self, question: Question) -> list[int]:
        """See `TokenModel`; a server with a chat template of its own is asked, and waited for."""
        return self._ready_tokenizer.prompt(question)

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
        await self._transport.aclose()

    @property
    def _ready_tokenizer(self) -> ServedTokenizer:
        if self._tokenizer is None:
            raise RuntimeError(f"{self.name} has not been opened")
        return self._tokenizer

    async def _draft(self, ask: DraftAsk) -> Draft:
        [said], usage = await self._continue(ask, [ask.tokens], ask.limit, ask.draw)
        known = [(one.token, self._distribution(one)) for one in said if one.token < self.vocabulary.size]
        if not known:
            size = self.vocabulary.size
            raise self._transport.errors.bad_reply(f"token {said[0].token}, but the vocabulary has {size}")
        return Draft([token for token, _ in known], [distribution for _, distribution in known], usage)

    async def _score(self, ask: ScoreAsk) -> Scores:
        texts, usage = await self._continue(ask, [ask.tokens[:place] for place in ask.places], 1)
        return Scores([self._distribution(said[0]) for said in texts], usage)

    def _distribution(self, said: TokenEntries) -> Distribution:
        try:
            return top_k_distribution(said.entries, self._k, self.vocabulary.size)
        except ValueError as error:
            raise self._transport.errors.bad_reply(str(error)) from None

    async def _continue(
        self, ask: DraftAsk | ScoreAsk, prompts: Sequence[Sequence[int]], limit: int, draw: Draw | None = None
    ) -> tuple[list[list[TokenEntries]], Usage]:
        """What comes after each prompt, and what it cost; what gave nothing is spent in vain."""
        watch = UpstreamCall(
            ask.run, agent=self.name, model=self._model, server=self._transport.server, indices=(ask.index,)
        )
        body = ask_body(self._model, prompts, limit, self._k, draw)
        request = JsonExchange(self._transport, "/completions", body, watch=watch, run=ask.run)

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
            fault = self._transport.errors.bad_reply(f"/completions: {error}")
            in_vain(fault.code, usage_of(reply, prompts, 0, request.tries, self._price))
            raise fault from None
        usage = usage_of(reply, prompts, sum(map(len, texts)), request.tries, self._price)
        watch.ended("ok", usage)
        return texts, usage

    async def _read_listing(self) -> dict[str, Any]:
        """What the server lists of the model; nothing where it has no list."""
        try:
            entries = list_models(await JsonExchange(self._transport, "/models").value())
        except Malformed:
            return {}
        except Rejected as error:
            if error.status not in (404, 405):
                raise
            return {}
        return next((entry for entry in entries if entry["id"] == self._model), {})

    async def _find_k(self, tokenizer: ServedTokenizer) -> int:
        """How many of the likeliest tokens to ask for.

        Raises:
            BadInput: the server does not tell any, or not by id.
            UpstreamError: it failed, or does not have the model.
        """
        asked = (ALL, *FEWER) if tokenizer.vocabulary.size <= SMALL else FEWER
        for k in asked:
            try:
                return await self._probe_k(tokenizer.probe(), k, tokenizer.vocabulary.size)
            except Rejected as error:
                if error.status not in (400, 422):
                    raise
                refusal = error
        raise BadInput(f"token-level ensembling needs log-probabilities after token ids, but {refusal}") from refusal

    async def _probe_k(self, prompt: list[int], k: int, size: int) -> int:
        """The number that a server keeps to which is asked for so many.

        Raises:
            BadInput: its reply holds no log-probabilities or no ids.
            UpstreamError: it refused.
        """
        reply = await JsonExchange(self._transport, "/completions", ask_body(self._model, [prompt], 1, k)).reply()
        try:
            [[said]] = read_texts(reply, 1)
        except (Malformed, ValueError) as error:
            raise BadInput(
                f"{self._transport.errors.where} does not tell log-probabilities by token id ({error}): token-level "
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


@dataclass(frozen=True, slots=True)
class TokenEntries:
    """One token: the one that was chosen, and the likeliest with their log-probabilities."""

    token: int
    entries: Mapping[int, float]


def ask_body(
    model: str, prompts: Sequence[Sequence[int]], limit: int, k: int, draw: Draw | None = None
) -> dict[str, Any]:
    """A request for each prompt's next tokens, nothing of the server's own settings mixed in."""
    settings: dict[str, Any] = {"temperature": 0.0}
    if draw is not None:
        settings = {"temperature": draw.temperature, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "seed": draw.seed}
    return {
        "model": model,
        "prompt": [list(prompt) for prompt in prompts] if len(prompts) > 1 else list(prompts[0]),
        "max_tokens": limit,
        "logprobs": k,
        "return_tokens_as_token_ids": True,
        "repetition_penalty": 1.0,
        **settings,
    }


def usage_of(
    reply: Mapping[str, Any], prompts: Sequence[Sequence[int]], written: int, tries: int, price: Price | None
) -> Usage:
    """What the server counted; our own count, marked so, where it did not."""
    counts = Counts.of(reply)
    told = counts or Counts(sum(map(len, prompts)), written)
    return told.to_usage(price, requests=tries, estimated=counts is None and bool(told.prompt or told.completion))


def read_texts(reply: Mapping[str, Any], prompts: int) -> list[list[TokenEntries]]:
    """The tokens after each prompt, in order.

    Raises:
        Malformed: log-probabilities or ids are missing, or the choices are not one a prompt.
    """
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != prompts:
        raise Malformed(f"{len(choices) if isinstance(choices, list) else 'no'} choices for {prompts} prompts")
    texts: dict[int, list[TokenEntries]] = {}
    for choice in choices:
        index = choice.get("index") if isinstance(choice, dict) else None
        if not isinstance(index, int) or not 0 <= index < prompts:
            raise Malformed(f"a choice of index {index!r} for {prompts} prompts")
        texts[index] = _text(choice)
    if len(texts) != prompts:
        raise Malformed("two choices of the same index")
    return [texts[index] for index in range(prompts)]


def _text(choice: Mapping[str, Any]) -> list[TokenEntries]:
    logprobs = choice.get("logprobs")
    tokens, likeliest = (
        (logprobs.get("tokens"), logprobs.get("top_logprobs")) if isinstance(logprobs, dict) else (None, None)
    )
    if not isinstance(tokens, list) or not isinstance(likeliest, list) or len(tokens) != len(likeliest):
        raise Malformed("no log-probabilities (logprobs.tokens and logprobs.top_logprobs)")
    if not tokens:
        raise Malformed("no token")
    return [_entries_of(token, entries) for token, entries in zip(tokens, likeliest, strict=True)]


def _entries_of(token: Any, entries: Any) -> TokenEntries:
    if not isinstance(entries, dict) or not entries:
        raise Malformed("a token without log-probabilities")
    return TokenEntries(_id(token), {_id(name): _value(value) for name, value in entries.items()})


def _id(name: Any) -> int:
    if not isinstance(name, str) or not name.startswith(_ID) or not name[len(_ID) :].isdecimal():
        raise Malformed(f"no token id but {str(name)[:40]!r}")
    return int(name[len(_ID) :])


def _value(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Malformed(f"a log-probability of {value!r}")
    return min(float(value), 0.0)
