"""The base of benchmarks that are judged by running programs."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import os
from functools import cached_property
from weakref import WeakKeyDictionary

from quorate.aggregators.equivalence import SameText
from quorate.aggregators.execution import Limits, Sandbox, run_tests
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Equivalence

from .benchmark import Benchmark
from .rows import DataRow

__all__ = ["Executed"]

SECONDS = 10.0
"""For one program and its tests."""


class Executed(Benchmark):
    """Programs run in the sandbox of `aggregators.execution`: limits of time, memory and files, no network.

    Where programs cannot be isolated nothing is run, which `prepare` says before anything is sampled.
    """

    needs = ("isolation",)

    @cached_property
    def equivalence(self) -> Equivalence:
        """Programs are the same if their text is."""
        return SameText()

    @cached_property
    def sandbox(self) -> Sandbox:
        """What programs run in."""
        return Sandbox(Limits(seconds=SECONDS + 5))

    async def prepare(self) -> None:
        """See `Task.prepare`."""
        if not await run_tests("x = 1", ["assert x == 1"], self.sandbox, seconds=SECONDS):
            raise BadInput(f"task {self.name!r} runs programs in a sandbox, and a trivial one did not pass here")

    async def passes(self, code: str, test: str) -> bool:
        """Whether a test passes; the same question is answered once.

        Raises:
            BadInput: programs cannot be isolated here.
        """
        key = hashlib.sha256(f"{len(code)} {code} {test}".encode(errors="replace")).digest()
        if key not in self._verdicts:
            async with self._limit():
                self._verdicts[key] = bool(await run_tests(code, [test], self.sandbox, seconds=SECONDS))
        return self._verdicts[key]

    def check_python(self, row: DataRow, field: str, code: str) -> None:
        """Checks that a field is Python.

        Raises:
            DataError: it is not.
        """
        try:
            ast.parse(code)
        except (SyntaxError, ValueError) as error:
            raise row.fault(field, f"is no Python ({error}): correct the row or leave it out") from None

    @cached_property
    def _verdicts(self) -> dict[bytes, bool]:
        return {}

    @cached_property
    def _limits(self) -> WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]:
        return WeakKeyDictionary()

    def _limit(self) -> asyncio.Semaphore:
        """As many programs at once as there are processors, in each event loop."""
        return self._limits.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(os.cpu_count() or 1))
