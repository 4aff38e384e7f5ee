"""Servers in processes of their own, and what Linux tells of them in /proc."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

__all__ = ["Footprint", "announce", "cpu", "footprint", "free_port", "mock", "quorate", "wait_for"]

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def announce(
    handler: Handler, *, around: Callable[[], AbstractAsyncContextManager[None]] = nothing, fast: bool = False
) -> None:
    """Serves on a free port of loopback and prints the port; `fast` where it must not be what is measured."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except ConnectionError:  # the client has left
            return web.Response()

    async def run() -> None:
        async with around():
            runner = web.ServerRunner(web.Server(answer))
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
            print(runner.addresses[0][1], flush=True)
            await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop if fast else None) as runner:
        runner.run(run())


@contextmanager
def mock(module: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """A module of this package as a server: its URL and its process."""
    command = [sys.executable, "-m", f"serving.{module}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid
        finally:
            process.terminate()


@contextmanager
def quorate(config: Path, port: int, checkout: Path = ROOT) -> Iterator[tuple[str, int]]:
    """`quorate serve`, ready; its code is that of a checkout of the repository, its libraries are ours."""
    scripts = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["quorate"].partition(":")
    command = [sys.executable, "-c", f"from {module} import {function}; {function}()"]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    arguments = ["serve", "--config", str(config), "--port", str(port)]
    with subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", process)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[Any], patience: float = 60) -> None:
    """Returns when a server answers 200 under this URL."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it was ready")
        with suppress(OSError), urllib.request.urlopen(url, timeout=1) as reply:
            if reply.status == 200:
                return
        time.sleep(0.005)
    raise TimeoutError(url)


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    return sum(_own_cpu(each) for each in _family(pid))


@dataclass(frozen=True)
class Footprint:
    """What a process and its children hold."""

    resident: int
    """Bytes."""
    sockets: int
    files: int


def footprint(pid: int) -> Footprint:
    resident = sockets = files = 0
    for each in _family(pid):
        with suppress(OSError):
            resident += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * PAGE
            for descriptor in os.listdir(f"/proc/{each}/fd"):
                files += 1
                with suppress(OSError):
                    sockets += os.readlink(f"/proc/{each}/fd/{descriptor}").startswith("socket:")
    return Footprint(resident, sockets, files)


def _family(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            children += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return [pid, *(grandchild for child in children for grandchild in _family(child))]


def _own_cpu(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK
    return 0.0
