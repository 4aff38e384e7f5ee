"""How often a key may ask: the generic cell rate algorithm (GCRA), which spreads requests over the period
and says to the millisecond when the next one may come."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from .faults import TooFast
from .keys import ApiKey, RequestRate

if TYPE_CHECKING:
    from throttled import Throttled

__all__ = ["Rates"]


class Rates:
    """Counts requests by key, in this process."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._throttles = {key.name: _throttle(key, key.rate) for key in keys if key.rate is not None}

    def count(self, key: ApiKey) -> None:
        """One more request.

        Raises:
            TooFast: it is over the key's rate and has not been counted.
        """
        throttle = self._throttles.get(key.name)
        if throttle is None or key.rate is None:
            return
        result = throttle.limit()
        if result.limited:
            rate = f"{key.rate.requests} requests in {key.rate.seconds:g} s"
            raise TooFast(f"the key {key.name!r} may send {rate}", result.state.retry_after)


def _throttle(key: ApiKey, rate: RequestRate) -> Throttled:
    from throttled import MemoryStore, RateLimiterType, Throttled, rate_limiter  # a server without rates starts sooner

    quota = rate_limiter.per_duration(timedelta(seconds=rate.seconds), rate.requests, burst=rate.requests)
    return Throttled(key=key.name, using=RateLimiterType.GCRA.value, quota=quota, store=MemoryStore())
