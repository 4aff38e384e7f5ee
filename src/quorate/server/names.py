"""The catalog of a server, which asks again at the upstream when a name is missing."""

from __future__ import annotations

import asyncio

from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import UnknownName, UpstreamError
from quorate.orchestrator.protocols import Model

__all__ = ["RefreshingCatalog", "find_models"]


class RefreshingCatalog:
    """Resolves and lists names, asking again at the upstream when something is missing."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._lock = asyncio.Lock()
        self._refreshes = 0
        self._failure: UpstreamError | None = None

    async def resolve(self, name: str, *, n: int | None = None) -> Model:
        """The model of this name.

        Raises:
            UnknownName: with the names that exist.
            BadInput: an impossible n.
            UpstreamError: no model is known, because the upstream does not tell.
        """
        try:
            return self.catalog.resolve(name, n=n)
        except UnknownName:
            await self._refresh_once()
            return self.catalog.resolve(name, n=n)

    async def list_names(self) -> tuple[str, ...]:
        """Every name worth listing.

        Raises:
            UpstreamError: there is none, because the upstream does not tell.
        """
        if not self.catalog.names():
            await self._refresh_once()
        return self.catalog.names()

    async def _refresh_once(self) -> None:
        """Asks the upstream once, however many requests wait for it."""
        refreshes = self._refreshes
        async with self._lock:
            if self._refreshes == refreshes:
                await self._refresh()
        if self._failure is not None and not self.catalog.names():
            raise self._failure

    async def _refresh(self) -> None:
        try:
            await self.catalog.refresh()
            self._failure = None
        except UpstreamError as error:
            self._failure = error
        self._refreshes += 1


def find_models(catalog: Catalog) -> list[Model]:
    """The catalog's models and those that they are made of, each name of a kind once."""
    found: dict[tuple[type, str], Model] = {}
    waiting = list(catalog.models.values())
    while waiting:
        model = waiting.pop()
        if found.setdefault((type(model), model.name), model) is model:
            waiting += model.parts
    return list(found.values())
