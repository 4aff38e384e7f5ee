"""Lets a request pass that brings a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from .access.keys import ApiKey, Keys
from .errors import Unauthorized

__all__ = ["caller", "guard"]

CALLER = "quorate.caller"


def guard(keys: Keys) -> Callable[[Request], Awaitable[None]]:
    """A dependency that notes who asks.

    Raises:
        Unauthorized: nobody that we know.
    """

    async def check(request: Request) -> None:
        found = keys.find(request.headers.get("authorization", ""))
        if found is None:
            raise Unauthorized("send a valid key of this server in the header 'Authorization: Bearer KEY'")
        request.scope[CALLER] = found

    return check


def caller(request: Request) -> ApiKey:
    """Who asks, once `guard` has let the request pass."""
    key = request.scope[CALLER]
    assert isinstance(key, ApiKey)
    return key
