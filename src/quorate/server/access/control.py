"""The way in: who asks, whether now, and what it may spend."""

from __future__ import annotations

from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget, Ledger, StopSwitch
from quorate.orchestrator.errors import MissingExtra

from ..telemetry.record import RequestRecord
from .accounts import narrow
from .errors import Overloaded, Unauthorized
from .keys import ANYONE, KeyRing
from .state import LocalState, SharedState

__all__ = ["AccessControl", "make_state"]

AFTER_RESTART = 5.0
"""Seconds after which another try makes sense when the server is about to end."""


def make_state(settings: ServerSettings) -> SharedState:
    """Where a server counts: on its own, or where its settings say.

    Args:
        settings: of the server.

    Raises:
        BadInput: the address is none, or the library is missing.
        DataError: the file of accounts is none.
    """
    if settings.state is None:
        return LocalState(settings)
    try:
        from .redis_state import RedisState
    except ImportError:
        raise MissingExtra("redis", "state in Redis") from None
    return RedisState(settings, LocalState(settings))


class AccessControl:
    """Lets requests in: key and rate before the body is read, budget and a place once it is understood.

    Args:
        settings: whose keys there are.
        state: where it is counted what they did.

    Raises:
        BadInput: keys that collide.
    """

    def __init__(self, settings: ServerSettings, state: SharedState) -> None:
        self._keyed = bool(settings.keys)
        self._keys = KeyRing(settings.keys)
        self.state = state
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

    async def count(self, key: ApiKey) -> None:
        """One more request of this key.

        Raises:
            RateExceeded: it is over the key's rate.
        """
        if key.rate is not None:
            await self.state.count(key)

    async def limit_budget(self, key: ApiKey, asked: Budget) -> Budget:
        """What a request may spend: no more than it asks for and than its key has left.

        Raises:
            KeyBudgetExceeded: the key has nothing left.
        """
        return asked if key.budget is None else narrow(asked, await self.state.left(key))

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
            self.state.spend(key, ledger.usage)


class Admission:
    """See `AccessControl.admit`."""

    def __init__(
        self, control: AccessControl, key: ApiKey, cost: int, ledger: Ledger, record: RequestRecord, line: ApiKey
    ) -> None:
        self._control, self._key, self._ledger, self._record = control, key, ledger, record
        self._place = control.state.place(line, cost)

    async def __aenter__(self) -> None:
        came = self._record.seconds_so_far()
        await self._place.__aenter__()
        if (reason := self._control.switch.reason) is not None:
            await self._place.__aexit__(None, None, None)
            raise Overloaded(reason, AFTER_RESTART)
        self._record.queued = self._record.seconds_so_far() - came

    async def __aexit__(self, *_: object) -> None:
        try:
            self._control.spend(self._key, self._ledger)
        finally:
            await self._place.__aexit__(None, None, None)
