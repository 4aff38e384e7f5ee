"""A worker's end: what it asks its supervisor, behind the protocols that a lone server has."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any

from prometheus_client.metrics_core import Metric

from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import TraceLine

from ..access.errors import Overloaded
from ..access.state import SharedState
from ..fleet import Assess
from ..readiness import Readiness
from ..telemetry.metrics import Metrics
from ..telemetry.port import MetricsPort
from ..telemetry.recent import WatchedRun, WatchedRuns
from .channel import Channel, ChannelClosed

__all__ = ["FleetMember"]

AFTER_RESTART = 5.0
"""Seconds after which another try makes sense when the supervisor is gone."""


class _SupervisorCalls:
    """The other end of the channel, once it is open."""

    def __init__(self) -> None:
        self.channel: Channel | None = None

    async def call(self, method: str, *values: Any) -> Any:
        """What it says.

        Raises:
            Overloaded: it has ended, and this worker is about to.
        """
        try:
            assert self.channel is not None
            return await self.channel.call(method, *values)
        except ChannelClosed:
            raise Overloaded("the server is about to end", AFTER_RESTART) from None

    def tell(self, method: str, *values: Any) -> None:
        assert self.channel is not None
        self.channel.tell(method, *values)


class FleetMember:
    """One of several workers; see `Fleet`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._supervisor = _SupervisorCalls()
        self.state: SharedState = _HubState(self._supervisor)
        self.runs: WatchedRuns | None = _HubRuns(self._supervisor) if settings.watched_runs else None
        self._metrics: Metrics | None = None
        self.handlers: dict[str, Callable[..., Any]] = {"collect": self._collect, "answer": lambda: True}
        """What the supervisor may ask."""

    def connect(self, channel: Channel) -> None:
        """The channel is open."""
        self._supervisor.channel = channel

    def join(self, assess: Assess, metrics: Metrics | None) -> None:
        """See `Fleet`."""
        self._metrics, self.handlers["assess"] = metrics, assess

    def bind_port(self, metrics: Metrics, settings: ServerSettings) -> MetricsPort | None:  # noqa: ARG002
        """The supervisor has it."""
        return None

    async def assess(self) -> Readiness:
        """See `Fleet`."""
        told: Readiness = await self._supervisor.call("assess")
        return told

    async def write_exposition(self, accept: str) -> tuple[bytes, str]:
        """See `Fleet`."""
        told: tuple[bytes, str] = await self._supervisor.call("write_exposition", accept)
        return told

    def _collect(self) -> list[Metric]:
        return [] if self._metrics is None else self._metrics.collect_live()


class _HubState:
    """See `SharedState`."""

    waiting = 0
    fault = ""

    def __init__(self, supervisor: _SupervisorCalls) -> None:
        self._supervisor = supervisor
        self._tickets = itertools.count(1)

    async def count(self, key: ApiKey) -> None:
        """See `SharedState`."""
        await self._supervisor.call("count", key.name)

    async def left(self, key: ApiKey) -> Budget:
        """See `SharedState`."""
        left: Budget = await self._supervisor.call("left", key.name)
        return left

    def spend(self, key: ApiKey, usage: Usage) -> None:
        """See `SharedState`."""
        self._supervisor.tell("spend", key.name, usage.total_tokens, usage.cost or 0.0)

    def place(self, key: ApiKey, cost: float) -> AbstractAsyncContextManager[None]:
        """See `SharedState`."""
        return _HubPlace(self._supervisor, next(self._tickets), key, cost)

    async def check(self) -> None:
        """See `SharedState`."""

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """The channel is open as long as the process runs."""
        yield


class _HubPlace(AbstractAsyncContextManager[None]):
    """A place in the supervisor's queue, known by a number."""

    def __init__(self, supervisor: _SupervisorCalls, ticket: int, key: ApiKey, cost: float) -> None:
        self._supervisor, self._ticket, self._key, self._cost = supervisor, ticket, key, cost

    async def __aenter__(self) -> None:
        try:
            key = self._key
            await self._supervisor.call("enter", self._ticket, key.name, key.weight, key.concurrency, self._cost)
        except BaseException:
            # Whoever leaves while it waits may have been given the place at that moment.
            self._supervisor.tell("leave", self._ticket)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._supervisor.tell("leave", self._ticket)


class _HubRuns:
    """See `WatchedRuns`."""

    def __init__(self, supervisor: _SupervisorCalls) -> None:
        self._supervisor = supervisor

    def keep(self, run: WatchedRun) -> None:
        """See `WatchedRuns`."""
        self._supervisor.tell("keep_run", run)

    async def find(self, identity: str, key: str) -> WatchedRun | None:
        """See `WatchedRuns`."""
        run: WatchedRun | None = await self._supervisor.call("find_run", identity, key)
        return run

    async def latest(self, limit: int, key: str) -> list[TraceLine]:
        """See `WatchedRuns`."""
        lines: list[TraceLine] = await self._supervisor.call("latest_runs", limit, key)
        return lines
