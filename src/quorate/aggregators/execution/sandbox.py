"""Untrusted programs in a subprocess, with limits, and where possible cut off from everything.

`Sandbox` uses Linux namespaces (see `jail.py`) and refuses to run anything where it may not make them.
`Unisolated` has the limits alone: such a program can read and write what you can, and use the network.
Neither protects the verdict: a program can know that it is tested and lie. They protect the machine.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from quorate.orchestrator.errors import BadInput

JAIL = Path(__file__).with_name("jail.py")
READY = b"ready\n"
LATE = 3
"""The supervisor's exit status where the program's time was up."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use."""

    seconds: float = 10.0
    memory: int = 512 * 2**20
    """Bytes of address space, of each process."""
    output: int = 2**20
    """Bytes."""
    disk: int = 16 * 2**20
    """Bytes, of one file and of all."""
    processes: int = 1
    """Processes and threads; memory is limited for each of them."""

    def __post_init__(self) -> None:
        for name in ("seconds", "memory", "output", "disk", "processes"):
            if not 0 < getattr(self, name) < 2**62:
                raise BadInput(f"Limits({name}={getattr(self, name)!r}): give a number above 0")


@dataclass(frozen=True)
class Execution:
    """How a program ended and what it wrote."""

    ended: Literal["complete", "time", "output"]
    """By itself (well or not), or at which limit."""
    output: bytes
    """Standard output and error together, cut at the limit."""


class Sandbox:
    """Runs Python programs in isolation, standard library only; Linux 5.12 or later with user namespaces.

    Args:
        limits: of each program.
    """

    isolated = True

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    async def run(self, program: str) -> Execution:
        """One program, from start to end; cancelling kills it.

        Raises:
            BadInput: programs cannot be isolated here; nothing was run.
        """
        with _folder(needed=not self.isolated) as folder:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(JAIL)),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
            try:
                output = await self._output(process, self._job(program, folder))
            finally:
                await _end(process)
        return self._execution(output, process.returncode)

    async def _output(self, process: Process, job: bytes) -> bytes:
        """What the supervisor and then the program write, up to a byte beyond the limit."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(job)
        output, room = b"", len(READY) + self.limits.output
        while len(output) <= room and (piece := await process.stdout.read(2**16)):
            output += piece
        return output[: room + 1]

    def _execution(self, output: bytes, status: int | None) -> Execution:
        if not output.startswith(READY):
            reason = output.decode(errors="replace").strip() or "the supervisor ended without a word"
            raise BadInput(
                f"code is not executed, because it cannot be isolated here ({reason}): allow user namespaces, "
                "or use Unisolated() on a machine that may be lost"
            )
        output = output.removeprefix(READY)
        if len(output) > self.limits.output:
            return Execution("output", output[: self.limits.output])
        return Execution("time" if status == LATE else "complete", output)

    def _job(self, program: str, folder: str) -> bytes:
        limits = self.limits
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        job: dict[str, Any] = {
            "isolated": self.isolated,
            "program": program,
            "python": python,
            "shown": _python_folders(python),
            "folder": folder,
            "seconds": limits.seconds,
            "memory": limits.memory,
            "disk": limits.disk,
            "processes": limits.processes,
        }
        return json.dumps(job).encode() + b"\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.limits})"


class Unisolated(Sandbox):
    """Runs programs with the limits alone. For machines that may be lost: nothing is out of their reach."""

    isolated = False


def _python_folders(python: str) -> list[str]:
    """Folders that Python needs, outermost first, none inside another."""
    wanted = ["/usr", "/bin", "/lib", "/lib64", "/lib32", sys.base_prefix, os.path.dirname(python)]
    shown: list[str] = []
    for path in wanted:
        inside = any(path == s or path.startswith(f"{s}/") for s in shown)
        if not inside and path != "/" and os.path.exists(path):
            shown.append(path)
    return shown


@contextmanager
def _folder(*, needed: bool) -> Iterator[str]:
    """A folder to work in, gone afterwards."""
    if not needed:
        yield ""
        return
    folder = tempfile.mkdtemp(prefix="quorate-run-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _end(process: Process) -> None:
    """Closes the supervisor's input, at which it kills the program, and waits for it, come what may."""
    assert process.stdin is not None
    process.stdin.close()
    waiting = asyncio.ensure_future(_drain(process))
    try:
        await asyncio.shield(waiting)
    finally:
        await waiting


async def _drain(process: Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(2**16):
        pass
    await process.wait()
