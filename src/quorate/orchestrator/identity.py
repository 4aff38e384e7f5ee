"""What a model is, and what it costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .frozen import Frozen
from .types import SamplingParams

Money = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class Price(Frozen):
    """Money for a million tokens, in any one currency."""

    prompt: Money
    completion: Money
    cached: Money | None = None
    """Of the prompt's tokens that came from the server's cache; the prompt's own if not given."""
    cache_write: Money | None = None
    """Of the prompt's tokens that were written to the server's cache; the prompt's own if not given."""
    audio_prompt: Money | None = None
    """Of the prompt's tokens that are audio; the prompt's own if not given."""
    audio_completion: Money | None = None
    """Of generated tokens that are audio; the completion's own if not given."""

    def of(
        self,
        prompt_tokens: int,
        completion_tokens: int,
        *,
        cached: int = 0,
        cache_write: int = 0,
        audio_prompt: int = 0,
        audio_completion: int = 0,
    ) -> float:
        """Money for so many tokens, of which some are of a kind that has a price of its own."""
        money = self.prompt * prompt_tokens + self.completion * completion_tokens
        parts = (
            (cached, self.cached, self.prompt),
            (cache_write, self.cache_write, self.prompt),
            (audio_prompt, self.audio_prompt, self.prompt),
            (audio_completion, self.audio_completion, self.completion),
        )
        for tokens, own, whole in parts:
            if tokens and own is not None:
                money += tokens * (own - whole)
        return max(0.0, money) / 1e6


class Identity(Frozen):
    """What a model is, whoever stands before it: every wrapper hands on the identity of what it wraps."""

    kind: str
    """`embedded`, `endpoint`, `vllm`, `recorded`, `pipeline`, or the class of a model of your own."""
    model: str
    """As its server or its weights name it."""
    family: str | None = None
    """Models of one family learned from the same data, and err alike."""
    fingerprint: str | None = None
    """Of the weights or the recording, where there is one."""
    dtype: str | None = None
    """Of the weights, where it is known: it changes samples."""
    context: int | None = None
    """Tokens that prompt and answer may have together, where that is known."""
    price: Price | None = None
    """None where no price is configured."""
    sampling: SamplingParams = Field(default_factory=SamplingParams)
    """Its own settings where a question has none."""
    prompt_version: str | None = None
    """Name and content hash of its words around a question, where it has some (`prompted`): they change samples."""
    capabilities: frozenset[str] = frozenset()
    """Of `samples` (draws several itself), `tokens` (can be asked token by token), `completions`, `tools`, `images`."""
    aggregation_form: str | None = None
    """How candidates were shown in its training (`attempts` or `steps`), where it was trained to aggregate."""
    members: tuple[Identity, ...] = ()
    """The models that write its answers together, or take each other's place; none where it is one model."""

    @property
    def singles(self) -> tuple[Identity, ...]:
        """The single models that it is made of; itself where it is one."""
        return tuple(s for m in self.members for s in m.singles) if self.members else (self,)
