"""Processes that compute with expressions: one that is ready, and the children that it forks in milliseconds.

Sockets, not asyncio's subprocesses: a process started by one event loop is of no use to another, and a server and
`answer_sync` share these.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from pathlib import Path

__all__ = ["Child", "Gone", "Nursery"]

STARTUP_SECONDS = 60.0
MAX_FAILED_STARTS = 3
"""In a row; after them no process is started any more."""
PATIENCE = 120.0
"""Seconds for one answer, however busy the machine is."""
_SCRIPT = Path(__file__).with_name("worker.py")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "VIRTUAL_ENV", "HOME", "TMPDIR")


class Gone(Exception):
    """A process ended, or never began."""


class _Parent:
    """A running process that has the algebra loaded."""

    def __init__(self, seconds: float, memory: int) -> None:
        self._owner = os.getpid()
        self.control, theirs = socket.socketpair()
        self.control.settimeout(STARTUP_SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT), str(memory), str(seconds)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        try:
            if self.control.recv(16) != b"ready\n":
                raise Gone("the algebra process did not start")
        except (OSError, Gone):
            self.end()
            raise

    def end(self) -> None:
        """Ends the process at once, and waits for its end; in a forked program it is another's to end."""
        self.control.close()
        if os.getpid() == self._owner:
            self.process.kill()
            self.process.wait()


class Nursery:
    """Where children come from; its process starts at the first request, and again where it has died.

    Args:
        seconds: of a processor that a child may take for one answer.
        memory: address space of each process, in bytes.
    """

    def __init__(self, seconds: float, memory: int) -> None:
        self._seconds, self._memory = seconds, memory
        self._lock = threading.Lock()
        self._running: list[_Parent] = []
        self._failed_starts = 0
        weakref.finalize(self, _end_all, self._running)

    async def fork(self) -> Child:
        """A child that waits for its first question.

        Raises:
            Gone: there is none to be had.
        """
        parent = self._running[0] if self._running else await asyncio.to_thread(self._start)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(parent.control, [b"\n"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                self.close()
                raise Gone(f"the algebra process has gone: {error}") from error
        return Child(ours, parent)

    def _start(self) -> _Parent:
        with self._lock:
            if self._running:
                return self._running[0]
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise Gone("the algebra process never started")
            self._failed_starts += 1
            try:
                self._running.append(_Parent(self._seconds, self._memory))
            except OSError as error:
                raise Gone(f"the algebra process did not start: {error}") from error
            self._failed_starts = 0
            return self._running[0]

    def close(self) -> None:
        """Ends the process; children that compute are let end. The next request starts it again."""
        _end_all(self._running)


class Child:
    """One process that answers one question at a time."""

    def __init__(self, asked: socket.socket, parent: _Parent) -> None:
        self._socket, self._parent = asked, parent
        asked.setblocking(False)

    async def ask(self, answers: tuple[str, ...]) -> bool | None:
        """See `worker.reply`.

        Raises:
            Gone: it has ended: it computed for longer than it may, or something ended it.
        """
        loop, said = asyncio.get_running_loop(), b""
        try:
            async with asyncio.timeout(PATIENCE):
                await loop.sock_sendall(self._socket, f"{json.dumps(answers)}\n".encode())
                while not said.endswith(b"\n"):
                    if not (more := await loop.sock_recv(self._socket, 64)):
                        raise Gone("a child of the algebra process has ended")
                    said += more
        except OSError as error:
            raise Gone(f"a child of the algebra process: {error}") from error
        reply: bool | None = json.loads(said)
        return reply

    @property
    def orphan(self) -> bool:
        """Its parent was closed, so it should end, too."""
        return self._parent.control.fileno() < 0

    def close(self) -> None:
        """Ends it: at once where it waits, else when its time is up."""
        self._socket.close()


def _end_all(running: list[_Parent]) -> None:
    while running:
        running.pop().end()
