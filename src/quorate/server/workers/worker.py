"""One worker process: takes its plan from the supervisor, serves, and ends when it is told to or left alone."""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from quorate import __version__
from quorate.orchestrator.errors import QuorateError

from ..context import ServerContext
from ..files.runner import OpenBank
from ..run import GracefulServer, allow_files, bound_connections, loop_factory, spare_the_collector
from ..telemetry.logs import configure, take_turns
from ..workbench import Workbench
from .accepting import Acceptor, Board, BoardLimits
from .channel import Channel, open_channel
from .member import FleetMember
from .sharing import share
from .supervisor import BOARD, LOCK, WorkerPlan

__all__ = ["main"]

log = logging.getLogger("quorate.server")


def main() -> None:
    """The process; its arguments are two inherited sockets and the supervisor's version."""
    connection, listener = (socket.socket(fileno=int(each)) for each in sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner, suppress(asyncio.CancelledError):
        sys.exit(runner.run(_work(connection, listener, sys.argv[3])))


async def _work(connection: socket.socket, listener: socket.socket, version: str) -> int:
    """Serves; the status to exit with."""
    control = _StopControl()
    channel = await open_channel(connection, control.handlers, control.stop_alone)
    try:
        if version != __version__:
            raise QuorateError(
                f"the supervisor is quorate {version}, and a worker that starts now is {__version__}: the package was "
                "replaced meanwhile; restart the server"
            )
        await _serve(channel, control, listener)
    except QuorateError as error:
        channel.tell("fail", str(error))
        channel.close()
        await asyncio.sleep(0)
        return 1
    return 0


async def _serve(channel: Channel, control: _StopControl, listener: socket.socket) -> None:
    index, count, plan, folder = pickle.loads(await channel.call("plan"))
    assert isinstance(plan, WorkerPlan)
    settings = plan.settings
    configure(settings, worker=index, secrets=settings.secrets)
    take_turns(folder / LOCK)
    member = FleetMember(settings)
    member.connect(channel)
    catalog = await plan.open_catalog()
    try:
        share(catalog, index, count)
        context = ServerContext(catalog, settings, member)
        await context.access.state.check()
        control.handlers.update(member.handlers)

        def ready() -> None:
            spare_the_collector()
            channel.tell("ready", list(catalog.models))

        allow_files(4 * settings.max_connections)
        workbench = None if plan.open_workbench is None else plan.open_workbench()
        place = WorkerPlace(index, Board(folder / BOARD, count), listener, channel)
        control.server = WorkerServer(context, ready, workbench, plan.banks, place)
        await control.server.serve(sockets=[])
    finally:
        await catalog.aclose()


@dataclass(frozen=True)
class WorkerPlace:
    """Where a worker stands among the others."""

    index: int
    board: Board
    listener: socket.socket
    channel: Channel


class _StopControl:
    """What the supervisor may have this worker do, from before there is a server."""

    def __init__(self) -> None:
        self.server: WorkerServer | None = None
        self.handlers: dict[str, Callable[..., Any]] = {"stop": self._stop, "halt": self._halt}
        self._task = asyncio.current_task()

    def stop_alone(self) -> None:
        """The supervisor has ended, so that nobody else is there to serve whoever has a connection."""
        if self.server is not None and not self.server.should_exit:
            log.error("the supervisor has ended: this worker finishes what it has, and ends too")
        self._stop(True)

    def _stop(self, last: bool) -> None:
        if self.server is not None:
            self.server.last, self.server.should_exit = last, True
        elif self._task is not None:
            self._task.cancel()

    def _halt(self) -> None:
        if self.server is not None:
            self.server.should_exit = self.server.force_exit = True


class WorkerServer(GracefulServer):
    """A server that shares its listening socket with others."""

    last = True
    """No other worker takes connections any more."""

    def __init__(
        self,
        context: ServerContext,
        on_ready: Callable[[], object],
        workbench: Workbench | None,
        banks: OpenBank,
        place: WorkerPlace,
    ) -> None:
        self._place = place
        self._acceptor: Acceptor | None = None
        self._connecting: set[asyncio.Task[None]] = set()
        super().__init__(context, on_ready, workbench, banks)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`; it takes connections itself."""
        await super().startup(sockets)
        place = self._place
        self._acceptor = Acceptor(place.listener, place.board, place.index, self._take)

    def _make_limits(self) -> BoardLimits:
        settings = self._settings
        most = bound_connections(settings.max_connections)
        return BoardLimits(self._place.board, self._place.index, most, settings.max_connections_per_address)

    def _take(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _stop_listening(self, listeners: Sequence[socket.socket]) -> list[socket.socket]:  # noqa: ARG002
        """What waits is another worker's to take, unless there is none."""
        if self._acceptor is not None:
            self._acceptor.close()
        self._place.channel.tell("quiet")
        return super()._stop_listening([self._place.listener]) if self.last else []

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """SIGTERM is for the supervisor to judge: all may have got it, or this worker alone."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._place.channel.tell, "leaving")
        yield
