"""API keys: whose one is, and how often it may be used.

Rates are counted by the generic cell rate algorithm (GCRA), which spreads requests over the period and says to
the millisecond when the next one may come.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from quorate.config.server_settings import ApiKey, RequestRate
from quorate.orchestrator.errors import BadInput

from .errors import RateExceeded

if TYPE_CHECKING:
    from throttled import Throttled

__all__ = ["ANYONE", "KeyRates", "KeyRing"]

ANYONE = ApiKey(name="anyone", hash=f"sha256:{'0' * 64}")
"""Who asks a server without keys; no key has this hash that anybody could find."""


class KeyRing:
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
        matching = [key for known, key in self._keys if hmac.compare_digest(given, known)]
        return matching[0] if matching and scheme.lower() == "bearer" else None


class KeyRates:
    """Counts requests by key, in this process."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._throttles = {key.name: _make_throttle(key, key.rate) for key in keys if key.rate is not None}

    def count(self, key: ApiKey) -> None:
        """One more request.

        Raises:
            RateExceeded: it is over the key's rate and has not been counted.
        """
        throttle = self._throttles.get(key.name)
        if throttle is None or key.rate is None:
            return
        result = throttle.limit()
        if result.limited:
            rate = f"{key.rate.requests} requests in {key.rate.seconds:g} s"
            raise RateExceeded(f"the key {key.name!r} may send {rate}", result.state.retry_after)


def _make_throttle(key: ApiKey, rate: RequestRate) -> Throttled:
    from throttled import MemoryStore, RateLimiterType, Throttled, rate_limiter  # a server without rates starts sooner

    quota = rate_limiter.per_duration(timedelta(seconds=rate.seconds), rate.requests, burst=rate.requests)
    return Throttled(key=key.name, using=RateLimiterType.GCRA.value, quota=quota, store=MemoryStore())
