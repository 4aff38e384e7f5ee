"""What keeps requests from a server that is failing: a circuit breaker, and a budget for trying again.

The breaker is the usual one (Nygard, Release It!, chapter 5): closed while things go well, open after too many
failures in a row, half open when a single request may try whether the server is back. What differs, because many
people share it and a request may itself be what a server fails of:

- A failure is a piece of evidence only once for all samples of a request, and only once for all requests that say
  the same. Any success refutes all of it.
- One caller's failures alone refuse that caller alone. Where no connection can be made, it is nobody's fault.

The retry budget is Finagle's: tries again are a share of all requests, so that a server in
trouble is not asked three times as often by everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

from ..settings import BreakerPolicy

__all__ = ["EVERYBODY", "Breaker", "RetryBudget"]

EVERYBODY = ""
"""The caller who is nobody in particular: what fails for it fails for all."""


@dataclass(slots=True)
class _Failures:
    """What has failed of one caller's since the last success."""

    requests: set[Hashable] = field(default_factory=set)
    subjects: set[Hashable] = field(default_factory=set)

    @property
    def pieces(self) -> int:
        """Requests that are different in what they say, too."""
        return min(len(self.requests), len(self.subjects))


class Breaker:
    """Counts how requests to one model of one server end, and says when it is to be left alone.

    Failures are no connection, no reply in time, a 5xx and a reply that cannot be read. A refusal shows that the
    server lives; a 429 and a cancelled request show nothing.

    Args:
        policy: how many failures are too many, and for how long.
        clock: in seconds.
    """

    def __init__(self, policy: BreakerPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._clock = clock
        self._failed: dict[str, _Failures] = {}
        """By caller."""
        self._refused: str | None = None
        """Who is, while it is open."""
        self._pause = policy.pause
        self._again = 0.0
        """When the next request may try, while open."""
        self.reason = ""
        """The failure that opened it."""

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """For everybody."""
        if self._refused != EVERYBODY:
            return "closed"
        return "open" if self._clock() < self._again else "half_open"

    def wait(self, caller: str = EVERYBODY) -> float | None:
        """Seconds until a request of this caller makes sense; None if it does now."""
        if self._refused is None or self._refused not in (EVERYBODY, caller):
            return None
        left = self._again - self._clock()
        return left if left > 0 else None

    def admit(self, caller: str = EVERYBODY) -> bool:
        """A request is sent that does not have to wait; whether it is the one that tries if the server is back.

        Until it is known, or for another pause, no other one is.
        """
        if self._refused is None or self._refused not in (EVERYBODY, caller):
            return False
        self._again = self._clock() + self._pause
        return True

    def note_success(self) -> None:
        """The server answers."""
        if self._failed or self._refused is not None:
            self._failed.clear()
            self._refused, self._pause = None, self._policy.pause

    def note_failure(
        self, reason: str, request: Hashable, subject: Hashable, caller: str = EVERYBODY, *, probe: bool = False
    ) -> None:
        """A request came to nothing, or its reply did.

        Args:
            reason: in words.
            request: that it belongs to, with all its samples.
            subject: what it says; requests that say the same fail for one reason.
            caller: whose it is; `EVERYBODY` where no request can be the cause.
            probe: whether `admit` said that it tries.
        """
        evidence = self._failed.setdefault(caller, _Failures())
        for seen, one in ((evidence.requests, request), (evidence.subjects, subject)):
            if len(seen) < self._policy.failures:
                seen.add(one)
        refused = self._judge()
        if refused is None:
            return
        if self._refused is None or probe:
            if probe:
                self._pause = min(self._policy.longest, 2 * self._pause)
            self._again, self.reason = self._clock() + self._pause, reason
        self._refused = refused

    def drop_probe(self) -> None:
        """The request that was to try was cancelled: the next one may."""
        self._again = min(self._again, self._clock())

    def _judge(self) -> str | None:
        """Who is to be refused by the evidence: all once it is not one caller's alone."""
        most = self._policy.failures
        half = (most + 1) // 2
        pieces = {caller: evidence.pieces for caller, evidence in self._failed.items()}
        if sum(count if caller == EVERYBODY else min(count, half) for caller, count in pieces.items()) >= most:
            return EVERYBODY if len(pieces) > 1 or EVERYBODY in pieces else next(iter(pieces))
        return next((caller for caller, count in pieces.items() if count >= most), None)


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
