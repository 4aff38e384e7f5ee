"""The section `server` of quorate.yaml: where the server listens, whom it lets in, what it allows and tells.

A configuration holds the hash of an API key, so that a stolen file opens nothing. A key is random (256 bits), so
one round of SHA-256 keeps it; a slow hash guards passwords, which these are not.
"""

from __future__ import annotations

import os
import re
import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import ConfigDict, Field, SecretStr, model_validator

from quorate.orchestrator.frozen import Frozen

from .patterns import fits

KEYS_VARIABLE = "QUORATE_API_KEYS"
STATE_VARIABLE = "QUORATE_STATE"
PREFIX = "qk-"
MOST_WORKERS = 1024
MOST_SECONDS = 1e9


def make_key() -> str:
    """A fresh random API key."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What a configuration holds of an API key."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


class _Finite(Frozen):
    """Of numbers that have an end."""

    model_config = ConfigDict(allow_inf_nan=False)


class RequestRate(_Finite):
    """At most so many requests in any so many seconds; further ones are refused with a 429."""

    requests: int = Field(ge=1)
    seconds: float = Field(default=60.0, ge=1, le=MOST_SECONDS)


class KeyBudget(_Finite):
    """What a key may spend in a period, counted from its first request in it."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and generated tokens of all upstreams together."""
    money: float | None = Field(default=None, gt=0)
    """In the currency of the configured prices."""
    seconds: float = Field(default=86400.0, ge=1, le=MOST_SECONDS)

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.tokens is None and self.money is None:
            raise ValueError("limits nothing: give tokens or money")
        return self


class ApiKey(_Finite):
    """One caller of the server and what it may do."""

    name: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    """How logs, metrics and traces call the caller."""
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """As `quorate key NAME` prints it; the key itself stands nowhere."""
    allow: tuple[str, ...] = Field(default=("**",), min_length=1)
    """Names that it may ask for; `*` is any text up to a slash, `**` any at all: `team`, `majority@*/Qwen/Qwen3-8B`."""
    rate: RequestRate | None = None
    budget: KeyBudget | None = None
    concurrency: int | None = Field(default=None, ge=1)
    """Requests at once; further ones wait in the queue, also while others go ahead."""
    weight: float = Field(default=1.0, gt=0)
    """Share of a busy server in proportion to other keys'."""

    def allows(self, name: str) -> bool:
        """Whether the key may ask for a model or pipeline of this name."""
        return any(fits(_expression(pattern), name) for pattern in self.allow)


@cache
def _expression(pattern: str) -> str:
    wild = {"**": ".*", "*": "[^/]*"}
    return "(?s)" + "".join(wild.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", pattern))


def read_environment_keys() -> tuple[ApiKey, ...]:
    """The keys in QUORATE_API_KEYS, separated by commas, without limits; called env-1, env-2 and so on."""
    keys = (key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(","))
    return tuple(ApiKey(name=f"env-{i}", hash=hash_key(key)) for i, key in enumerate(filter(None, keys), start=1))


def read_secret(variable: str) -> SecretStr | None:
    """The value of an environment variable; None where it is empty or not set."""
    return SecretStr(value) if (value := os.environ.get(variable, "").strip()) else None


class TelemetrySettings(_Finite):
    """What the server tells of its work, and to whom."""

    log_format: Literal["auto", "json", "human"] = "auto"
    """`auto` is for humans on a terminal and JSON lines elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_prompts: bool = False
    """Whether logs and the trace store hold the texts of questions, answers and upstreams' messages."""
    metrics: bool = True
    """Whether `/metrics` exists."""
    metrics_key: bool = True
    """Whether `/metrics` needs one of the server's keys, where it has any."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """A port of its own for `/metrics`, which then needs no key and is not on the main one."""
    metrics_host: str = "127.0.0.1"
    """Where that port listens."""
    traces: Path | None = None
    """SQLite file that keeps a trace of every request; `quorate trace` reads it."""
    watched_runs: int = Field(default=32, ge=0)
    """Runs asked by `/v1/events`, as the page does, that are kept in memory: with texts, and for their own key only."""
    trace_days: float = Field(default=7.0, gt=0)
    """Older traces are deleted."""
    trace_megabytes: float = Field(default=1024.0, ge=1)
    """The oldest traces are deleted where the file would grow beyond this."""
    otel: bool | None = None
    """Whether spans go to OpenTelemetry; by itself if one of its variables, such as
    OTEL_EXPORTER_OTLP_ENDPOINT, says where to."""
    forward_request_id: bool = False
    """Whether upstreams get the request's id in `x-request-id`."""


class FileSettings(_Finite):
    """Where files of `/v1/files` are, and with them the batches over them."""

    folder: Path
    """Is made where it is missing; several servers on one machine may share it."""
    max_bytes: int = Field(default=200 * 2**20, ge=1)
    """Of one file."""
    key_bytes: int = Field(default=4 * 2**30, ge=1)
    """Of all files of one key, beyond which it gets to upload no more and to start no batch."""
    days: float = Field(default=30.0, gt=0, le=36_500)
    """Older files and batches are deleted, where the request does not say another time."""
    concurrency: int = Field(default=64, ge=1)
    """Lines of one batch that are under way."""


class ServerSettings(TelemetrySettings):
    """Limits and manners of one server; all have defaults. The same fields stand under `server` in quorate.yaml."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] | Literal["auto"] = 1
    """Processes that serve the address together; `auto` is one for each core."""
    max_n: int = Field(default=16, ge=1)
    """Choices of one request (OpenAI's `n`)."""
    max_samples: int = Field(default=256, ge=1)
    """Answers of models that one request may take: choices times samples, through nested pipelines, and the
    calls of aggregators."""
    max_requests: int | None = Field(default=None, ge=1)
    """Requests to models' servers that one request may cause at worst: those answers with all tries, hedges and
    fallbacks."""
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
    max_connections: int = Field(default=4096, ge=1)
    """Connections at once; further ones get a 503 and are closed."""
    max_connections_per_address: int = Field(default=2048, ge=1)
    """The same from one address, such as that of a proxy."""
    keep_alive_seconds: float = Field(default=15.0, gt=0)
    """A silent stream sends a comment this often, so that proxies keep it open."""
    shutdown_seconds: float = Field(default=10.0, ge=0, le=MOST_SECONDS)
    """How long requests may go on after the server was asked to stop; then they end with the best answer so far."""
    drain_seconds: float = Field(default=0.0, ge=0, le=MOST_SECONDS)
    """How long, before that, the server still takes requests while `/ready` already says 503, so that a load
    balancer gets to notice."""
    progress: bool = True
    """Whether streams tell of a vote's progress in `reasoning_content`, where the request does not say."""
    page: bool = True
    """Whether `/` is a page for people."""
    bank: Path | None = None
    """The sample bank whose evaluations the page shows, and where preferences between answers are kept as labels."""
    files: FileSettings | None = None
    """Files and batches; without it there are none: a server that keeps what it was sent is somebody's decision."""
    open: bool = False
    """Lets anyone ask without a key, also from other machines; else a server without keys listens on loopback only."""
    origins: tuple[Annotated[str, Field(pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[^/\s]+/?)$")], ...] = ()
    """Web pages that may ask, as in `https://chat.example.org`; `*` is all of them. Others get a 403."""
    accounts: Path | None = None
    """An SQLite file that keeps what keys have spent of their budgets, across restarts."""
    state: SecretStr | None = Field(default_factory=lambda: read_secret(STATE_VARIABLE))
    """Where servers that stand for one another count what keys do, as in `redis://:PASSWORD@host:6379/0`; that in
    QUORATE_STATE if not given. Without it each server counts alone."""
    state_down: Literal["closed", "open"] = "closed"
    """What becomes of keys with limits while that cannot be reached: `closed` refuses their requests, `open` lets each
    server count alone."""
    state_prefix: str = Field(default="quorate", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """How names there begin; servers with the same one count together."""
    keys: tuple[ApiKey, ...] = Field(default_factory=read_environment_keys)
    """Who may ask; those in QUORATE_API_KEYS if not given. Without any, every Authorization is accepted."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What stands in no log."""
        url = "" if self.state is None else self.state.get_secret_value()
        return tuple(filter(None, (url, unquote(urlsplit(url).password or ""))))
