"""How an endpoint behaves towards its server, as small values with named defaults."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from quorate.orchestrator.errors import BadInput, UpstreamError

__all__ = ["BreakerPolicy", "Rate", "RetryPolicy", "Timeouts"]


def _check(value: float, what: str, *, above: float = 0.0, whole: bool = False) -> None:
    """Raises BadInput unless the value is a finite number above a limit."""
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= above:
        raise BadInput(f"{what} must be a {'whole ' if whole else ''}number above {above:g}, not {value!r}")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """At most `requests` sent in any `seconds`; further ones wait for their turn."""

    requests: int
    seconds: float = 1.0

    def __post_init__(self) -> None:
        _check(self.requests, "Rate(requests)", whole=True)
        _check(self.seconds, "Rate(seconds)")


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long to wait, in seconds."""

    connect: float = 10.0
    """For a connection."""
    first_byte: float = 120.0
    """For a streamed reply to begin, and then for each further piece of it."""
    total: float = 600.0
    """For one request with its retries; waiting for a free place or for the rate is not counted."""

    def __post_init__(self) -> None:
        for name in ("connect", "first_byte", "total"):
            _check(getattr(self, name), f"Timeouts({name})")


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When to send a request again: no connection, or a status of 408, 409, 429 or 5xx.

    Where the server says when to come back (Retry-After), this request is not sent again before; others are held back,
    too, for no longer than `hold`: after a 429 those to the same model with the same key, after a 5xx all to
    the server.
    """

    attempts: int = 3
    """Tries in all; 1 never tries again."""
    backoff: float = 0.5
    """Seconds before the second try, doubled before each further one, less a jitter of up to half."""
    longest: float = 60.0
    """No pause is longer; a server that asks for more (Retry-After) fails the request at once."""
    hold: float = 5.0
    """Most seconds for which other requests are held back because a server has asked one to come back later."""
    share: float = 0.2
    """Of one caller's requests that may be tries again without the server's invitation, once `reserve` is used up."""
    reserve: int = 10
    """Tries again that are saved up for a burst."""

    def __post_init__(self) -> None:
        _check(self.attempts, "RetryPolicy(attempts)", whole=True)
        _check(self.share, "RetryPolicy(share)", above=-1e-12)
        _check(self.reserve, "RetryPolicy(reserve)", whole=True)
        _check(self.backoff, "RetryPolicy(backoff)")
        _check(self.longest, "RetryPolicy(longest)")
        _check(self.hold, "RetryPolicy(hold)", above=-1e-12)

    def pause(self, error: UpstreamError, tried: int, rng: random.Random) -> float | None:
        """Seconds to wait after `tried` tries; None to give up."""
        if tried >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest else None
        return min(self.longest, self.backoff * 2.0 ** (tried - 1)) * rng.uniform(0.5, 1.0)


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """When a server is left alone for a while (`breaker.Breaker`)."""

    failures: int = 10
    """Of different requests, without a success in between."""
    pause: float = 5.0
    """Seconds until one request may try again; doubled each time that it fails."""
    longest: float = 60.0
    """No pause is longer."""

    def __post_init__(self) -> None:
        _check(self.failures, "BreakerPolicy(failures)", whole=True)
        for name in ("pause", "longest"):
            _check(getattr(self, name), f"BreakerPolicy({name})")
