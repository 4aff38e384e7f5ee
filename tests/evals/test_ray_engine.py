"""A real Ray cluster of several node processes gives what one process gives, and survives its workers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from quorate.config.catalog import Catalog
from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.ray_engine import RayEngine
from quorate.evals.report import EvalResult
from quorate.evals.run import Answered, EvalSpec, Progress, run_eval
from quorate.orchestrator.errors import BadInput, NoAnswer, QuorateError, Unreachable
from quorate.orchestrator.types import Question
from tests.evals.fakes import Guesser, Sums, catalog

NAMES = ("m", "majority@8/m", "adaptive-consistency@12/m")
LIMIT = 24
SMALL = 80 * 2**20
"""Bytes of a node's object store."""


class Nodes:
    """A head, where runs are started and which takes no workers, and nodes that come and go."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as LocalCluster

        head = {"num_cpus": 0, "object_store_memory": SMALL, "include_dashboard": False}
        self.cluster = LocalCluster(initialize_head=True, head_node_args=head)
        self.workers = [self.add() for _ in range(2)]
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level="ERROR")

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=2, object_store_memory=SMALL)

    def close(self) -> None:
        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else workers starve beside other tests
        started = Nodes()
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


async def opened(log: Path | None = None, deadly: str = "", once: Path | None = None, pause: float = 0.0) -> Catalog:
    """The models on a worker, which dies when it draws a second sample of the question that is deadly."""

    def fails(question: Question, index: int) -> QuorateError | None:
        if deadly == "unreachable":
            return Unreachable("m: no connection")
        if deadly and question.text == deadly and index and not (once and once.exists()):
            if once is not None:
                once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return None

    return catalog(Guesser(log=log, fails=fails, pause=pause))


async def refused() -> Catalog:
    raise BadInput("no models here")


async def evaluated(cluster: RayEngine | None, out: Path | None = None, **more: Any) -> EvalResult:
    models = catalog(Guesser())
    on_progress = more.pop("on_progress", None)
    spec = EvalSpec("sums", pipelines=NAMES, limit=LIMIT, out=out, **more)
    return await run_eval(models, spec, engine=cluster, on_progress=on_progress)


def figures(result: EvalResult) -> list[Any]:
    return [p.model_dump(exclude={"spent", "seconds"}) for p in result.pipelines]


def samples(folder: Path) -> list[str]:
    with Bank(folder) as bank:
        return sorted(s.model_dump_json(exclude={"candidate": {"usage", "prompt_counted"}}) for s in bank)


def graded(folder: Path) -> list[Any]:
    with Bank(folder) as bank:
        return sorted((s.item, s.correct) for s in bank.sets("sums"))


async def test_an_address_where_nobody_answers_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the address in it. (Before the other tests, since this process must not belong to a cluster yet.)"""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(BadInput, match=r"--ray-address 127\.0\.0\.1:1"):
        await evaluated(RayEngine(opened, address="127.0.0.1:1"))


@pytest.mark.slow
async def test_results_and_bank_are_those_of_one_process(nodes: Nodes, tmp_path: Path) -> None:
    """The same figures, samples and grades; a second run draws nothing, on the cluster or here."""
    log = tmp_path / "log"
    here = await evaluated(None, tmp_path / "here")
    there = await evaluated(RayEngine(partial(opened, log), workers=3), tmp_path / "there")
    assert figures(there) == figures(here)
    assert [p.spent for p in there.pipelines] == [p.spent for p in here.pipelines]
    assert samples(tmp_path / "there") == samples(tmp_path / "here")
    assert graded(tmp_path / "there") == graded(tmp_path / "here")
    drawn = log.read_text().splitlines()
    assert len(drawn) == len(set(drawn)) == len(samples(tmp_path / "here"))
    again = await evaluated(RayEngine(partial(opened, log), workers=2), tmp_path / "there")
    assert figures(again) == figures(here)
    assert log.read_text().splitlines() == drawn


@pytest.mark.slow
async def test_a_killed_worker_costs_only_its_samples_in_flight(nodes: Nodes, tmp_path: Path) -> None:
    """It starts anew, and bank and results are those of an undisturbed run, nothing twice."""
    log = tmp_path / "log"
    here = await evaluated(None, tmp_path / "here")
    opens = partial(opened, log, "What is 9 + 9?", tmp_path / "killed", 0.001)
    there = await evaluated(RayEngine(opens, workers=2), tmp_path / "there", concurrency=32)
    assert (tmp_path / "killed").exists()
    assert figures(there) == figures(here)
    assert samples(tmp_path / "there") == samples(tmp_path / "here")
    drawn = Counter(log.read_text().splitlines())
    twice = [sample for sample, times in drawn.items() if times > 1]
    assert len(drawn) == len(samples(tmp_path / "here"))
    assert len(twice) <= 16, "no more than were in flight on that worker"


@pytest.mark.slow
async def test_a_lost_machine_is_replaced_by_another(nodes: Nodes, tmp_path: Path) -> None:
    """Its workers move on; the run ends as if nothing had been."""
    here = await evaluated(None, tmp_path / "here")
    lost = asyncio.Event()

    def note(progress: Progress) -> None:
        if isinstance(progress, Answered) and progress.done == 3:
            lost.set()

    async def lose() -> None:
        await lost.wait()
        await asyncio.to_thread(nodes.cluster.remove_node, nodes.workers.pop(0), allow_graceful=False)

    nodes.workers.append(nodes.add())
    losing = asyncio.create_task(lose())
    cluster = RayEngine(partial(opened, pause=0.02), workers=2)
    there = await evaluated(cluster, tmp_path / "there", concurrency=8, on_progress=note)
    await losing
    assert figures(there) == figures(here)
    assert samples(tmp_path / "there") == samples(tmp_path / "here")


@pytest.mark.slow
async def test_a_question_that_kills_every_worker_is_a_failure_of_its_own(nodes: Nodes, tmp_path: Path) -> None:
    """After a few tries; the others are answered."""
    result = await evaluated(RayEngine(partial(opened, deadly="What is 5 + 5?"), workers=1), tmp_path, concurrency=1)
    assert [p.errors for p in result.pipelines] == [0, 1, 1]
    assert "worker died" in str(result.pipelines[1].error)


@pytest.mark.slow
async def test_a_dead_endpoint_and_wrong_models_are_one_error(nodes: Nodes, tmp_path: Path) -> None:
    """As with one process; nothing is left behind on the cluster."""
    with pytest.raises(NoAnswer, match="no connection"):
        await evaluated(RayEngine(partial(opened, deadly="unreachable")), tmp_path)
    with pytest.raises(BadInput, match="no models here"):
        await evaluated(RayEngine(refused), tmp_path)
    for _ in range(300):
        if ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]:
            return
        await asyncio.sleep(0.2)
    pytest.fail("workers still hold CPUs")


def test_impossible_clusters_are_refused() -> None:
    """Before anything starts."""
    with pytest.raises(BadInput, match="at least 1"):
        RayEngine(opened, workers=0)
    with pytest.raises(BadInput, match="ray job submit"):
        RayEngine(opened, address="ray://head:10001")


@pytest.mark.slow
async def test_a_task_from_a_file_travels_with_its_code_and_nothing_need_be_kept(nodes: Nodes, tmp_path: Path) -> None:
    """Workers know no such module; without a folder the bank lives as long as the run."""
    path = tmp_path / "mine.py"
    path.write_text("from tests.evals.fakes import Sums\n\nclass Mine(Sums):\n    name = 'mine'\n")
    here = await evaluated(None)
    there = await run_eval(
        catalog(Guesser()), EvalSpec(f"{path}:Mine", pipelines=NAMES, limit=LIMIT), engine=RayEngine(opened)
    )
    assert figures(there) == figures(here)
