"""What keeps requests from a server that is failing: a circuit breaker, and a budget for trying again.

The breaker is the usual one (Nygard, Release It!, chapter 5): closed while things go well, open after too many
failures, half open when a single request may try whether the server is back. Ours, because the libraries for
asyncio count failures in a row only, and hold on to a probe that was cancelled: here a probe that is never
heard of again is simply followed by the next one.

The retry budget is Finagle's: tries again are a share of all requests, so that a server in
trouble is not asked three times as often by everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from quorate.orchestrator.errors import RateLimited, Rejected, UpstreamError

from .settings import BreakerPolicy

__all__ = ["Breaker", "RetryBudget"]


class Breaker:
    """Counts how requests to one server end, and says when it is to be left alone.

    Failures are no connection, no reply in time, a 5xx and a reply that cannot be read. A refusal shows that the
    server lives; a 429 and a cancelled request show nothing.

    Args:
        policy: how many failures are too many, and for how long.
        clock: in seconds.
    """

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._all = (1 << policy.last) - 1
        self._recent = 0
        """The last outcomes as bits, 1 for a failure."""
        self._in_a_row = 0
        self._pause = policy.pause
        self._again: float | None = None
        """When the next request may try, while open."""
        self._probing = False
        self.reason = ""
        """The failure that opened it."""

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if self._again is None:
            return "closed"
        return "open" if self._clock() < self._again else "half_open"

    def wait(self) -> float | None:
        """Seconds until a request makes sense; None if it does now."""
        if self._again is None:
            return None
        left = self._again - self._clock()
        return left if left > 0 else None

    def admit(self) -> float | None:
        """As `wait`, for a request that is sent if it may be: while half open, the next one may only after a pause."""
        left = self.wait()
        if left is None and self._again is not None:
            self._probing, self._again = True, self._clock() + self._pause
        return left

    def note_reply(self) -> None:
        """A request has begun to be answered: the server is back."""
        if self._again is not None:
            self._probing, self._again, self._pause = False, None, self._policy.pause
            self._recent = self._in_a_row = 0

    def note_end(self, error: UpstreamError | None) -> None:
        """A request came to its end, or to nothing."""
        if isinstance(error, RateLimited):
            return
        failed = error is not None and not isinstance(error, Rejected)
        self._recent = ((self._recent << 1) | failed) & self._all
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if failed and (self._too_many() if self._again is None else self._probing):
            self._open(str(error))

    def _too_many(self) -> bool:
        limit = self._policy
        return self._in_a_row >= limit.failures or self._recent.bit_count() >= limit.last * limit.share

    def _open(self, reason: str) -> None:
        """For longer each time that a probe has failed."""
        if self._probing:
            self._pause = min(self._policy.longest, 2 * self._pause)
        self._probing, self._again, self.reason = False, self._clock() + self._pause, reason


class RetryBudget:
    """How many further requests there may be: a share of the others, and some that were saved up.

    Args:
        share: of the requests that are noted.
        reserve: most that can be saved up, and what there is at first.
    """

    def __init__(self, share: float, reserve: int) -> None:
        self._share, self._most = share, float(reserve)
        self._left = self._most

    def note_request(self) -> None:
        """A first try, which needs no allowance but adds to it."""
        self._left = min(self._most, self._left + self._share)

    def take(self) -> bool:
        """Whether there may be one more."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
