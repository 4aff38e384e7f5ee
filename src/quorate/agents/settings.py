"""How an agent behaves towards its server, as small values with named defaults; `quorate.yaml` has the same ones."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import Field

from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.frozen import Frozen

Count = Annotated[int, Field(ge=1, strict=True)]
From0 = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]


class Rate(Frozen):
    """At most `requests` sent in any `seconds`; further ones wait for their turn."""

    requests: Count
    seconds: Above0 = 1.0


class Timeouts(Frozen):
    """How long to wait, in seconds."""

    connect: Above0 = 10.0
    """For a connection."""
    first_byte: Above0 = 120.0
    """For a streamed reply to begin, and then for each further piece of it."""
    total: Above0 = 600.0
    """For one request with its retries; waiting for a free place or for the rate is not counted."""


class RetryPolicy(Frozen):
    """When to send a request again: no connection, or a status of 408, 409, 429 or 5xx.

    Where the server says when to come back (Retry-After), this request is not sent again before; others are held back,
    too, for no longer than `hold`: after a 429 those to the same model with the same key, after a 5xx all to
    the server.
    """

    attempts: Count = 3
    """Tries in all; 1 never tries again."""
    backoff: Above0 = 0.5
    """Seconds before the second try, doubled before each further one, less a jitter of up to half."""
    longest: Above0 = 60.0
    """No pause is longer; a server that asks for more (Retry-After) fails the request at once."""
    hold: From0 = 5.0
    """Most seconds for which other requests are held back because a server has asked one to come back later."""
    share: From0 = 0.2
    """Of one caller's requests that may be tries again without the server's invitation, once `reserve` is used up."""
    reserve: Count = 10
    """Tries again that are saved up for a burst."""

    def pause(self, error: UpstreamError, tried: int, rng: random.Random) -> float | None:
        """Seconds to wait after `tried` tries; None to give up."""
        if tried >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest else None
        return min(self.longest, self.backoff * 2.0 ** (tried - 1)) * rng.uniform(0.5, 1.0)


class BreakerPolicy(Frozen):
    """When a server is left alone for a while."""

    failures: Count = 10
    """Of different requests, without a success in between."""
    pause: Above0 = 5.0
    """Seconds until one request may try again; doubled each time that it fails."""
    longest: Above0 = 60.0
    """No pause is longer."""


class HedgePolicy(Frozen):
    """A second request for a sample that is slow to begin; the first to answer wins."""

    after: Above0 | None = None
    """Seconds of silence; where not given, the percentile of the last 128 decides."""
    percentile: Annotated[float, Field(gt=0, lt=1, strict=True)] = 0.95
    """Of the time to the first sign of life."""
    share: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.1
    """Of all samples that may be asked for twice."""
