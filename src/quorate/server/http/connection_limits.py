"""How many clients may be connected."""

from __future__ import annotations

from collections import Counter

__all__ = ["ConnectionLimits"]


class ConnectionLimits:
    """How many connections there may be, in all and from one address."""

    def __init__(self, most: int, from_one: int) -> None:
        self._most, self._from_one = most, from_one
        self._by_address: Counter[str] = Counter()
        self._count = 0

    def admit(self, address: str) -> str | None:
        """One more, to be given back to `leave` either way; why it is one too many, where it is."""
        self._by_address[address] += 1
        self._count += 1
        if self._total > self._most:
            return f"there are {self._most} connections already, as many as this server takes"
        if self._count_from(address) > self._from_one:
            return f"there are {self._from_one} connections from your address already, as many as one may have"
        return None

    @property
    def _total(self) -> int:
        return self._count

    def _count_from(self, address: str) -> int:
        return self._by_address[address]

    def leave(self, address: str) -> None:
        """A connection is closed."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
