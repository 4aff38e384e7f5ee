"""Starts workers, replaces those that end, and stops them all.

The supervisor binds the address once; its workers take connections from the same queue of the system, so that what a
worker has not taken when it is killed goes to the others (with `SO_REUSEPORT` each has a queue of its own, which dies
with it, and whose length the system chooses without knowing who is busy).
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from quorate import __version__
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import BadInput, QuorateError

from ..files.runner import OpenBank, forget
from ..run import REPLY_SECONDS, bind, find_url
from ..telemetry.logs import take_turns
from ..telemetry.port import MetricsPort
from ..workbench import Workbench
from .accepting import Board
from .channel import open_channel
from .hub import Session, WorkerHub

__all__ = ["WorkerPlan", "count_workers", "serve_workers"]

log = logging.getLogger("quorate.server")

TRIES = 3
"""Starts in a row that may fail before the server gives up, where no worker serves."""
SHORT_LIFE = 10.0
"""Seconds; who ends sooner is replaced after a pause."""
PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a start; twice as long after each worker of a short life."""
LOOK = 5.0
"""Seconds between looks whether each worker answers its supervisor."""
SILENCE = 60.0
"""Seconds without an answer after which a worker is killed."""
START_SECONDS = 120.0
"""Seconds until a worker has to serve, after which it is killed."""
GRACE = 5.0
"""Seconds beyond those that requests have to end, after which a worker is killed."""
QUIET = 1.0
"""Seconds that workers have to stop listening."""
BOARD = "connections"
"""File of the board of connections."""
LOCK = "log.lock"
"""File by which they take turns to write log lines."""
START = "from quorate.server.workers.worker import main; main()"


@dataclass(frozen=True)
class WorkerPlan:
    """What each worker serves. The functions are found by their module and name, so they must be importable."""

    open_catalog: Callable[[], Awaitable[Catalog]]
    """Makes the models and pipelines; called in every worker."""
    settings: ServerSettings
    open_workbench: Callable[[], Workbench | None] | None = None
    """See `create_app`."""
    banks: OpenBank = forget
    """See `create_app`."""


def count_workers(settings: ServerSettings) -> int:
    """How many workers these settings ask for; `auto` is one for each core that this process may use."""
    if settings.workers != "auto":
        return settings.workers
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # a container's share of the cores
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, -(-int(quota) // int(period)))
    return max(1, cores)


async def serve_workers(plan: WorkerPlan, *, on_ready: Callable[[str, Sequence[str]], None] | None = None) -> None:
    """Serves with several processes until SIGINT or SIGTERM; requests in flight get `shutdown_seconds` to end.

    Args:
        plan: what they serve, and how.
        on_ready: is told the server's URL once all of them answer, and the names of the single models there are.

    Raises:
        BadInput: the address cannot be listened on, a worker refuses what it is given, or workers cannot be had here.
        QuorateError: workers end again and again before they serve.
    """
    if sys.platform == "win32":
        raise BadInput("workers need Unix sockets, which Windows has not: say --workers 1, or start several servers")
    settings = plan.settings
    with ExitStack() as stack:
        listener = stack.enter_context(bind(settings))
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quorate-")))
        except OSError as error:
            raise BadInput(f"workers need a folder for temporary files (TMPDIR): {error.strerror}") from None
        take_turns(folder / LOCK)
        hub = WorkerHub(settings, count_workers(settings), folder)
        if settings.metrics and settings.metrics_port is not None:
            port = MetricsPort(settings, _serve_from(hub, asyncio.get_running_loop()))
            stack.callback(port.close)
        supervisor = _Supervision(plan, hub, listener, folder, on_ready)
        async with hub.state.open():
            await supervisor.run()


@dataclass(eq=False)
class _Worker:
    """One process."""

    index: int
    process: asyncio.subprocess.Process
    session: Session
    began: float = field(default_factory=time.monotonic)
    served: bool = False
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """All that it said has been read."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """It has ended, or is about to and needs another in its place."""

    @property
    def end(self) -> str:
        """How it ended."""
        status = self.process.returncode
        if status is None:
            return "was asked to end"
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


class _Supervision:
    """The workers of one server, from the first to the last."""

    def __init__(
        self,
        plan: WorkerPlan,
        hub: WorkerHub,
        listener: socket.socket,
        folder: Path,
        on_ready: Callable[[str, Sequence[str]], None] | None,
    ) -> None:
        self._settings = plan.settings
        # The wait for load balancers is the supervisor's.
        self._plan = replace(plan, settings=plan.settings.model_copy(update={"drain_seconds": 0.0}))
        self._hub, self._listener, self._folder, self._on_ready = hub, listener, folder, on_ready
        self._count = count_workers(plan.settings)
        self._board = Board(folder / BOARD, self._count)
        self._workers: set[_Worker] = set()
        self._reaping: set[asyncio.Task[None]] = set()
        self._complete = False
        """All of them have served at some time."""
        self._failure: QuorateError | None = None
        self._stopping, self._halting = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until a signal, or until it is clear that no worker can be had.

        Raises:
            QuorateError: the latter.
        """
        with self._follow_signals() as captured:
            keeping = [asyncio.create_task(self._keep(index)) for index in range(self._count)]
            keeping.append(asyncio.create_task(self._watch()))
            try:
                await self._stopping.wait()
            finally:
                self._stopping.set()
                await self._stop(keeping)
        if self._failure is not None:
            raise self._failure
        if signal.SIGINT in captured:
            signal.raise_signal(signal.SIGINT)

    async def _keep(self, index: int) -> None:
        """Has one worker serve at any time."""
        short = failures = 0
        while not self._stopping.is_set():
            worker = await self._start(index)
            await worker.gone.wait()
            if self._stopping.is_set():
                return
            failures = 0 if worker.served else failures + 1
            short = short + 1 if time.monotonic() - worker.began < SHORT_LIFE else 0
            self._judge(worker, failures)
            self._hub.replaced += 1
            if (short and not worker.served) or short > 1:
                with suppress(TimeoutError):
                    pause = min(LONGEST_PAUSE, PAUSE * 2.0 ** (short - 1))
                    await asyncio.wait_for(self._stopping.wait(), pause)

    async def _watch(self) -> None:
        """Kills workers that hang, at their start or later, so that others take their place."""
        heard: dict[Session, float] = {}
        while True:
            await asyncio.sleep(LOOK)
            sessions = list(self._hub.sessions)
            answers = await asyncio.gather(*(each.ask("answer") for each in sessions))
            now = time.monotonic()
            heard = {
                each: now if answer else heard.get(each, now) for each, answer in zip(sessions, answers, strict=True)
            }
            for worker in self._workers:
                told = "worker process %d has not %s for %.0f s and is killed"
                if now - heard.get(worker.session, now) > SILENCE:
                    log.error(told, worker.process.pid, "answered", SILENCE)
                    worker.process.kill()
                elif not worker.served and worker.process.returncode is None and now - worker.began > START_SECONDS:
                    log.error(told, worker.process.pid, "begun to serve", START_SECONDS)
                    worker.process.kill()

    def _judge(self, worker: _Worker, failures: int) -> None:
        """Tells that a worker is gone; gives up where there is no hope."""
        index, process = worker.index, worker.process.pid
        if worker.served:
            level = logging.INFO if worker.process.returncode in (None, 0) else logging.ERROR
            log.log(level, "worker %d (process %d) %s; another one takes its place", index, process, worker.end)
            return
        why = worker.session.fault or f"it {worker.end}"
        if self._complete or self._hub.sessions:
            log.error("worker %d (process %d) could not start: %s; tried again soon", index, process, why)
        if self._hub.sessions:
            return
        if worker.session.fault and not self._complete:
            self._give_up(BadInput(worker.session.fault))
        elif failures >= TRIES:
            self._give_up(QuorateError(f"no worker serves, and worker {index} could not start {failures} times: {why}"))

    def _give_up(self, failure: QuorateError) -> None:
        self._failure = self._failure or failure
        self._stopping.set()

    async def _start(self, index: int) -> _Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-c",
                START,
                *map(str, (theirs.fileno(), self._listener.fileno(), __version__)),
                pass_fds=(theirs.fileno(), self._listener.fileno()),
                start_new_session=True,  # Ctrl-C is the supervisor's to follow
                env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(self._folder)},
            )
        plan = pickle.dumps((index, self._count, self._plan, self._folder))
        worker = _Worker(index, process, Session(self._hub, process.pid, plan))
        handlers: dict[str, Callable[..., Any]] = {
            **worker.session.handlers,
            "ready": lambda models: self._note_ready(worker, models),
            "leaving": lambda: self._let_go(worker),
        }
        worker.session.channel = await open_channel(ours, handlers, worker.silent.set)
        self._workers.add(worker)
        task = asyncio.create_task(self._reap(worker))
        self._reaping.add(task)
        task.add_done_callback(self._reaping.discard)
        return worker

    async def _reap(self, worker: _Worker) -> None:
        await worker.process.wait()
        with suppress(TimeoutError):  # what it said last is told: a child that it leaves behind may hold its end
            await asyncio.wait_for(worker.silent.wait(), QUIET)
        self._hub.bury(worker.session)
        if not worker.gone.is_set():  # else another one has its place
            self._board.forget(worker.index)
        worker.session.quiet.set()
        self._workers.discard(worker)
        worker.gone.set()
        assert worker.session.channel is not None
        worker.session.channel.close()

    def _note_ready(self, worker: _Worker, models: Sequence[str]) -> None:
        worker.served = True
        self._hub.sessions.append(worker.session)
        if not self._complete and len(self._hub.sessions) == self._count:
            self._complete = True
            if self._on_ready is not None:
                self._on_ready(find_url(self._listener), models)

    def _let_go(self, worker: _Worker) -> None:
        """Somebody has asked this worker alone to end, as it seems: others go on taking connections."""
        if not self._stopping.is_set() and worker.session in self._hub.sessions:
            self._hub.sessions.remove(worker.session)
            self._board.set(worker.index)
            self._tell(worker, "stop", False)
            worker.gone.set()

    def _tell(self, worker: _Worker, method: str, *values: Any) -> None:
        if worker.session.channel is not None:
            worker.session.channel.tell(method, *values)

    async def _stop(self, keeping: list[asyncio.Task[None]]) -> None:
        """Asks all workers to end, one of them last: it serves the connections that nobody else has looked at."""
        self._hub.draining = True
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        await self._wait_halted(self._settings.drain_seconds if self._failure is None else 0.0)
        serving = [worker for worker in self._workers if worker.session in self._hub.sessions]
        others = self._workers - set(serving[:1])
        for worker in others:
            if worker.served:
                self._tell(worker, "stop", False)
            else:
                worker.process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                for worker in others:
                    await worker.session.quiet.wait()
        for worker in serving[:1]:
            self._tell(worker, "stop", True)
        await self._await_ends()

    async def _await_ends(self) -> None:
        """Waits for the workers' ends, as long as they may take, then kills."""
        left = asyncio.ensure_future(asyncio.gather(*self._reaping, return_exceptions=True))
        halted = asyncio.create_task(self._halting.wait())
        patience = self._settings.shutdown_seconds + REPLY_SECONDS + GRACE
        await asyncio.wait((left, halted), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self._halting.is_set():
            for worker in self._workers:
                self._tell(worker, "halt")
            await asyncio.wait((left,), timeout=REPLY_SECONDS)
        halted.cancel()
        for worker in self._workers:
            log.error("worker process %d does not end and is killed", worker.process.pid)
            worker.process.kill()
        await left

    async def _wait_halted(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._halting.wait(), seconds)

    @contextmanager
    def _follow_signals(self) -> Iterator[list[signal.Signals]]:
        """The first one stops, a second one at once; gives those that came."""
        loop, captured = asyncio.get_running_loop(), list[signal.Signals]()

        def take(number: signal.Signals) -> None:
            (self._halting if captured else self._stopping).set()
            captured.append(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, take, number)
        try:
            yield captured
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


class _FromHub(Collector):
    """The hub's metrics, for a thread that is not the hub's."""

    def __init__(self, hub: WorkerHub, loop: asyncio.AbstractEventLoop) -> None:
        self._hub, self._loop = hub, loop

    def describe(self) -> list[Metric]:
        """Nothing, so that nothing is collected to register."""
        return []

    def collect(self) -> list[Metric]:
        """See `Collector`."""
        return asyncio.run_coroutine_threadsafe(self._hub.collect(), self._loop).result(timeout=10)


def _serve_from(hub: WorkerHub, loop: asyncio.AbstractEventLoop) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(_FromHub(hub, loop))
    return registry
