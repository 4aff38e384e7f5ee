"""`quorate serve` with workers as a process of its own, and workers of a hub within this one."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

import quorate
from quorate.config.server_settings import ServerSettings
from quorate.server.workers.channel import Channel, open_channel
from quorate.server.workers.hub import Session, WorkerHub
from quorate.server.workers.member import FleetMember

__all__ = ["RunningWorkers", "fresh_client", "join", "run_workers"]

SOURCE = str(Path(quorate.__file__).parents[1])
MAIN = "from quorate.cli import main; main()"


class RunningWorkers:
    """The server.

    Args:
        process: of the supervisor.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.lines: list[dict[str, Any]] = []
        """Of the log."""
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when it serves."""
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(ready))
        await asyncio.wait_for(ready.wait(), 60)
        assert self.url, self.lines

    @property
    def workers(self) -> list[int]:
        """The worker processes, in the order in which they began."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(int(each) for each in text.split())

    def exists(self, worker: int) -> bool:
        """Whether a process is there."""
        return Path(f"/proc/{worker}/cmdline").exists()

    def answered_by(self) -> dict[int, int]:
        """How many chat requests each worker has logged, by its index."""
        found: dict[int, int] = {}
        for line in self.lines:
            if line.get("route") == "/v1/chat/completions":
                found[line["worker"]] = found.get(line["worker"], 0) + 1
        return found

    async def end(self) -> int:
        """Its status, once it has ended."""
        status = await asyncio.wait_for(self.process.wait(), 30)
        if self._reading is not None:
            await self._reading
        return status

    async def _read(self, ready: asyncio.Event) -> None:
        assert self.process.stderr is not None
        async for text in self.process.stderr:
            line = json.loads(text) if text.startswith(b"{") else {"event": text.decode()}
            self.lines.append(line)
            if "url" in line:
                self.url = line["url"]
                ready.set()
        ready.set()


@asynccontextmanager
async def run_workers(
    folder: Path, upstream: str, *options: str, workers: int = 2, models: Sequence[str] = ("m",), **server: Any
) -> AsyncGenerator[RunningWorkers, None]:
    """`quorate serve --workers N` over an upstream, once all of them serve."""
    config = folder / "quorate.yaml"
    entries = {name: {"base_url": upstream, "model": name} for name in models}
    config.write_text(json.dumps({"models": entries, "server": {"port": 0, "log_format": "json", **server}}))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MAIN, "serve", "--config", str(config), "--workers", str(workers), *options),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    running = RunningWorkers(process)
    try:
        await running.start()
        yield running
    finally:
        if process.returncode is None and running.url:
            process.terminate()
        await running.end()


@asynccontextmanager
async def fresh_client(url: str, **settings: Any) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client with a connection for each request, so that every worker gets some."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30, **settings) as client:
        yield client


@asynccontextmanager
async def join(hub: WorkerHub, settings: ServerSettings) -> AsyncGenerator[tuple[FleetMember, Channel], None]:
    """A worker of a hub, and the hub's end of its channel."""
    ours, theirs = socket.socketpair()
    session, member = Session(hub, 0, b"plan"), FleetMember(settings)
    session.channel = await open_channel(ours, session.handlers, session.give_back)
    member.connect(await open_channel(theirs, member.handlers))
    try:
        yield member, session.channel
    finally:
        session.channel.close()
        await asyncio.sleep(0.01)
