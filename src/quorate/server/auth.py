"""Who may ask."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

from fastapi import Request
from pydantic import SecretStr

from .errors import Unauthorized

__all__ = ["guard"]


def guard(keys: Sequence[SecretStr]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets a request pass whose bearer token is one of the keys; without keys, any request."""
    known = [sha256(key.get_secret_value().encode()).digest() for key in keys]

    async def check(request: Request) -> None:
        if not known:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = sha256(token.strip().encode()).digest()
        # Every key is compared in full: the time tells nothing of which one was near.
        matches = [hmac.compare_digest(given, key) for key in known]
        if scheme.lower() != "bearer" or not any(matches):
            raise Unauthorized("send a valid key of this server in the header 'Authorization: Bearer KEY'")

    return check
