"""API keys: what a configuration holds of them is their hash, so that a stolen file opens nothing.

A key is random (256 bits), so one round of SHA-256 keeps it; a slow hash guards passwords, which these are not.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from functools import cache
from hashlib import sha256

from pydantic import Field

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Frozen

__all__ = ["Allowance", "ApiKey", "Keys", "RequestRate", "hashed", "new_key"]

PREFIX = "qk-"


class RequestRate(Frozen):
    """At most so many requests in any so many seconds; further ones are refused with a 429."""

    requests: int = Field(ge=1)
    seconds: float = Field(default=60.0, ge=1)


class Allowance(Frozen):
    """What a key may spend in a period, counted from its first request in it."""

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and generated tokens of all upstreams together."""
    money: float | None = Field(default=None, gt=0)
    """In the currency of the configured prices."""
    seconds: float = Field(default=86400.0, ge=1)


class ApiKey(Frozen):
    """One caller of the server and what it may do."""

    name: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    """How logs, metrics and traces call the caller."""
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """As `quorate key NAME` prints it; the key itself stands nowhere."""
    allow: tuple[str, ...] = Field(default=("**",), min_length=1)
    """Names that it may ask for; `*` is any text up to a slash, `**` any at all: `team`, `majority@*/Qwen/Qwen3-8B`."""
    rate: RequestRate | None = None
    budget: Allowance | None = None
    concurrency: int | None = Field(default=None, ge=1)
    """Requests at once; further ones wait in the queue, also while others go ahead."""
    weight: float = Field(default=1.0, gt=0)
    """Share of a busy server in proportion to other keys'."""

    def allows(self, name: str) -> bool:
        return any(re.fullmatch(_expression(pattern), name, re.DOTALL) for pattern in self.allow)


@cache
def _expression(pattern: str) -> str:
    wild = {"**": ".*", "*": "[^/]*"}
    return "".join(wild.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", pattern))


ANYONE = ApiKey(name="anyone", hash=f"sha256:{'0' * 64}")
"""Who asks a server without keys; no key has this hash that anybody could find."""


class Keys:
    """The keys of one server.

    Raises:
        BadInput: two of them have one name or one hash.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = [(bytes.fromhex(key.hash.removeprefix("sha256:")), key) for key in keys]
        for what, values in (("name", [k.name for _, k in self._keys]), ("hash", [k.hash for _, k in self._keys])):
            if twice := next((value for value in values if values.count(value) > 1), None):
                raise BadInput(f"two API keys have the {what} {twice!r}: each needs its own")

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, authorization: str) -> ApiKey | None:
        """The key in a header `Authorization: Bearer KEY`; anyone where there are no keys.

        Every key is compared in full, so the time tells nothing of which one was near.
        """
        if not self._keys:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        given = sha256(token.strip().encode(errors="surrogateescape")).digest()
        found = [key for known, key in self._keys if hmac.compare_digest(given, known)]
        return found[0] if found and scheme.lower() == "bearer" else None


def new_key() -> str:
    """A fresh random key."""
    return PREFIX + secrets.token_urlsafe(32)


def hashed(key: str) -> str:
    """What a configuration holds of a key."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"
