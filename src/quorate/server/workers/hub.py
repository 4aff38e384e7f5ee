"""What the supervisor does for its workers: counts what they may only do together, and adds up what they tell.

It is a lone server's state, asked over channels: one fair queue, one account of each key or Redis. A worker that ends
gives back the places that its requests had; what they would still have spent, nobody knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from quorate import __version__
from quorate.config.server_settings import ApiKey, ServerSettings
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import TraceLine

from ..access.control import make_state
from ..access.keys import ANYONE
from ..readiness import Readiness, add_up_readiness, judge_state
from ..telemetry.adding import add_up
from ..telemetry.metrics import StateCollector
from ..telemetry.recent import RecentRuns, WatchedRun
from .channel import Channel, ChannelClosed

__all__ = ["Session", "WorkerHub"]

log = logging.getLogger("quorate.server")

PATIENCE = 2.0
"""Seconds that a worker has to tell how it stands."""


class WorkerHub:
    """All that workers share.

    Args:
        settings: of the server.
        wanted: workers that there shall be.
        folder: where workers keep their counters, each in files that outlive it.

    Raises:
        BadInput: as `make_state`.
        DataError: the file of accounts is none.
    """

    def __init__(self, settings: ServerSettings, wanted: int, folder: Path) -> None:
        self.state = make_state(settings)
        self.runs = RecentRuns(max(1, settings.watched_runs))
        self.keys = {ANYONE.name: ANYONE, **{key.name: key for key in settings.keys}}
        self.sessions: list[Session] = []
        """Of the workers that serve."""
        self.draining = False
        self.replaced = 0
        self._settings, self._wanted, self._folder = settings, wanted, folder
        self._processes = ProcessCollector(registry=None)
        self._buried: list[Metric] = []
        """Counters of workers that have ended, as far as they had told them."""

    async def assess(self) -> Readiness:
        """How the server stands, whichever worker is asked."""
        if self.draining:
            return Readiness(["the server is about to end"])
        answers: list[Readiness] = await self._ask("assess")
        told = judge_state(add_up_readiness(answers), self.state.fault, self._settings)
        beside = {**told.beside, "workers": {"ready": len(answers), "wanted": self._wanted}}
        return Readiness(told.reasons, told.pipelines, beside)

    async def write_exposition(self, accept: str) -> tuple[bytes, str]:
        """The metrics of all workers, those that have ended included."""
        registry = CollectorRegistry()
        registry.register(_CollectedFamilies(await self.collect()))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    async def collect(self) -> list[Metric]:
        """The same as families of samples."""
        live = await self._ask("collect")
        counted = await asyncio.to_thread(self._read_counters)
        families = [family for told in live for family in told]
        return add_up([*counted, *families, *self._buried, *self._processes.collect(), *self._own_families()])

    def find_line(self, name: str, weight: float, concurrency: int | None) -> ApiKey:
        """By whose name and weight a request waits: a key, or what a worker made of one, such as for its batches."""
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = ANYONE.model_copy(
                update={"name": name, "weight": weight, "concurrency": concurrency}
            )
        return key

    def bury(self, session: Session) -> None:
        """A worker has ended."""
        if session in self.sessions:
            self.sessions.remove(session)
        session.give_back()
        self._buried = add_up([*self._buried, *(f for f in session.told if f.type == "counter")])
        with suppress(OSError):
            mark_process_dead(session.process, str(self._folder))  # type: ignore[no-untyped-call]

    def _read_counters(self) -> list[Metric]:
        return list(MultiProcessCollector(None, str(self._folder)).collect())  # type: ignore[no-untyped-call]

    def _own_families(self) -> Iterable[Metric]:
        workers = GaugeMetricFamily("quorate_workers", "Worker processes by whether they serve.", labels=["state"])
        workers.add_metric(["ready"], len(self.sessions))
        workers.add_metric(["missing"], max(0, self._wanted - len(self.sessions)))
        replaced = CounterMetricFamily("quorate_workers_replaced", "Worker processes that ended and were replaced.")
        replaced.add_metric([], self.replaced)
        info = InfoMetricFamily("quorate", "The running version.", value={"version": __version__})
        state = StateCollector(self.state, remote=self._settings.state is not None).collect()
        return *state, workers, replaced, info

    async def _ask(self, method: str) -> list[Any]:
        """What each worker says; one that is too busy to answer is left out."""
        sessions = list(self.sessions)
        told = await asyncio.gather(*(each.ask(method) for each in sessions))
        return [each for each in told if each is not None]


class Session:
    """One worker, as the hub knows it.

    Args:
        hub: that it belongs to.
        process: its number.
        plan: what it shall do, ready to be sent.
    """

    def __init__(self, hub: WorkerHub, process: int, plan: bytes) -> None:
        self.process = process
        self.fault = ""
        """Why it could not start."""
        self.quiet = asyncio.Event()
        """It takes no more connections."""
        self.told: Sequence[Metric] = ()
        """What it said of itself last."""
        self.channel: Channel | None = None
        self._hub = hub
        self._entering: dict[int, asyncio.Task[None]] = {}
        self._places: dict[int, AbstractAsyncContextManager[None]] = {}
        self.handlers: dict[str, Callable[..., Any]] = {
            "plan": lambda: plan,
            "fail": self._note_fault,
            "quiet": self.quiet.set,
            "count": self._count,
            "left": self._find_left,
            "spend": self._spend,
            "enter": self._enter,
            "leave": self._leave,
            "keep_run": hub.runs.keep,
            "find_run": self._find_run,
            "latest_runs": self._list_runs,
            "assess": hub.assess,
            "write_exposition": hub.write_exposition,
        }

    async def ask(self, method: str) -> Any:
        """What the worker says to it in time; None where it does not."""
        assert self.channel is not None
        with suppress(ChannelClosed, TimeoutError, QuorateError):
            async with asyncio.timeout(PATIENCE):
                told = await self.channel.call(method)
            if method == "collect":
                self.told = told
            return told
        return None

    def give_back(self) -> None:
        """Frees the places of its requests."""
        for task in self._entering.values():
            task.cancel()
        for ticket in list(self._places):
            self._leave(ticket)

    def _note_fault(self, words: str) -> None:
        self.fault = words

    def _key(self, name: str) -> ApiKey:
        return self._hub.keys[name]

    def _count(self, name: str) -> Awaitable[None]:
        return self._hub.state.count(self._key(name))

    def _find_left(self, name: str) -> Awaitable[Budget]:
        return self._hub.state.left(self._key(name))

    def _spend(self, name: str, tokens: int, money: float) -> None:
        self._hub.state.spend(self._key(name), Usage(prompt_tokens=tokens, cost=money))

    def _enter(self, ticket: int, name: str, weight: float, concurrency: int | None, cost: float) -> asyncio.Task[None]:
        key = self._hub.find_line(name, weight, concurrency)
        task = self._entering[ticket] = asyncio.create_task(self._wait(ticket, key, cost))
        task.add_done_callback(lambda _: self._entering.pop(ticket, None))
        return task

    async def _wait(self, ticket: int, key: ApiKey, cost: float) -> None:
        place = self._hub.state.place(key, cost)
        await place.__aenter__()
        self._places[ticket] = place

    def _leave(self, ticket: int) -> Awaitable[object] | None:
        """The request is over, or gives up waiting."""
        if (place := self._places.pop(ticket, None)) is not None:
            return asyncio.ensure_future(place.__aexit__(None, None, None))
        if (task := self._entering.get(ticket)) is not None:
            task.cancel()
        return None

    def _find_run(self, identity: str, key: str) -> Awaitable[WatchedRun | None]:
        return self._hub.runs.find(identity, key)

    def _list_runs(self, limit: int, key: str) -> Awaitable[list[TraceLine]]:
        return self._hub.runs.latest(limit, key)


class _CollectedFamilies(Collector):
    """Families that have been collected."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return self._families
