"""The way in: who asks, whether now, and what it may spend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget, Ledger, StopSwitch

from ..telemetry.record import RequestRecord
from .accounts import Accounts
from .errors import Overloaded, Unauthorized
from .keys import ANYONE, KeyRates, KeyRing
from .queue import FairQueue

__all__ = ["AccessControl"]

AFTER_RESTART = 5.0
"""Seconds after which another try makes sense when the server is about to end."""


class AccessControl:
    """Lets requests in: key and rate before the body is read, budget and a place once it is understood.

    Raises:
        BadInput: keys that collide, or a file of accounts that is none.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._keyed = bool(settings.keys)
        self._keys = KeyRing(settings.keys)
        self._rates = KeyRates(settings.keys)
        self._accounts = Accounts(settings.keys, settings.accounts)
        self.queue = FairQueue(
            places=settings.max_concurrent, waiting=settings.max_queued, seconds=settings.queue_seconds
        )
        self.draining = False
        """The server is about to end; load balancers should look elsewhere."""
        self.switch = StopSwitch()
        """Ends what still runs with the best answers so far."""

    def identify(self, authorization: str) -> ApiKey:
        """Whose key a header holds.

        Raises:
            Unauthorized: nobody's.
        """
        key = self._keys.find(authorization) if self._keyed else ANYONE
        if key is None:
            raise Unauthorized(
                "send a valid key of this server in the header 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
            )
        return key

    def count(self, key: ApiKey) -> None:
        """One more request of this key.

        Raises:
            RateExceeded: it is over the key's rate.
        """
        if key.rate is not None:
            self._rates.count(key)

    def limit_budget(self, key: ApiKey, asked: Budget) -> Budget:
        """What a request may spend: no more than it asks for and than its key has left.

        Raises:
            KeyBudgetExceeded: the key has nothing left.
        """
        return asked if key.budget is None else self._accounts.limit_budget(key, asked)

    def admit(self, key: ApiKey, cost: int, ledger: Ledger, record: RequestRecord, line: ApiKey) -> Admission:
        """`async with`: a place to be served in, at this request's turn; its key pays for the ledger at the end.

        Args:
            key: who asks.
            cost: answers of models that it takes at most.
            ledger: what it will have used.
            record: is told how long it waited.
            line: by whose name and weight it waits.

        Raises:
            QueueFull: as many wait as may.
            Overloaded: no place came free in time.
        """
        return Admission(self, key, cost, ledger, record, line)

    def spend(self, key: ApiKey, ledger: Ledger) -> None:
        """The key pays for what a request has used."""
        if key.budget is not None:
            self._accounts.spend(key, ledger.usage)

    @asynccontextmanager
    async def keep_accounts(self) -> AsyncGenerator[None, None]:
        """Keeps the accounts saved while the server runs."""
        saving = asyncio.create_task(self._accounts.keep_saved())
        try:
            yield
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)


class Admission:
    """See `AccessControl.admit`."""

    def __init__(
        self, control: AccessControl, key: ApiKey, cost: int, ledger: Ledger, record: RequestRecord, line: ApiKey
    ) -> None:
        self._control, self._key, self._ledger, self._record = control, key, ledger, record
        self._place = control.queue.place(line, cost)

    async def __aenter__(self) -> None:
        came = self._record.seconds_so_far()
        await self._place.__aenter__()
        if (reason := self._control.switch.reason) is not None:
            await self._place.__aexit__()
            raise Overloaded(reason, AFTER_RESTART)
        self._record.queued = self._record.seconds_so_far() - came

    async def __aexit__(self, *_: object) -> None:
        try:
            self._control.spend(self._key, self._ledger)
        finally:
            await self._place.__aexit__()
