"""Where the server listens and what it allows."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from .access.keys import ApiKey, hashed
from .observe.settings import ObserveSettings

__all__ = ["ServerSettings", "keys_of_environment"]

KEYS_VARIABLE = "QUORATE_API_KEYS"


def keys_of_environment() -> tuple[ApiKey, ...]:
    """The keys in QUORATE_API_KEYS, separated by commas, without limits; called env-1, env-2 and so on."""
    keys = (key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(","))
    return tuple(ApiKey(name=f"env-{i}", hash=hashed(key)) for i, key in enumerate(filter(None, keys), start=1))


class ServerSettings(ObserveSettings):
    """Limits and manners of one server; all have defaults. The same fields stand under `server` in quorate.yaml."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one."""
    max_n: int = Field(default=16, ge=1)
    """Choices of one request (OpenAI's `n`)."""
    max_samples: int = Field(default=256, ge=1)
    """Answers of models that one request may take: choices times samples, through nested pipelines, and the
    calls of aggregators that tell (`protocols.Calling`)."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens that each answer of a model may have, and has where the request does not say."""
    max_concurrent: int = Field(default=256, ge=1)
    """Requests that are worked on at once; further ones wait in a queue."""
    max_queued: int = Field(default=1024, ge=0)
    """Requests that may wait; further ones get a 429 with Retry-After."""
    queue_seconds: float = Field(default=60.0, gt=0)
    """How long a request may wait; then it gets a 503 with Retry-After."""
    max_body_bytes: int = Field(default=16 * 2**20, ge=1)
    """Bytes of one request's body; images in messages need some."""
    body_seconds: float = Field(default=30.0, gt=0)
    """In how long a body has to arrive."""
    keep_alive_seconds: float = Field(default=15.0, gt=0)
    """A silent stream sends a comment this often, so that proxies keep it open."""
    shutdown_seconds: float = Field(default=10.0, ge=0)
    """How long requests may go on after the server was asked to stop; then they end with the best answer so far."""
    drain_seconds: float = Field(default=0.0, ge=0)
    """How long, before that, the server still takes requests while `/ready` already says 503, so that a load
    balancer gets to notice."""
    progress: bool = True
    """Whether streams tell of a vote's progress in `reasoning_content`, where the request does not say."""
    open: bool = False
    """Lets anyone ask without a key, also from other machines; else a server without keys listens on loopback only."""
    origins: tuple[str, ...] = ()
    """Web pages that may ask, as in `https://chat.example.org`; `*` is all of them. Others get a 403."""
    accounts: Path | None = None
    """An SQLite file that keeps what keys have spent of their budgets, across restarts."""
    keys: tuple[ApiKey, ...] = Field(default_factory=keys_of_environment)
    """Who may ask; those in QUORATE_API_KEYS if not given. Without any, every Authorization is accepted."""
