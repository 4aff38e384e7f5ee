"""Why a request is turned away at the door; each with the time after which another try makes sense."""

from __future__ import annotations

from quorate.orchestrator.errors import BadInput, QuorateError

__all__ = ["BudgetSpent", "NotAllowed", "Overloaded", "TooBusy", "TooFast", "Unauthorized"]


class Unauthorized(BadInput):
    """No key, or not one of the configured ones."""

    status = 401
    code = "invalid_api_key"


class NotAllowed(BadInput):
    """The key is good but not for this."""

    status = 403
    code = "not_allowed"


class _Later(QuorateError):
    status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooFast(_Later):
    """A key sent more requests than its rate allows."""

    code = "rate_limit_exceeded"


class BudgetSpent(_Later):
    """A key has spent its budget of tokens or money for this period."""

    code = "insufficient_quota"


class TooBusy(_Later):
    """The queue is full."""

    code = "queue_full"


class Overloaded(_Later):
    """A place did not come free in the time that a request may wait."""

    status = 503
    code = "overloaded"
