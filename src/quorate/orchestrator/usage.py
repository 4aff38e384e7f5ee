"""What answers cost: tokens, requests and money."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from .frozen import Frozen

__all__ = ["NodeUsage", "Usage"]


class Usage(Frozen):
    """Tokens that an upstream counted.

    A prompt shared by several samples of one request is counted once, as the upstream does, on the
    first of its candidates; so the usage of candidates sums to that of the request.
    """

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    reasoning_tokens: int = Field(default=0, ge=0)
    """The part of `completion_tokens` spent on thinking, where the upstream tells."""
    cached_tokens: int = Field(default=0, ge=0)
    """The part of `prompt_tokens` that was read from the upstream's cache, where it tells."""
    cache_write_tokens: int = Field(default=0, ge=0)
    """The part of `prompt_tokens` that was written to the upstream's cache, where it tells."""
    prompt_audio_tokens: int = Field(default=0, ge=0)
    """The part of `prompt_tokens` that was audio, where the upstream tells."""
    completion_audio_tokens: int = Field(default=0, ge=0)
    """The part of `completion_tokens` that was audio, where the upstream tells."""
    requests: int = Field(default=0, ge=0)
    cost: float | None = None
    """Money: the upstream's own figure where it tells one (US dollars), else by the configured prices, in their
    currency; None where neither is known."""
    estimated: bool = False
    """True where some of it is our own count because the upstream's never came."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [c for c in (self.cost, other.cost) if c is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            prompt_audio_tokens=self.prompt_audio_tokens + other.prompt_audio_tokens,
            completion_audio_tokens=self.completion_audio_tokens + other.completion_audio_tokens,
            requests=self.requests + other.requests,
            cost=sum(costs) if costs else None,
            estimated=self.estimated or other.estimated,
        )

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        return sum(parts, cls())


class NodeUsage(Frozen):
    """What one model spent in one node of a graph."""

    node: str
    model: str
    usage: Usage
