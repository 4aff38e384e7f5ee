"""One writer of a bank and some workers on a Ray cluster, called until they answer.

The writer lives on the machine where the run was started and alone touches the bank's file. When a worker dies, Ray
starts it anew, on another machine if need be, and its calls begin again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any
from uuid import uuid4

from quorate.orchestrator.errors import BadInput, MissingExtra, NoAnswer

from .worker import RemoteError

READY = 300.0
"""Seconds that the cluster has to start the workers."""
LISTENING = 10.0
"""Seconds that an address has to take a connection."""
CLOSING = 10.0
"""Seconds that workers have to close what they opened."""
RETRIES = 3
"""Times that a call begins again after its worker died; then it is what kills it."""


class RayCluster:
    """Where workers run.

    Args:
        address: `HOST:PORT` or `auto`; without one the cluster that this process is connected to, or that
            RAY_ADDRESS names, or else a local one is started, and stopped at the end.
        workers: how many; one a machine if not given.
        gpus: of each worker, for models in its process.

    Raises:
        MissingExtra: Ray is not installed.
        BadInput: the address leads nowhere, or the number of workers is impossible.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, gpus: float = 0.0) -> None:
        if workers is not None and workers < 1:
            raise BadInput(f"workers={workers}: a cluster needs at least 1")
        if address is not None and address.startswith("ray://"):
            raise BadInput(
                f"--ray-address {address}: the bank's writer must run where the run was started, which a Ray client "
                "cannot do; start it on a machine of the cluster (--ray-address auto), or by `ray job submit`"
            )
        # Without an address Ray itself joins whatever cluster was last started on this machine.
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._count, self._gpus = workers, gpus
        self._ours = False
        self._writer: Any = None
        self._workers: list[Any] = []
        self._again: list[asyncio.Lock] = []
        """Held, of each worker, by the call that begins again."""

    def connect(self) -> int:
        """Connects to the cluster; how many workers there will be.

        Raises:
            MissingExtra: Ray is not installed.
            BadInput: the address leads nowhere.
        """
        ray = self._connect()
        return self._count or max(1, sum(node["Alive"] for node in ray.nodes()))

    async def start(self, writer: tuple[Any, ...], worker: tuple[Any, ...], *, count: int, at_once: int) -> None:
        """Starts a writer and workers.

        Args:
            writer: its class and what it is made from.
            worker: the same; it gets the writer's name beside that.
            count: of workers.
            at_once: calls of each.

        Raises:
            NoAnswer: the cluster has no room for them.
        """
        import ray

        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        # No restart: what a second writer would not know, the first had not written.
        name = f"quorate-writer-{uuid4().hex}"
        kind, *given = writer
        self._writer = ray.remote(kind).options(name=name, num_cpus=0, scheduling_strategy=here).remote(*given)
        kind, *given = worker
        placed = ray.remote(kind).options(
            num_cpus=1,
            num_gpus=self._gpus,
            scheduling_strategy="SPREAD",
            max_concurrency=at_once + 8,
            max_restarts=-1,
        )
        self._workers = [placed.remote(*given, name) for _ in range(count)]
        self._again = [asyncio.Lock() for _ in range(count)]
        await self._await_workers(count)

    async def ask(self, place: int, *given: Any) -> Any:
        """What a worker says to this; calls of one place go to one worker. None where it died again and again.

        A call whose worker died begins again when the worker is back, one such call at a time: so what kills
        workers is found out, and takes no other call with it more than once or twice.
        """
        number = place % len(self._workers)
        first = await self._await_turn(self._workers[number].ask.remote(*given))
        if first is not None:
            return first
        async with self._again[number]:
            for _ in range(RETRIES):
                await self._await_revival(self._workers[number])
                found = await self._await_turn(self._workers[number].ask.remote(*given))
                if found is not None:
                    return found
        return None

    async def _await_turn(self, turn: Any) -> Any:
        """What a turn gives; None where its worker died."""
        import ray

        try:
            found = await turn
        except asyncio.CancelledError:
            ray.cancel(turn)
            raise
        except ray.exceptions.RayActorError:
            return None
        if isinstance(found, RemoteError):
            raise found.error()
        return found

    async def _await_revival(self, worker: Any) -> None:
        """Waits until a worker that died is back."""
        import ray

        try:
            async with asyncio.timeout(READY):
                while True:
                    try:
                        await worker.ready.remote()
                        return
                    except ray.exceptions.RayActorError:
                        await asyncio.sleep(0.5)
        except TimeoutError:
            raise NoAnswer(f"a worker died, and the Ray cluster started no other in {READY:.0f} s") from None

    async def aclose(self) -> None:
        """Ends workers and writer, the bank last, and a cluster that was started here."""
        import ray

        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await asyncio.gather(*(w.close.remote() for w in self._workers), return_exceptions=True)
        for worker in self._workers:
            ray.kill(worker)
        if self._writer is not None:
            with suppress(ray.exceptions.RayError):
                await self._writer.close.remote()
            ray.kill(self._writer)
        self._workers, self._writer = [], None
        if self._ours:
            ray.shutdown()
            self._ours = False

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
            import ray.util.scheduling_strategies
        except ImportError:
            raise MissingExtra("ray", "--engine ray") from None
        if ray.is_initialized():
            return ray
        local = {"include_dashboard": False} if self._address == "local" else {}
        _check(self._address)
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level="ERROR", **local)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = next(iter(str(error).splitlines()), "")
            raise BadInput(f"--ray-address {self._address}: no Ray cluster answers: {first}") from error
        self._ours = True
        return ray

    async def _await_workers(self, count: int) -> None:
        import ray

        try:
            async with asyncio.timeout(READY):
                told = await asyncio.gather(*(worker.ready.remote() for worker in self._workers))
        except TimeoutError:
            free = ray.cluster_resources()
            raise NoAnswer(
                f"the Ray cluster did not start {count} workers in {READY:.0f} s: it has {free.get('CPU', 0):g} CPUs, "
                f"{free.get('GPU', 0):g} GPUs, and each worker takes 1 CPU and {self._gpus:g} GPUs (--ray-workers)"
            ) from None
        except ray.exceptions.RayError as error:
            raise NoAnswer(f"a worker could not start: {str(error).strip().splitlines()[-1]}") from error
        for refused in told:
            if isinstance(refused, RemoteError):
                raise refused.error()


def _check(address: str) -> None:
    """Whether somebody answers there at all; Ray itself looks for minutes.

    Raises:
        BadInput: nobody does.
    """
    if address in {"auto", "local"}:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=LISTENING).close()
    except (OSError, ValueError) as error:
        raise BadInput(f"--ray-address {address}: no Ray cluster answers: {error}") from error
