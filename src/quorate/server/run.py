"""Runs the server with uvicorn, on a socket that we bind ourselves so that its errors and its port are ours to tell."""

from __future__ import annotations

import asyncio
import errno
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import uvicorn

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import BadInput, QuorateError

from .app import make_app
from .context import ServerContext
from .files.runner import OpenBank, forget
from .http.connection_limits import ConnectionLimits
from .workbench import Workbench

__all__ = [
    "GracefulServer",
    "allow_files",
    "bind",
    "bound_connections",
    "copy_listener",
    "find_url",
    "loop_factory",
    "run_server",
    "serve",
    "spare_the_collector",
]

BACKLOG = 2048
ACCEPTING = 8
"""Connections that are taken in one turn of the event loop: uvloop takes one of each socket that listens."""
REPLY_SECONDS = 2.0
"""Seconds that replies have to be sent in after what still ran was stopped."""


async def serve(
    catalog: Catalog,
    settings: ServerSettings | None = None,
    *,
    workbench: Workbench | None = None,
    banks: OpenBank = forget,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM; requests in flight get `shutdown_seconds` to end.

    Args:
        catalog: models and pipelines.
        settings: where it listens, whom it lets in, what it allows.
        workbench: see `create_app`.
        banks: see `create_app`.
        on_ready: is told the server's URL once it answers.

    Raises:
        BadInput: the address cannot be listened on, such as a port in use, or would be open to strangers.
    """
    settings = settings or ServerSettings()
    _require_one(settings)
    with bind(settings) as listener, copy_listener(listener) as listeners:

        def ready() -> None:
            if on_ready is not None:
                on_ready(find_url(listener))

        allow_files(4 * settings.max_connections)
        context = ServerContext(catalog, settings)
        await context.access.state.check()
        await GracefulServer(context, ready, workbench, banks).serve(sockets=listeners)


@asynccontextmanager
async def run_server(
    catalog: Catalog,
    settings: ServerSettings | None = None,
    *,
    workbench: Workbench | None = None,
    banks: OpenBank = forget,
) -> AsyncGenerator[str, None]:
    """The same inside a program or a test: yields the URL, stops at the end; a free port unless told otherwise.

    Raises:
        BadInput: the address cannot be listened on.
    """
    settings = settings or ServerSettings(port=0)
    _require_one(settings)
    ready = asyncio.Event()
    with bind(settings) as listener, copy_listener(listener) as listeners:
        context = ServerContext(catalog, settings)
        await context.access.state.check()
        server = _QuietServer(context, ready.set, workbench, banks)
        serving = asyncio.create_task(server.serve(sockets=listeners))
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait((serving, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not ready.is_set():
                raise QuorateError("the server ended before it was ready")
            yield find_url(listener)
        finally:
            waiting.cancel()
            server.should_exit = True
            await serving


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which ends without losing a request.

    Args:
        context: what it serves.
        on_ready: is told when it answers.
        workbench: see `create_app`.
        banks: see `create_app`.

    Raises:
        BadInput: settings that cannot be used.
    """

    def __init__(
        self, context: ServerContext, on_ready: Callable[[], object], workbench: Workbench | None, banks: OpenBank
    ) -> None:
        settings = self._settings = context.settings
        self._access = context.access
        context.telemetry.bind()
        super().__init__(
            uvicorn.Config(
                make_app(context, local=not (settings.keys or settings.open), workbench=workbench, banks=banks),
                http=_choose_protocol(self._make_limits()),
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,  # no route looks at the client's address
                server_header=False,
                lifespan="on",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds + REPLY_SECONDS)),
                backlog=BACKLOG,
            )
        )
        self._on_ready = on_ready

    def _make_limits(self) -> ConnectionLimits:
        settings = self._settings
        return ConnectionLimits(bound_connections(settings.max_connections), settings.max_connections_per_address)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        await super().startup(sockets=sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        self._access.draining = True
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.drain_seconds
        while not self.force_exit and loop.time() < end:  # noqa: ASYNC110  a signal sets it
            await asyncio.sleep(0.05)
        end_of_all = loop.call_later(
            self._settings.shutdown_seconds, self._access.switch.trigger, "the server is shutting down"
        )
        last = self._stop_listening(sockets or [])
        await asyncio.gather(super().shutdown(sockets), *(self._serve_last(each) for each in last))
        end_of_all.cancel()

    def _stop_listening(self, listeners: Sequence[socket.socket]) -> list[socket.socket]:
        """The connections that the system has made already and nobody has looked at: closing would reset them."""
        last: list[socket.socket] = []
        for listener in listeners[:1]:
            listener.setblocking(False)
            with suppress(OSError):  # there are no more
                while True:
                    last.append(listener.accept()[0])
            with suppress(OSError):  # stopped already
                listener.shutdown(socket.SHUT_RDWR)
        return last

    async def _serve_last(self, connection: socket.socket) -> None:
        await self._connect(connection)
        for each in list(self.server_state.connections):
            each.shutdown()

    async def _connect(self, connection: socket.socket) -> None:
        """Serves an accepted connection."""
        loop = asyncio.get_running_loop()
        connection.setblocking(False)

        make = partial(  # as uvicorn does it
            self.config.http_protocol_class,
            config=self.config,  # type: ignore[call-arg]
            server_state=self.server_state,
            app_state=self.lifespan.state,
            _loop=loop,
        )
        await loop.connect_accepted_socket(make, connection)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """A SIGTERM that was followed to the end is a success, not a death by signal."""
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals = [number for number in self._captured_signals if number != signal.SIGTERM]


class _QuietServer(GracefulServer):
    """Leaves signals to the program around it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def allow_files(wanted: int) -> None:
    """Lets this process have so many files open, as far as the system does; the usual 1,024 are few for a server."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _choose_protocol(limits: ConnectionLimits) -> Any:
    """What uvicorn shall speak HTTP with: its fast protocol, within bounds; its own choice where that is missing."""
    try:
        from .http.protocol import GuardedProtocol
    except ImportError:  # Windows, PyPy
        return "auto"
    return partial(GuardedProtocol, limits)


def bound_connections(connections: int) -> int:
    """No more than half of the files that may be open, so that idle clients cannot take those of calls to upstreams."""
    if resource is None:
        return connections
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, soft // 2))


def _require_one(settings: ServerSettings) -> None:
    if settings.workers != 1:
        raise BadInput(
            f"workers={settings.workers!r}, but this is one process: `quorate serve` starts workers, and so does "
            "quorate.server.workers.supervisor.serve_workers"
        )


def bind(settings: ServerSettings) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        BadInput: it cannot be listened on, such as a port in use, or would be open to strangers.
    """
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        _require_keys(settings, str(address[0]))
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(
                f"port {port} of {host} is in use: choose another one (--port; 0 takes a free one)"
            ) from None
        raise BadInput(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


@contextmanager
def copy_listener(listener: socket.socket) -> Generator[list[socket.socket], None, None]:
    """One address, several times over; see `ACCEPTING`."""
    with ExitStack() as stack:
        again = 0 if sys.platform == "win32" else ACCEPTING - 1
        yield [stack.enter_context(each) for each in (listener, *(listener.dup() for _ in range(again)))]


def _require_keys(settings: ServerSettings, address: str) -> None:
    if settings.keys or settings.open or ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return
    raise BadInput(
        f"on {settings.host} without API keys anyone who can reach this machine could spend your tokens: give keys "
        "(server.keys in quorate.yaml, `quorate key NAME` makes one; or QUORATE_API_KEYS), or say --open"
    )


def find_url(listener: socket.socket) -> str:
    """Where a client on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: it halves what the event loop costs a request."""
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return None
    return uvloop.new_event_loop


def spare_the_collector() -> None:
    """Keeps what was loaded out of Python's search for unreachable cycles, and has it search seldom.

    Requests that succeed leave no cycles behind (tests/server/test_memory.py); those that fail leave their errors'
    tracebacks, some hundred objects each. Searching every 20,000 objects, old ones too, took a fifth of a vote's CPU
    and held up all that streamed at the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 2, 1)
