"""Why a request is turned away before a model is asked; each with the time after which another try makes sense."""

from __future__ import annotations

from typing import Any

from quorate.orchestrator.errors import BadInput, QuorateError

__all__ = [
    "KeyBudgetExceeded",
    "NotAllowed",
    "Overloaded",
    "QueueFull",
    "RateExceeded",
    "StateUnavailable",
    "Unauthorized",
]


class Unauthorized(BadInput):
    """No key, or not one of the configured ones."""

    status = 401
    code = "invalid_api_key"


class NotAllowed(BadInput):
    """The key is good but not for this."""

    status = 403
    code = "not_allowed"


class _ComeBackLater(QuorateError):
    status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """As it goes from one process to another."""
        return type(self), (str(self), self.retry_after)


class RateExceeded(_ComeBackLater):
    """A key sent more requests than its rate allows."""

    code = "rate_limit_exceeded"


class KeyBudgetExceeded(_ComeBackLater):
    """A key has spent its budget of tokens or money for this period."""

    code = "insufficient_quota"


class QueueFull(_ComeBackLater):
    """As many requests wait as may."""

    code = "queue_full"


class Overloaded(_ComeBackLater):
    """A place did not come free in the time that a request may wait."""

    status = 503
    code = "overloaded"


class StateUnavailable(_ComeBackLater):
    """What the key has used is counted elsewhere, and nobody there answers."""

    status = 503
    code = "state_unavailable"
