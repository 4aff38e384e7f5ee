"""Two workers on one address, started as a user does."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from quorate import __version__
from quorate.config.catalog import Catalog
from quorate.config.server_settings import ServerSettings, hash_key
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.server import serve
from quorate.server.workers.supervisor import WorkerPlan, count_workers, serve_workers
from quorate.testing import Reply, ScriptedUpstream

from ..conftest import asked, wait_until
from .serving import RunningWorkers, fresh_client, run_workers

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found by /proc")

BODY = {**asked(), "model": "m"}
KEYS = [
    {"name": "rated", "hash": hash_key("rated"), "rate": {"requests": 6, "seconds": 3600}},
    {"name": "poor", "hash": hash_key("poor"), "budget": {"tokens": 100}},
    {"name": "narrow", "hash": hash_key("narrow"), "concurrency": 1},
    {"name": "free", "hash": hash_key("free")},
]


async def ask(client: httpx.AsyncClient, key: str) -> int:
    """The status of one request."""
    reply = await client.post("/v1/chat/completions", json=BODY, headers={"Authorization": f"Bearer {key}"})
    return reply.status_code


async def read_metric(client: httpx.AsyncClient, pattern: str) -> float:
    """The sum over the samples that fit."""
    text = (await client.get("/metrics", headers={"Authorization": "Bearer free"})).text
    return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


async def test_workers_stand_for_one_another(tmp_path: Path) -> None:
    """They count together, find what another has answered, outlive one another, and end together."""
    delay = 0.02
    async with (
        ScriptedUpstream(lambda _: Reply("ok", usage=(5, 5), delay=delay)) as upstream,
        run_workers(tmp_path, upstream.url, keys=KEYS, max_concurrent=8) as server,
    ):
        async with fresh_client(server.url) as client:
            await count_together(client, server)
            await find_runs_everywhere(client)
        await outlive_one_another(server)
        async with fresh_client(server.url) as client:
            delay = 0.7
            # All places are there: one lost for good would make the eighth wait for ever.
            last = [asyncio.create_task(ask(client, "free")) for _ in range(8)]
            await wait_until(lambda: is_under_way(client, 8))
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.gather(*last) == [200] * 8
        assert await server.end() == 0
        [death] = [line for line in server.lines if "SIGKILL" in line["event"]]
        assert "another one takes its place" in death["event"]


async def count_together(client: httpx.AsyncClient, server: RunningWorkers) -> None:
    """A key's rate, budget and requests at once hold over all workers, and so do the counters."""
    rated = Counter(await asyncio.gather(*(ask(client, "rated") for _ in range(20))))
    poor = Counter([await ask(client, "poor") for _ in range(14)])
    begun = asyncio.get_running_loop().time()
    narrow = Counter(await asyncio.gather(*(ask(client, "narrow") for _ in range(8))))
    assert (rated, poor, narrow) == ({200: 6, 429: 14}, {200: 10, 429: 4}, {200: 8})
    assert asyncio.get_running_loop().time() - begun >= 8 * 0.02, "one at a time"
    await wait_until(lambda: sum(server.answered_by().values()) == 42)  # once the log is read so far
    assert min(server.answered_by().get(worker, 0) for worker in range(2)) > 5
    counted = await read_metric(client, r"quorate_requests_total{.*route=\"/v1/chat/completions\".*}")
    assert counted == 42
    await wait_until(lambda: is_under_way(client, 0))
    assert await read_metric(client, 'quorate_workers{state="ready"}') == 2


async def is_under_way(client: httpx.AsyncClient, requests: int) -> bool:
    """Whether so many requests are, beside the one that asks."""
    return await read_metric(client, "quorate_requests_in_flight") == requests + 1


async def outlive_one_another(server: RunningWorkers) -> None:
    """A killed worker takes only its own requests along; its counters stay, another one takes its place."""
    outcomes = await ask_while_one_is_killed(server)
    broken = {"ReadError", "RemoteProtocolError"}
    assert set(outcomes) <= {"200", *broken}
    assert sum(outcomes[each] for each in broken) <= 8
    async with fresh_client(server.url) as client:

        async def is_whole() -> bool:
            told = (await client.get("/ready")).json()
            return bool(told["workers"] == {"ready": 2, "wanted": 2})

        await wait_until(is_whole)
        assert await read_metric(client, "quorate_workers_replaced_total") == 1
        done = await read_metric(client, r'quorate_requests_total{.*chat/completions",status="200"}')
        assert done >= outcomes["200"]
        await wait_until(lambda: is_under_way(client, 0))


async def find_runs_everywhere(client: httpx.AsyncClient) -> None:
    """A watched run is found by whichever worker is asked, and by its own key alone."""
    headers = {"Authorization": "Bearer free", "x-request-id": "watched"}
    await client.post("/v1/events", json=BODY, headers=headers)
    for _ in range(6):
        assert (await client.get("/v1/traces/watched", headers=headers)).json()["watched"]
        assert [line["id"] for line in (await client.get("/v1/traces", headers=headers)).json()["data"]] == ["watched"]
    others = await client.get("/v1/traces/watched", headers={"Authorization": "Bearer rated"})
    assert others.status_code == 404


async def ask_while_one_is_killed(server: RunningWorkers) -> Counter[str]:
    """How requests end, each on a connection of its own, in the middle of which a worker is killed."""
    outcomes: Counter[str] = Counter()
    ending = asyncio.Event()

    async def keep_asking(client: httpx.AsyncClient) -> None:
        while not ending.is_set():
            try:
                outcomes[str(await ask(client, "free"))] += 1
            except httpx.HTTPError as error:
                outcomes[type(error).__name__] += 1

    async with fresh_client(server.url) as client, asyncio.TaskGroup() as clients:
        for _ in range(8):
            clients.create_task(keep_asking(client))
        await wait_until(lambda: outcomes["200"] > 16)
        os.kill(server.workers[0], signal.SIGKILL)
        enough = outcomes["200"] + 32
        await wait_until(lambda: outcomes["200"] > enough)
        ending.set()
    return outcomes


@pytest.mark.slow
async def test_one_worker_is_asked_to_end(tmp_path: Path) -> None:
    """It finishes what it has, the other goes on, and a new one comes; a killed supervisor ends all."""
    async with (
        ScriptedUpstream(Reply("ok", delay=0.3)) as upstream,
        run_workers(tmp_path, upstream.url) as server,
        fresh_client(server.url) as client,
    ):
        before = server.workers
        asking = [asyncio.create_task(ask(client, "any")) for _ in range(6)]
        await wait_until(lambda: is_under_way(client, 6))
        os.kill(before[0], signal.SIGTERM)
        asking += [asyncio.create_task(ask(client, "any")) for _ in range(4)]
        assert await asyncio.gather(*asking) == [200] * 10
        await wait_until(lambda: len(server.workers) == 2 and before[0] not in server.workers)
        workers = server.workers
        last = asyncio.create_task(ask(client, "any"))
        await wait_until(lambda: is_under_way(client, 1))
        server.process.kill()
        assert await last == 200
        await wait_until(lambda: not any(server.exists(worker) for worker in workers))
    # Of those that serve by then: one has taken a place just now.
    assert any("the supervisor has ended" in line["event"] for line in server.lines)


async def load_nothing() -> Catalog:
    """Serves, and has nothing to serve."""
    return Catalog()


@pytest.mark.slow
async def test_a_worker_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not end, and does not answer."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name, seconds in (("supervisor.LOOK", 0.1), ("supervisor.SILENCE", 0.3), ("hub.PATIENCE", 0.2)):
        monkeypatch.setattr(f"quorate.server.workers.{name}", seconds)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    plan = WorkerPlan(load_nothing, ServerSettings(port=0, workers=1))
    serving = asyncio.create_task(serve_workers(plan, on_ready=lambda url, _: ready.set_result(url)))
    async with fresh_client(await ready) as client:
        first, count = list_children(), "quorate_workers_replaced_total"
        os.kill(first[-1], signal.SIGSTOP)
        await wait_until(lambda: first[-1] not in list_children() and len(list_children()) == len(first))
        assert await read_metric(client, count) == 1
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def list_children() -> list[int]:
    """Of this process, the latest last."""
    return sorted(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


async def refuse() -> Catalog:
    """Cannot be served."""
    raise BadInput("models.a: no such thing")


async def die() -> Catalog:
    """Takes the process along."""
    os._exit(7)


@pytest.mark.parametrize(
    ("open_catalog", "version", "error", "words"),
    [
        (refuse, __version__, BadInput, r"^models\.a: no such thing$"),
        (refuse, "0.0.7", BadInput, r"supervisor is quorate 0\.0\.7.*restart the server"),
        pytest.param(
            die,
            __version__,
            QuorateError,
            "worker 0 could not start 3 times: it ended with status 7",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_what_no_worker_can_serve_is_one_error(
    open_catalog: Callable[[], Awaitable[Catalog]],
    version: str,
    error: type[QuorateError],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its cause; where that may pass, after a few tries."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr("quorate.server.workers.supervisor.__version__", version)
    with pytest.raises(error, match=words):
        await serve_workers(WorkerPlan(open_catalog, ServerSettings(port=0, workers=1)))


async def hang() -> Catalog:
    """Never begins to serve, though its process lives."""
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.slow
async def test_workers_that_never_begin_to_serve_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where none does, the server ends with the reason."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name, seconds in (("LOOK", 0.1), ("START_SECONDS", 1.0), ("PAUSE", 0.1)):
        monkeypatch.setattr(f"quorate.server.workers.supervisor.{name}", seconds)
    with pytest.raises(QuorateError, match="could not start 3 times: it was ended by SIGKILL"):
        await serve_workers(WorkerPlan(hang, ServerSettings(port=0, workers=1)))


def test_workers_are_counted() -> None:
    """One for each core that the process may use, where the number is not said."""
    assert count_workers(ServerSettings(workers=3)) == 3
    assert 1 <= count_workers(ServerSettings(workers="auto")) <= (os.cpu_count() or 1)


async def test_one_process_refuses_to_be_several() -> None:
    """A program that starts the server inside itself is told what starts workers."""
    with pytest.raises(BadInput, match="serve_workers"):
        await serve(Catalog(), ServerSettings(port=0, workers=2))
