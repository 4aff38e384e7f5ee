"""The server as one caller sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from quorate.config.catalog import Catalog
from quorate.orchestrator.context import Budget, Ledger, StopSwitch
from quorate.orchestrator.protocols import Model

from ..names import Names
from .door import Door
from .faults import NotAllowed
from .keys import ApiKey

if TYPE_CHECKING:
    from ..api import Exchange

__all__ = ["Visitor"]


class Visitor:
    """One key and what is behind the door for it."""

    def __init__(self, key: ApiKey, door: Door, names: Names) -> None:
        self.key = key
        self._door = door
        self._names = names

    @property
    def halt(self) -> StopSwitch:
        """Ends the caller's runs when the server does."""
        return self._door.halt

    @property
    def catalog(self) -> Catalog:
        return self._names.catalog

    async def resolve(self, name: str, *, n: int | None = None) -> Model:
        """The model of this name; errors as in `Names.resolve`.

        Raises:
            NotAllowed: the key is not for it.
        """
        if not self.key.allows(name):
            raise NotAllowed(f"the key {self.key.name!r} may not ask {name!r}; `/v1/models` lists what it may")
        return await self._names.resolve(name, n=n)

    async def all(self) -> tuple[str, ...]:
        """Every listed name that the key may ask for."""
        return tuple(name for name in await self._names.all() if self.key.allows(name))

    def within(self, asked: Budget) -> Budget:
        """What a request may spend: what it asks for, and no more than the key has left.

        Raises:
            BudgetSpent: nothing.
        """
        return self._door.within(self.key, asked)

    def admitted(self, exchange: Exchange) -> Exchange:
        """The exchange, which begins when its turn has come and is paid for when it ends."""
        return _Admitted(exchange, self._door, self.key)


class _Admitted:
    """See `api.Exchange`."""

    def __init__(self, exchange: Exchange, door: Door, key: ApiKey) -> None:
        self._exchange = exchange
        self._door = door
        self._key = key

    @property
    def ledger(self) -> Ledger:
        return self._exchange.ledger

    @property
    def draws(self) -> int:
        return self._exchange.draws

    async def reply(self) -> dict[str, Any]:
        async with self._door.place(self._key, self.draws, self.ledger):
            return await self._exchange.reply()

    async def frames(self) -> AsyncGenerator[bytes, None]:
        async with self._door.place(self._key, self.draws, self.ledger), aclosing(self._exchange.frames()) as frames:
            async for frame in frames:
                yield frame

    def broken(self, error: dict[str, Any]) -> bytes:
        return self._exchange.broken(error)
