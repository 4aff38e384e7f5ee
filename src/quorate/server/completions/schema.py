"""The body of a text completion request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, Strict

from quorate.orchestrator.types import Message, Question

from ..asking import Order
from ..errors import BadField
from ..fields import Count, Flag, ModelRequest, StreamOptions, TopLogprobs, Whole

__all__ = ["CompletionRequest"]

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

    def passed(self) -> dict[str, Any]:
        """The body for a server behind."""
        left = self.stays | OURS
        return {name: getattr(self, name) for name in self.model_fields_set if name not in left}

    def as_passed(self) -> Order:
        """What is wanted of a server behind, for those who look on: token ids stand as they are written."""
        prompts = [self.prompt] if isinstance(self.prompt, str) or isinstance(self.prompt[0], int) else self.prompt
        return self._order([prompt if isinstance(prompt, str) else str(prompt) for prompt in prompts])

    def order(self) -> Order:
        """The prompts as questions: each becomes a conversation of one message.

        Raises:
            BadField: what only a server's own text completions can do.
        """
        if self.texts is None:
            raise self._only_text("prompt", "token ids")
        if (empty := next((i for i, text in enumerate(self.texts) if not text.strip()), None)) is not None:
            raise BadField("is empty", "prompt" if isinstance(self.prompt, str) else f"prompt[{empty}]")
        if self.suffix:
            raise self._only_text("suffix", "a suffix")
        if self.best_of is not None and self.best_of > (self.n or 1):
            raise BadField("a pipeline draws its samples itself: set quorate.n, or the N of PIPELINE@N", "best_of")
        if self.max_tokens == 0:
            raise self._only_text("max_tokens", "0")
        if self.echo and self.logprobs is not None:
            raise self._only_text("echo", "log-probabilities of the prompt")
        return self._order(self.texts)

    def _order(self, texts: list[str]) -> Order:
        sampling = self.settings(max_tokens=self.max_tokens or None, top_logprobs=self.logprobs)
        return Order(
            model=self.model,
            questions=tuple(
                Question(messages=(Message(role="user", content=text),), sampling=sampling) for text in texts
            ),
            control=self.control,
            n=self.n or 1,
            logprobs=self.logprobs is not None,
            include_usage=self.include_usage,
        )

    def _only_text(self, param: str, what: str) -> BadField:
        return BadField(f"{what} can be had from a single model whose server has /v1/completions", param)
