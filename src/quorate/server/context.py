"""All that the routes of one server share, and the server as one caller sees it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from copy import copy
from dataclasses import dataclass
from functools import cached_property

from starlette.types import Scope

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget, Ledger, StopSwitch
from quorate.orchestrator.protocols import Model

from .access.control import AccessControl
from .access.errors import NotAllowed
from .fleet import Fleet, LoneServer
from .http.routing import read_authorization
from .names import RefreshingCatalog
from .readiness import Readiness, assess, judge_state
from .telemetry.middleware import Telemetry
from .telemetry.record import RECORD, RequestRecord

__all__ = ["BATCH_KEY", "Caller", "ServerContext"]

BATCH_KEY = "quorate.batch_key"
"""Where the scope of a line of a batch has the key that it was given with; no request over HTTP has such a scope."""
BEHIND = 0.01
"""Weight of a key's batches, in its own."""
EVERYTHING = ("**",)
"""What a key may ask for that has no limits."""


@dataclass(frozen=True)
class Caller:
    """One key, in one request, and what is behind the access control for it."""

    key: ApiKey
    record: RequestRecord
    _access: AccessControl
    _names: RefreshingCatalog

    @property
    def line(self) -> ApiKey:
        """By whose name and weight it waits for its turn."""
        return self.key

    @property
    def switch(self) -> StopSwitch:
        """Ends the caller's runs when the server ends."""
        return self._access.switch

    @property
    def catalog(self) -> Catalog:
        """All names, those that the key may not ask for too."""
        return self._names.catalog

    async def resolve(self, name: str, *, n: int | None = None) -> Model:
        """The model of this name; errors as in `RefreshingCatalog.resolve`.

        Raises:
            NotAllowed: the key is not for it.
        """
        name = self.catalog.normalize(name)
        if self.key.allow != EVERYTHING and not self.key.allows(name):
            raise NotAllowed(f"the key {self.key.name!r} may not ask {name!r}; `/v1/models` lists what it may")
        return await self._names.resolve(name, n=n)

    async def list_names(self) -> tuple[str, ...]:
        """Every listed name that the key may ask for; one with limits sees which pipelines over which models."""
        names = await self._names.list_names()
        if self.key.allow == EVERYTHING:
            return names
        return tuple(name for name in (*names, *self.catalog.combinations()) if self.key.allows(name))

    async def limit_budget(self, asked: Budget) -> Budget:
        """What a request may spend: what it asks for, and no more than the key has left.

        Raises:
            KeyBudgetExceeded: nothing.
        """
        return await self._access.limit_budget(self.key, asked)

    def with_admission(self, cost: int, ledger: Ledger) -> AbstractAsyncContextManager[None]:
        """`async with`: a place to be served in, paid for at its end; see `AccessControl.admit`."""
        return self._access.admit(self.key, cost, ledger, self.record, self.line)


@dataclass(frozen=True)
class _BatchCaller(Caller):
    """A line of a batch: it goes behind all other requests, the key's own included.

    The server's end does not make it answer with what it has so far, since it is asked again by the next server.
    """

    @cached_property
    def line(self) -> ApiKey:
        return self.key.model_copy(update={"name": f"{self.key.name}/batch", "weight": self.key.weight * BEHIND})

    @cached_property
    def switch(self) -> StopSwitch:
        return StopSwitch()


class ServerContext:
    """What is served, to whom, and how.

    Args:
        catalog: models and pipelines.
        settings: where it listens, whom it lets in, what it allows.
        fleet: the processes that serve under one address; this one alone if not given.

    Raises:
        BadInput: settings that cannot be used.
    """

    def __init__(self, catalog: Catalog, settings: ServerSettings, fleet: Fleet | None = None) -> None:
        self.settings = settings
        self.names = RefreshingCatalog(catalog)
        self.fleet = fleet or LoneServer(settings)
        self.access = AccessControl(settings, self.fleet.state)
        self.telemetry = Telemetry(catalog, settings, self.fleet)
        if (metrics := self.telemetry.metrics) is not None:
            metrics.watch(self.access.state, remote=settings.state is not None)
        self.fleet.join(self.assess, metrics)

    async def assess(self) -> Readiness:
        """How this process stands."""
        if self.access.draining:
            return Readiness(["the server is about to end"])
        return judge_state(await assess(self.names), self.access.state.fault, self.settings)

    def for_batch(self, catalog: Catalog) -> ServerContext:
        """The same server, with a batch's own models under its names, and without batches."""
        other = copy(self)
        other.names, other.settings = RefreshingCatalog(catalog), self.settings.model_copy(update={"files": None})
        return other

    async def admit(self, scope: Scope) -> Caller:
        """Who asks, by a request that counts for its key's rate.

        Raises:
            Unauthorized: nobody that we know.
            RateExceeded: it is over the key's rate.
        """
        caller = self.identify(scope)
        if BATCH_KEY not in scope:
            await self.access.count(caller.key)
        return caller

    def identify(self, scope: Scope) -> Caller:
        """Who asks.

        Raises:
            Unauthorized: nobody that we know.
        """
        record: RequestRecord = scope[RECORD]
        batch_key: ApiKey | None = scope.get(BATCH_KEY)
        key = batch_key or self.access.identify(read_authorization(scope))
        record.key = key.name
        if batch_key is not None:
            return _BatchCaller(key, record, self.access, self.names)
        return Caller(key, record, self.access, self.names)
