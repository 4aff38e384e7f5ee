"""The processes that serve under one address, as one of them sees them: alone, or one of several workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from quorate.config.server_settings import ServerSettings

from .access.control import make_state
from .access.state import SharedState
from .readiness import Readiness
from .telemetry.metrics import Metrics
from .telemetry.port import MetricsPort
from .telemetry.recent import RecentRuns, WatchedRuns

__all__ = ["Assess", "Fleet", "LoneServer"]

Assess = Callable[[], Awaitable[Readiness]]
"""How a process stands."""


class Fleet(Protocol):
    """What its members have in common."""

    state: SharedState
    runs: WatchedRuns | None
    """Watched runs of all of them, where any are kept."""

    def join(self, assess: Assess, metrics: Metrics | None) -> None:
        """This process is about to serve."""
        ...

    def bind_port(self, metrics: Metrics, settings: ServerSettings) -> MetricsPort | None:
        """The metrics' own port, where this process has to serve it.

        Raises:
            BadInput: it cannot be listened on.
        """
        ...

    async def assess(self) -> Readiness:
        """How all of them stand."""
        ...

    async def write_exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all of them in the format that an Accept header asks for, and its content type."""
        ...


class LoneServer:
    """One process.

    Raises:
        BadInput: as `make_state`.
        DataError: the file of accounts is none.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.state = make_state(settings)
        self.runs: WatchedRuns | None = RecentRuns(settings.watched_runs) if settings.watched_runs else None

    def join(self, assess: Assess, metrics: Metrics | None) -> None:
        """See `Fleet`."""
        self._assess, self._metrics = assess, metrics

    def bind_port(self, metrics: Metrics, settings: ServerSettings) -> MetricsPort | None:
        """See `Fleet`."""
        return None if settings.metrics_port is None else MetricsPort(settings, metrics.registry)

    async def assess(self) -> Readiness:
        """See `Fleet`."""
        return await self._assess()

    async def write_exposition(self, accept: str) -> tuple[bytes, str]:
        """See `Fleet`."""
        assert self._metrics is not None, "the route is there where metrics are"
        return self._metrics.write_exposition(accept)
