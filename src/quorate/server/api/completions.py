"""`POST /v1/completions`.

A single model whose server has text completions gets the request as it is (`proxied_completions`), so that everything
such servers can do works. Pipelines and other models get each prompt as a conversation of one message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from secrets import token_hex
from typing import Annotated, Any

from pydantic import Field, Strict

from quorate.aggregators.replies import make_usage, translate_finish
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.protocols import Completing
from quorate.orchestrator.types import Answer, Message, Question

from ..context import Caller
from ..deltas import Delta
from ..generation import (
    Generation,
    GenerationRequest,
    apply_limits,
    check_limits,
    limit_tokens,
    make_generation,
    resolve_model,
)
from ..http.errors import BadField
from ..http.sse import DONE, encode_event
from ..reply_fields import list_logprobs, make_choice_fields, make_quorate
from .fields import Count, Flag, ModelRequest, StreamOptions, TopLogprobs, Whole
from .proxied_completions import ProxiedExchange

__all__ = ["CompletionRequest", "Completions"]

Token = Annotated[int, Strict(), Field(ge=0), Whole]
Tokens = Annotated[list[Token], Field(min_length=1, fail_fast=True)]

OURS = frozenset({"model", "quorate", "stream_options"})
"""Fields that a server behind is not sent as they are."""


class CompletionRequest(ModelRequest):
    """`POST /v1/completions`."""

    prompt: (
        str
        | Annotated[list[str], Field(min_length=1, fail_fast=True)]
        | Tokens
        | Annotated[list[Tokens], Field(min_length=1, fail_fast=True)]
    )
    """Token ids only for a single model whose server has text completions."""
    n: Count | None = None
    max_tokens: Token | None = None
    """0 only for such a model, with `echo`."""
    logprobs: TopLogprobs | None = None
    """How many alternatives a token to report."""
    echo: Flag | None = None
    suffix: str | None = None
    """Only for such a model."""
    best_of: Count | None = None
    """Only for such a model; a pipeline has `quorate.n`."""
    stream_options: StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends in a chunk with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def texts(self) -> list[str] | None:
        """The prompts, where they are text."""
        prompts = [self.prompt] if isinstance(self.prompt, str) else self.prompt
        texts = [prompt for prompt in prompts if isinstance(prompt, str)]
        return texts if len(texts) == len(prompts) else None

    @property
    def prompts(self) -> int:
        """How many."""
        return 1 if isinstance(self.prompt, str) or isinstance(self.prompt[0], int) else len(self.prompt)

    def proxied_body(self) -> dict[str, Any]:
        """The body for a server behind."""
        left = self.stays | OURS
        return {name: getattr(self, name) for name in self.model_fields_set if name not in left}

    def to_proxied(self) -> GenerationRequest:
        """What is wanted of a server behind, for those who look on: token ids stand as they are written."""
        prompts = [self.prompt] if isinstance(self.prompt, str) or isinstance(self.prompt[0], int) else self.prompt
        return self._make_request([prompt if isinstance(prompt, str) else str(prompt) for prompt in prompts])

    def to_generation(self) -> GenerationRequest:
        """The prompts as questions: each becomes a conversation of one message.

        Raises:
            BadField: what only a server's own text completions can do.
        """
        if self.texts is None:
            raise self._needs_proxy("prompt", "token ids")
        if (empty := next((i for i, text in enumerate(self.texts) if not text.strip()), None)) is not None:
            raise BadField("is empty", "prompt" if isinstance(self.prompt, str) else f"prompt[{empty}]")
        if self.suffix:
            raise self._needs_proxy("suffix", "a suffix")
        if self.best_of is not None and self.best_of > (self.n or 1):
            raise BadField("a pipeline draws its samples itself: set quorate.n, or the N of PIPELINE@N", "best_of")
        if self.max_tokens == 0:
            raise self._needs_proxy("max_tokens", "0")
        if self.echo and self.logprobs is not None:
            raise self._needs_proxy("echo", "log-probabilities of the prompt")
        return self._make_request(self.texts)

    def _make_request(self, texts: list[str]) -> GenerationRequest:
        sampling = self.make_sampling(max_tokens=self.max_tokens or None, top_logprobs=self.logprobs)
        return GenerationRequest(
            model=self.model,
            questions=tuple(
                Question(messages=(Message(role="user", content=text),), sampling=sampling) for text in texts
            ),
            control=self.control,
            n=self.n or 1,
            logprobs=self.logprobs is not None,
            include_usage=self.include_usage,
        )

    def _needs_proxy(self, param: str, what: str) -> BadField:
        return BadField(f"{what} can be had from a single model whose server has /v1/completions", param)


class Completions:
    """OpenAI's older text completions, from a model or a pipeline."""

    path = "/v1/completions"
    form = CompletionRequest

    async def prepare(
        self, request: CompletionRequest, caller: Caller, settings: ServerSettings
    ) -> ProxiedExchange | CompletionExchange:
        """See `routes.Api`."""
        model = await resolve_model(request.model, request.control, caller)
        if isinstance(model, Completing):
            return await _proxy(request, model, caller, settings)
        return CompletionExchange(request, await apply_limits(request.to_generation(), model, caller, settings))


async def _proxy(
    request: CompletionRequest, model: Completing, caller: Caller, settings: ServerSettings
) -> ProxiedExchange:
    choices = max(request.n or 1, request.best_of or 1)
    calls = check_limits(model, request.control, settings, n=choices, questions=request.prompts)
    if (tokens := limit_tokens(settings, request.max_tokens)) is not None:
        request = request.model_copy(update={"max_tokens": tokens})
    generation = await make_generation(request.to_proxied(), model, caller, calls=calls)
    return ProxiedExchange(generation, model, request.proxied_body(), include_usage=request.include_usage)


class CompletionExchange:
    """See `routes.Exchange`. Thinking, progress and tool calls have no place in this API and stay out."""

    def __init__(self, request: CompletionRequest, generation: Generation) -> None:
        self._request = request
        self.generation = generation

    async def reply(self) -> dict[str, Any]:
        """A `text_completion`; a choice that failed is left out and told in `quorate.degraded`."""
        outcomes = await self.generation.answer()
        return {
            **self._head(),
            "choices": [
                {"index": i, "text": self._echo(i) + answer.text, **self._end(i, answer)}
                for i, answer in enumerate(outcomes)
                if isinstance(answer, Answer)
            ],
            "usage": make_usage(self.generation.ledger.usage),
            "quorate": make_quorate(self.generation, outcomes),
        }

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Chunks of text; the ends of all choices come at last, the very last with `quorate`."""
        common: dict[str, Any] = {**self._head(), "usage": None} if self._request.include_usage else self._head()

        def write_delta(delta: Delta) -> None:
            text = {"opened": self._echo(delta.choice), "text": delta.text}.get(delta.kind)
            if text is not None:
                choice = {"index": delta.choice, "text": text, "finish_reason": None, "logprobs": None}
                write(encode_event({**common, "choices": [choice]}))

        outcomes = await self.generation.answer(write_delta)
        ends: list[dict[str, Any]] = [
            {"choices": [{"index": i, "text": "", **self._end(i, answer)}]}
            for i, answer in enumerate(outcomes)
            if isinstance(answer, Answer)
        ]
        ends[-1]["quorate"] = make_quorate(self.generation, outcomes)
        for end in ends:
            write(encode_event({**common, **end}))
        if self._request.include_usage:
            write(encode_event({**common, "choices": [], "usage": make_usage(self.generation.ledger.usage)}))
        write(DONE)

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return encode_event(envelope)

    def _head(self) -> dict[str, Any]:
        name, created = self.generation.model.name, int(time.time())
        return {"id": f"cmpl-{token_hex(16)}", "object": "text_completion", "created": created, "model": name}

    def _echo(self, index: int) -> str:
        return self.generation.question(index).text if self._request.echo else ""

    def _end(self, index: int, answer: Answer) -> dict[str, Any]:
        tokens = list_logprobs(self.generation, answer)
        logprobs = None if tokens is None else _old_logprobs(tokens, len(self._echo(index)))
        return {
            "finish_reason": translate_finish(answer),
            "logprobs": logprobs,
            **make_choice_fields(self.generation, answer),
        }


def _old_logprobs(tokens: list[dict[str, Any]], start: int) -> dict[str, Any]:
    """The older form: lists side by side."""
    texts = [token["token"] for token in tokens]
    offsets = accumulate(map(len, texts), initial=start)
    return {
        "tokens": texts,
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": [_alternatives(token) for token in tokens],
        "text_offset": list(offsets)[:-1],
    }


def _alternatives(token: Mapping[str, Any]) -> dict[str, float]:
    return {other["token"]: other["logprob"] for other in (token, *token["top_logprobs"])}
