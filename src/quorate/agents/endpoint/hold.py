"""Until when requests wait because a server has asked one of them to come back later (Retry-After)."""

from __future__ import annotations

import time
from weakref import WeakValueDictionary

__all__ = ["Hold", "find_hold"]


class Hold:
    """What a 429 or a 5xx with Retry-After means for the requests of others."""

    def __init__(self) -> None:
        self.until = 0.0
        """On the monotonic clock."""
        self.asked = 0.0
        """Seconds that the server wanted."""
        self.most = 0.0
        """Seconds for which others are held back at most."""
        self.status = 503
        """Of the reply."""

    def note(self, asked: float, most: float, status: int) -> None:
        """A request was told to come back after so many seconds."""
        until = time.monotonic() + min(asked, most)
        if until > self.until:
            self.until, self.asked, self.most, self.status = until, asked, most, status

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.until - time.monotonic()) if self.until else 0.0

    def __str__(self) -> str:
        capped = f", of which at most {self.most:g} s hold for other requests" if self.asked > self.most else ""
        return f"the server asked for {self.asked:g} s (HTTP {self.status}, Retry-After){capped}"


_BY_SERVER: WeakValueDictionary[str, Hold] = WeakValueDictionary()


def find_hold(server: str) -> Hold:
    """The one for all models of the server at this address."""
    return _BY_SERVER.setdefault(server, Hold())
