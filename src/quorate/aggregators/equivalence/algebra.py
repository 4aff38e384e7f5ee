"""What computer algebra says of two answers, remembered, and asked only where it can be killed.

`9^{9^{9}}` would keep it busy for ever; so it lives in `worker`, in processes that can be asked from any thread and
event loop, and killed at any moment. Plain pipes and threads, not asyncio's: a process started by one event loop is of
no use to another, and a server and `answer_sync` share these workers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO

__all__ = ["Algebra", "Timeout", "Worker", "WorkerPool", "shared_algebra"]

log = logging.getLogger("quorate")

REMEMBERED = 16_384
SECONDS = 1.0
"""For one request; the slowest honest ones take a tenth of it."""
MEMORY = 1 << 30
"""Address space of a worker, in bytes."""
STARTUP_SECONDS = 60.0
MAX_FAILED_STARTS = 3
"""In a row; after them the worker is given up."""
_SCRIPT = Path(__file__).with_name("worker.py")
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "VIRTUAL_ENV", "HOME", "TMPDIR")


class Algebra:
    """Equivalence of two expressions in TeX, by computer algebra; usable from several event loops.

    None stands for what took longer than the pool allows, or took its worker down.
    """

    def __init__(self, pool: WorkerPool | None = None) -> None:
        self.pool = pool or WorkerPool()
        self._replies: dict[tuple[str, ...], bool | None] = {}
        self._lock = threading.Lock()

    async def comparable(self, answer: str) -> bool | None:
        """Whether algebra can read an answer and compare it with another."""
        return await self._reply(answer)

    async def same(self, a: str, b: str) -> bool | None:
        """Whether algebra finds two answers equivalent, in either direction."""
        return await self._reply(*sorted((a, b)))

    async def _reply(self, *asked: str) -> bool | None:
        with self._lock:
            if asked in self._replies:
                return self._replies[asked]
        reply = await self.pool.ask(*asked)
        with self._lock:
            while len(self._replies) >= REMEMBERED:
                del self._replies[next(iter(self._replies))]
            self._replies[asked] = reply
        return reply

    async def aclose(self) -> None:
        """Ends the worker; the next question starts it again."""
        await self.pool.aclose()


def shared_algebra() -> Algebra:
    """The one of this process: pipelines share its worker and what it has learned."""
    return _algebra_of(os.getpid())


@cache
def _algebra_of(process: int) -> Algebra:  # noqa: ARG001 - the key of the cache
    """A forked process gets its own, for it has none of the threads and must not use its parent's pipes."""
    return Algebra()


class Timeout(Exception):
    """A worker did not reply in time, or died; it has been killed."""


class Worker:
    """One process, started at the first request and again after it was killed. Not for two threads at once."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self.seconds, self.memory = seconds, memory
        self._process: subprocess.Popen[str] | None = None
        self._owner = os.getpid()
        self._failed_starts = 0

    def ask(self, answers: list[str]) -> bool:
        """See `worker`.

        Raises:
            Timeout: no reply in time; the next request starts a new process.
        """
        try:
            process = self._process if self._process is not None else self._start()
            requests, _ = _pipes(process)
            requests.write(json.dumps(answers) + "\n")
            requests.flush()
            return self._line(process, self.seconds) == "true"
        except (OSError, ValueError) as error:
            self.kill()
            raise Timeout(f"the worker is gone: {error}") from error

    def kill(self) -> None:
        """Ends the process at once, and waits for its end."""
        process, self._process = self._process, None  # in a forked child it is the parent's to kill
        if process is None or os.getpid() != self._owner:
            return
        process.kill()
        for pipe in _pipes(process):
            try:
                pipe.close()
            except OSError as error:
                log.debug("a killed worker's pipe: %s", error)
        process.wait()

    def _start(self) -> subprocess.Popen[str]:
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise OSError("it never started")
        self._failed_starts += 1
        alarm = max(2, round(2 * self.seconds))
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self.memory), str(alarm)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        if self._line(self._process, STARTUP_SECONDS) != "ready":
            raise OSError("it did not start")
        self._failed_starts = 0
        return self._process

    def _line(self, process: subprocess.Popen[str], seconds: float) -> str:
        """The next line of a process that writes one line a request."""
        _, replies = _pipes(process)
        poll = select.poll()
        poll.register(replies, select.POLLIN)
        if not poll.poll(seconds * 1000):
            self.kill()
            raise Timeout(f"no reply within {seconds:g} s")
        line = replies.readline()
        if not line:
            raise OSError("it ended")
        return line.strip()


class WorkerPool:
    """A few workers, asked from coroutines of any event loop."""

    def __init__(self, workers: int = 1, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._workers = [Worker(seconds, memory) for _ in range(workers)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._closing = threading.Lock()
        weakref.finalize(self, _kill_all, self._workers)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="quorate-equivalence")
        self.timeouts = 0
        """Requests that were cut off."""

    async def ask(self, *answers: str) -> bool | None:
        """Whether one answer can be read, or two are equivalent; None if that took too long."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, list(answers))

    def _ask(self, answers: list[str]) -> bool | None:
        worker, started = self._idle.get(), time.monotonic()
        try:
            return worker.ask(answers)
        except Timeout as timeout:
            self.timeouts += 1
            log.debug("equivalence of %r after %.1f s: %s", answers, time.monotonic() - started, timeout)
            return None
        finally:
            self._idle.put(worker)

    async def aclose(self) -> None:
        """Ends the processes when their present requests are through; the next request starts them again.

        Needs no thread, for it also runs while the interpreter shuts down, when none can be started.
        """
        if not self._closing.acquire(blocking=False):
            return
        taken: list[Worker] = []
        try:
            while len(taken) < len(self._workers):
                try:
                    taken.append(self._idle.get_nowait())
                except queue.Empty:
                    await asyncio.sleep(0.01)
            _kill_all(taken)
        finally:
            for worker in taken:
                self._idle.put(worker)
            self._closing.release()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _kill_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.kill()
