"""The server as an application of Ray Serve, on a real local cluster of several processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from quorate.config.server_settings import ServerSettings, hash_key
from quorate.orchestrator.errors import BadInput
from quorate.server.ray import app, prepare_settings
from quorate.testing import Reply, ScriptedUpstream

from .conftest import asked, wait_until

KEYS = [
    {"name": "rated", "hash": hash_key("rated"), "rate": {"requests": 6, "seconds": 3600}},
    {"name": "free", "hash": hash_key("free")},
]
BODY = {**asked(), "model": "m"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "anyone who can reach Ray's proxies"),
        ({"open": True, "workers": 2}, "start more replicas"),
        ({"open": True, "metrics_port": 9100}, "0 takes a free one"),
    ],
)
def test_what_replicas_cannot_have_is_refused(settings: dict[str, Any], words: str) -> None:
    """Before anything is started."""
    with pytest.raises(BadInput, match=words):
        prepare_settings(ServerSettings(**settings))


def test_metrics_of_one_replica_are_not_told_as_everybodys() -> None:
    """Each has a port of its own, or none."""
    assert not prepare_settings(ServerSettings(open=True)).metrics
    assert prepare_settings(ServerSettings(open=True, metrics_port=0)).metrics


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without work and two nodes, each a process with processes of its own."""
    serve = pytest.importorskip("ray.serve", reason="needs ray[serve] (the extra `serve`)", exc_type=ImportError)
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", "."]) + os.pathsep + os.environ.get("PYTHONPATH", ""))
    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    started = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1, **small})
    for _ in range(2):
        started.add_node(num_cpus=2, object_store_memory=small["object_store_memory"])
    ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
    yield serve
    serve.shutdown()
    ray.shutdown()
    started.shutdown()


def find_replicas() -> list[int]:
    """The processes of replicas."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::ServeReplica:quorate") or b"ServeReplica:scale:quorate" in title:
                found.append(int(entry.name))
    return found


@asynccontextmanager
async def replicas(serve: Any, config: Path, port: int, count: int) -> AsyncGenerator[httpx.AsyncClient]:
    """The application, once it answers."""
    await asyncio.to_thread(serve.start, http_options={"host": "127.0.0.1", "port": port})
    built = app({"config": str(config), "replicas": str(count), "cpus": "0.5"})
    await asyncio.to_thread(serve.run, built, name="scale", route_prefix="/")
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60) as client:
        yield client


async def ask(client: httpx.AsyncClient, key: str) -> int:
    """The status of one request."""
    reply = await client.post("/v1/chat/completions", json=BODY, headers={"Authorization": f"Bearer {key}"})
    return reply.status_code


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
async def test_a_killed_replica_takes_only_its_own_requests_along(cluster: Any, tmp_path: Path) -> None:
    """Under load; another one comes; rates hold over all of them in Redis; streams arrive piece by piece."""
    from .access.test_redis_state import RunningRedis

    redis, config = RunningRedis(tmp_path), tmp_path / "quorate.yaml"
    async with ScriptedUpstream(Reply("one two three", delay=0.1, gap=0.05)) as upstream:
        server = {"keys": KEYS, "state": redis.url, "metrics": False}
        config.write_text(json.dumps({"models": {"m": {"base_url": upstream.url}}, "server": server}))
        async with replicas(cluster, config, port=redis.port + 1, count=3) as client:
            assert len(find_replicas()) == 3
            rated = Counter(await asyncio.gather(*(ask(client, "rated") for _ in range(20))))
            assert rated == {200: 6, 429: 14}
            outcomes, asking = await ask_while_one_is_killed(client)
            assert sum(outcomes.values()) - outcomes[200] <= asking, outcomes
            async with asyncio.timeout(60):
                while len(find_replicas()) < 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            headers = {"Authorization": "Bearer free"}
            body = {**BODY, "stream": True}
            async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
                pieces = [piece async for piece in reply.aiter_raw()]
            assert len(pieces) > 2
            assert pieces[-1].endswith(b"data: [DONE]\n\n")
    redis.stop()


async def ask_while_one_is_killed(client: httpx.AsyncClient, asking: int = 8) -> tuple[Counter[int], int]:
    """How requests end, so many at any time; a connection that breaks counts as a status of 0."""
    outcomes, ending = Counter[int](), asyncio.Event()

    async def keep_asking() -> None:
        while not ending.is_set():
            try:
                outcomes[await ask(client, "free")] += 1
            except httpx.HTTPError:
                outcomes[0] += 1

    async with asyncio.TaskGroup() as clients:
        for _ in range(asking):
            clients.create_task(keep_asking())
        await wait_until(lambda: outcomes[200] > 2 * asking)
        os.kill(find_replicas()[0], signal.SIGKILL)
        enough = outcomes[200] + 4 * asking
        await wait_until(lambda: outcomes[200] > enough)
        ending.set()
    return outcomes, asking
