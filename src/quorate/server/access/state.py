"""What servers that stand for one another count together: rates, spending and places.

Behind one protocol, since who counts depends on how many there are: a lone server counts itself (`LocalState`), workers
of one machine ask their supervisor (`quorate.server.workers`), replicas ask Redis (`redis_state`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget
from quorate.orchestrator.usage import Usage

from .accounts import Accounts
from .keys import KeyRates
from .queue import FairQueue

__all__ = ["LocalState", "SharedState"]


class SharedState(Protocol):
    """Counts what keys do."""

    async def count(self, key: ApiKey) -> None:
        """One more request of a key that has a rate.

        Raises:
            RateExceeded: it is over the key's rate and has not been counted.
            StateUnavailable: nobody can tell.
        """
        ...

    async def left(self, key: ApiKey) -> Budget:
        """Tokens and money that a key has left in this period.

        Raises:
            KeyBudgetExceeded: none.
            StateUnavailable: nobody can tell.
        """
        ...

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """Counts what a request used, whether or not it succeeded; never waits."""
        ...

    def place(self, key: ApiKey, cost: float) -> AbstractAsyncContextManager[None]:
        """`async with`: a place to be served in; see `FairQueue.place`."""
        ...

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn, as far as this process counts them."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with it, for `/ready`; empty where nothing is."""
        ...

    async def check(self) -> None:
        """Looks whether it can be used, before anything is served.

        Raises:
            BadInput: it cannot.
        """
        ...

    def open(self) -> AbstractAsyncContextManager[None]:
        """`async with`: does what has to be done beside the requests.

        Raises:
            BadInput: as `check`.
        """
        ...


class LocalState:
    """Counts in this process, and keeps accounts in a file where one is given.

    Raises:
        DataError: the file of accounts is none.
    """

    fault = ""

    def __init__(self, settings: ServerSettings) -> None:
        self._rates = KeyRates(settings.keys)
        self._accounts = Accounts(settings.keys, settings.accounts)
        self._queue = FairQueue(
            places=settings.max_concurrent, waiting=settings.max_queued, seconds=settings.queue_seconds
        )

    async def count(self, key: ApiKey) -> None:
        """See `SharedState`."""
        self._rates.count(key)

    async def left(self, key: ApiKey) -> Budget:
        """See `SharedState`."""
        return self._accounts.left(key)

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """See `SharedState`."""
        self._accounts.spend(key, usage)

    def place(self, key: ApiKey, cost: float) -> AbstractAsyncContextManager[None]:
        """See `SharedState`."""
        return self._queue.place(key, cost)

    @property
    def waiting(self) -> int:
        """See `SharedState`."""
        return self._queue.waiting

    async def check(self) -> None:
        """See `SharedState`."""

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Keeps the accounts saved."""
        saving = asyncio.create_task(self._accounts.keep_saved())
        try:
            yield
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
