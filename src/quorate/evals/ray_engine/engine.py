"""Asking on a Ray cluster: some workers, each with pipelines of its own, and one writer of the bank.

The run itself stays where it was started: it hands out one pipeline's turn at one question at a
time, so order, budgets, progress and results are those of the engine in this process. The writer
lives on the same machine and alone touches the bank's file; workers fetch what is recorded of a
question before they draw, and send every sample as it comes. When a worker dies, Ray starts it anew,
on another machine if need be, and its turns begin again: with what it had sent from the bank, so
only samples in flight are drawn a second time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from quorate.orchestrator.types import Failure, SamplingParams

from ..outcome import Outcome
from .cluster import RETRIES, RayCluster
from .worker import GradingWriter, OpenCatalog, RayWorker, WorkerJob

if TYPE_CHECKING:
    from ..task import Item, Task


class RayEngine:
    """The engine of a Ray cluster.

    Args:
        opens: makes the models on a worker. Keys come from the worker's own environment.
        address: see `RayCluster`.
        workers: how many; one a machine if not given.
        gpus: of each worker, for models in its process.

    Raises:
        BadInput: the number of workers, or the kind of address, is impossible.
    """

    def __init__(
        self, opens: OpenCatalog, *, address: str | None = None, workers: int | None = None, gpus: float = 0.0
    ) -> None:
        self._opens, self._cluster = opens, RayCluster(address, workers, gpus)
        self.breadth = 0
        """See `runner.Engine`."""

    async def open(
        self,
        task: Task,
        pipelines: Sequence[str],
        bank: Path | None,
        *,
        seed: int,
        sampling: SamplingParams | None,
        places: int,
    ) -> Self:
        """Starts writer and workers.

        Args:
            task: says when an answer is right.
            pipelines: what is evaluated.
            bank: its file; without one nothing is kept.
            seed: of the run.
            sampling: settings that the questions are asked with.
            places: for samples in flight, of all workers together.

        Raises:
            MissingExtra: Ray is not installed.
            BadInput: the address leads nowhere.
            NoAnswer: the cluster has no room for the workers.
        """
        count = self._cluster.connect()
        self.breadth = places
        _send_along(type(task).__module__)
        job = WorkerJob(self._opens, task, tuple(pipelines), seed, sampling, max(1, places // count))
        await self._cluster.start((GradingWriter, bank, task), (RayWorker, job), count=count, at_once=places)
        return self

    async def ask(self, name: str, place: int, item: Item) -> Outcome:
        """See `runner.Engine`; the turns of one question go to one worker."""
        found = await self._cluster.ask(place, name, place, item)
        if found is None:
            failure = Failure(code="worker_died", message=f"its worker died {RETRIES + 1} times", status=500)
            return Outcome(pipeline=name, item=item.id, cluster=item.cluster, gold=item.gold, error=failure)
        assert isinstance(found, Outcome)
        return found

    async def aclose(self) -> None:
        """Ends workers and writer, the bank last, and a cluster that was started here."""
        await self._cluster.aclose()


def _send_along(module: str) -> None:
    """A task from a file of the user's own is known to no worker: its code travels with it."""
    from importlib.machinery import PathFinder

    from ray import cloudpickle

    package = module.partition(".")[0]
    if package != "__main__" and PathFinder.find_spec(package) is None:
        cloudpickle.register_pickle_by_value(sys.modules[module])
