"""The way in: who asks, whether now, and what it may spend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from quorate.orchestrator.context import Budget, Ledger, StopSwitch

from ..observe.observation import observing
from ..settings import ServerSettings
from .accounts import Accounts
from .faults import Overloaded, Unauthorized
from .keys import ApiKey, Keys
from .queue import FairQueue
from .rates import Rates

__all__ = ["Door"]

AFTER_RESTART = 5.0
"""Seconds after which another try makes sense when the server is about to end."""


class Door:
    """Lets requests in: key and rate before the body is read, budget and a place once it is understood.

    Raises:
        BadInput: keys that collide, or a file of accounts that is none.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._keys = Keys(settings.keys)
        self._rates = Rates(settings.keys)
        self._accounts = Accounts(settings.keys, settings.accounts)
        self.queue = FairQueue(
            places=settings.max_concurrent, waiting=settings.max_queued, seconds=settings.queue_seconds
        )
        self.draining = False
        """The server is about to end; load balancers should look elsewhere."""
        self.halt = StopSwitch()
        """Ends what still runs with the best answers so far."""

    def recognise(self, authorization: str) -> ApiKey:
        """Whose key a header holds.

        Raises:
            Unauthorized: nobody's.
        """
        key = self._keys.find(authorization)
        if key is None:
            raise Unauthorized("send a valid key of this server in the header 'Authorization: Bearer KEY'")
        return key

    def count(self, key: ApiKey) -> None:
        """One more request of this key.

        Raises:
            TooFast: it is over the key's rate.
        """
        self._rates.count(key)

    def within(self, key: ApiKey, asked: Budget) -> Budget:
        """What a request may spend: no more than it asks for and than its key has left.

        Raises:
            BudgetSpent: the key has nothing left.
        """
        return self._accounts.within(key, asked)

    @asynccontextmanager
    async def place(self, key: ApiKey, cost: int, ledger: Ledger) -> AsyncGenerator[None, None]:
        """A place to be served in, when it is this request's turn; at the end its key pays for the ledger.

        Args:
            cost: answers of models that it takes at most.

        Raises:
            TooBusy: as many wait as may.
            Overloaded: no place came free in time.
        """
        seen = observing()
        came = seen.now() if seen is not None else 0.0
        async with self.queue.place(key, cost):
            if self.halt.reason is not None:
                raise Overloaded(self.halt.reason, AFTER_RESTART)
            if seen is not None:
                seen.queued = seen.now() - came
            try:
                yield
            finally:
                self._accounts.spend(key, ledger.usage)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None, None]:
        """Keeps the accounts saved while the server runs."""
        saving = asyncio.create_task(self._accounts.keep_saved())
        try:
            yield
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
