"""The server as one caller sees it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey
from quorate.orchestrator.context import Budget, Ledger, StopSwitch
from quorate.orchestrator.protocols import Model

from ..catalog import RefreshingCatalog
from ..telemetry.record import RequestRecord
from .control import AccessControl
from .errors import NotAllowed

__all__ = ["Caller"]


@dataclass(frozen=True)
class Caller:
    """One key, in one request, and what is behind the access control for it."""

    key: ApiKey
    record: RequestRecord
    _access: AccessControl
    _names: RefreshingCatalog

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
        if not self.key.allows(name):
            raise NotAllowed(f"the key {self.key.name!r} may not ask {name!r}; `/v1/models` lists what it may")
        return await self._names.resolve(name, n=n)

    async def list_names(self) -> tuple[str, ...]:
        """Every listed name that the key may ask for."""
        return tuple(name for name in await self._names.list_names() if self.key.allows(name))

    def limit_budget(self, asked: Budget) -> Budget:
        """What a request may spend: what it asks for, and no more than the key has left.

        Raises:
            KeyBudgetExceeded: nothing.
        """
        return self._access.limit_budget(self.key, asked)

    def with_admission(self, cost: int, ledger: Ledger) -> AbstractAsyncContextManager[None]:
        """`async with`: a place to be served in, paid for at its end; see `AccessControl.admit`."""
        return self._access.admit(self.key, cost, ledger, self.record)
