"""What replicas count together, in a real redis-server."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, KeyBudget, RequestRate, ServerSettings, hash_key
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.orchestrator.usage import Usage
from quorate.server import run_server
from quorate.server.access.control import make_state
from quorate.server.access.errors import KeyBudgetExceeded, Overloaded, RateExceeded, StateUnavailable
from quorate.server.access.state import SharedState
from quorate.server.readiness import Readiness, judge_state
from quorate.server.workers.hub import WorkerHub

from ..conftest import asked, wait_until
from ..scripted import Echo
from ..workers.serving import join

redis = pytest.importorskip("redis.asyncio", reason="needs the extra `redis`")
if shutil.which("redis-server") is None:
    pytest.skip("needs redis-server (apt-get install redis-server)", allow_module_level=True)

PASSWORD = "as-secret-as-can-be"
ANN = ApiKey(
    name="ann",
    hash=hash_key("ann"),
    rate=RequestRate(requests=5, seconds=60),
    budget=KeyBudget(tokens=100, money=1.0, seconds=60),
    concurrency=2,
)


class RunningRedis:
    """A server on a port of its own, without a disk.

    Args:
        folder: where it runs.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._folder = folder
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Answers when this returns."""
        command = ["redis-server", "--port", str(self.port), "--save", "", "--requirepass", PASSWORD]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            try:
                self._process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("redis-server does not start")

    def stop(self) -> None:
        """It is away, with all that it knew."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis]:
    """One for tests that leave it alone; each has a prefix of its own."""
    redis = RunningRedis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.stop()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RunningRedis]:
    """One to be stopped and started."""
    redis = RunningRedis(tmp_path)
    yield redis
    redis.stop()


@asynccontextmanager
async def replicas(url: str, prefix: str, count: int = 2, **settings: object) -> AsyncGenerator[list[SharedState]]:
    """The states of several servers of one fleet."""
    made = ServerSettings.model_validate(
        {"keys": (ANN,), "state": url, "state_prefix": prefix, "max_queued": 10, **settings}
    )
    states = [make_state(made) for _ in range(count)]
    async with AsyncExitStack() as stack:
        for state in states:
            await stack.enter_async_context(state.open())
        yield states


async def test_rates_hold_over_replicas(shared_redis: RunningRedis) -> None:
    """The one too many is refused by whichever is asked, with the time until the next."""
    async with replicas(shared_redis.url, "rates") as states:
        for number in range(5):
            await states[number % 2].count(ANN)
        for state in states:
            with pytest.raises(RateExceeded, match="5 requests in 60 s") as refused:
                await state.count(ANN)
            assert 11 < (refused.value.retry_after or 0) <= 12


async def test_a_clock_that_is_set_back_locks_nobody_out(shared_redis: RunningRedis) -> None:
    """Redis had counted until a moment that is far away now; the rate holds from here on."""
    async with (
        replicas(shared_redis.url, "clock", count=1) as [state],
        redis.Redis.from_url(shared_redis.url) as client,
    ):
        await client.set("clock:{ann}:rate", str(10**6 * 10**10))
        for _ in range(5):
            await state.count(ANN)
        with pytest.raises(RateExceeded):
            await state.count(ANN)


async def test_budgets_hold_over_replicas(shared_redis: RunningRedis) -> None:
    """What one has spent, another has not left; money too, to the last bit; the period ends by itself."""
    async with replicas(shared_redis.url, "budgets") as (one, other):
        for _ in range(3):
            one.spend(ANN, Usage(prompt_tokens=10, completion_tokens=5, cost=0.1))
        left = await one.left(ANN)
        assert (left.tokens, round(left.money or 0, 9)) == (55, 0.7)
        assert await other.left(ANN) == left
        other.spend(ANN, Usage(prompt_tokens=55))
        with pytest.raises(KeyBudgetExceeded, match="'ann'") as refused:
            await other.left(ANN)
        assert 55 < (refused.value.retry_after or 0) <= 60
        with pytest.raises(KeyBudgetExceeded):
            await one.left(ANN)


async def test_requests_at_once_hold_over_replicas(shared_redis: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place comes free when its request ends or gives up; those of a replica that died run out."""
    monkeypatch.setattr("quorate.server.access.redis_state.LEASE", 1.5)
    async with (
        replicas(shared_redis.url, "places", queue_seconds=0.1) as (one, other),
        redis.Redis.from_url(shared_redis.url) as client,
    ):

        async def list_leases() -> list[float]:
            return [until for _, until in await client.zrange("places:{ann}:places", 0, -1, withscores=True)]

        async with one.place(ANN, 1.0), other.place(ANN, 1.0):
            with pytest.raises(Overloaded):
                await other.place(ANN, 1.0).__aenter__()
            last = max(await list_leases())

            async def are_renewed() -> bool:
                return min(await list_leases()) > last

            await wait_until(are_renewed)
            waiting = asyncio.create_task(one.place(ANN, 1.0).__aenter__())
            await wait_until(lambda: one.waiting == 1)
            waiting.cancel()
        async with replicas(shared_redis.url, "places", count=1) as [dying]:
            for _ in range(2):
                await dying.place(ANN, 1.0).__aenter__()
            with pytest.raises(Overloaded):
                await one.place(ANN, 1.0).__aenter__()

        async def has_room() -> bool:
            with suppress(Overloaded):
                async with one.place(ANN, 1.0), other.place(ANN, 1.0):
                    return True
            return False

        await wait_until(has_room)


async def test_who_waits_takes_no_place(shared_redis: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases are renewed many times while as many wait as have places; those that wait get theirs."""
    monkeypatch.setattr("quorate.server.access.redis_state.LEASE", 0.6)
    async with replicas(shared_redis.url, "waiting", count=1) as [state]:

        async def ask() -> None:
            async with state.place(ANN, 1.0):
                await asyncio.sleep(0.5)

        async with asyncio.timeout(10):
            await asyncio.gather(*(ask() for _ in range(6)))


async def test_a_redis_that_is_away_closes_the_door(own_redis: RunningRedis, caplog: pytest.LogCaptureFixture) -> None:
    """To keys with limits; told once, in the log, `/ready` and metrics; what was spent meanwhile is counted after."""
    bob = ApiKey(name="bob", hash=hash_key("bob"))
    echo = Echo()
    settings = ServerSettings.model_validate({"port": 0, "state": own_redis.url, "keys": (ANN, bob)})
    caplog.set_level(logging.WARNING)
    async with (
        run_server(Catalog({"echo": echo}), settings) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):

        async def ask(key: str) -> httpx.Response:
            return await client.post(
                "/v1/chat/completions", json=asked("a b c"), headers={"Authorization": f"Bearer {key}"}
            )

        assert (await ask("ann")).status_code == 200
        echo.hold = asyncio.Event()
        under_way = asyncio.create_task(
            client.post(
                "/v1/chat/completions",
                json={**asked("a b c"), "stream": True},
                headers={"Authorization": "Bearer ann"},
            )
        )
        await wait_until(lambda: len(echo.questions) == 2)
        own_redis.stop()
        echo.hold.set()
        assert (await under_way).status_code == 200
        echo.hold = None
        refused = [await ask("ann") for _ in range(3)]
        assert {(each.status_code, each.json()["error"]["code"]) for each in refused} == {(503, "state_unavailable")}
        assert all(int(each.headers["retry-after"]) == 1 for each in refused)
        assert (await ask("bob")).status_code == 200
        ready = await client.get("/ready")
        assert ready.status_code == 200
        assert "cannot be reached" in ready.json()["state"]
        metrics = await client.get("/metrics", headers={"Authorization": "Bearer bob"})
        assert "quorate_state_down 1.0" in metrics.text

        own_redis.start()

        async def is_back() -> bool:
            return "state" not in (await client.get("/ready")).json()

        await wait_until(is_back)
        assert (await ask("ann")).status_code == 200
    told = [record.getMessage() for record in caplog.records]
    assert sum("cannot be reached; until it is back this server refuses" in line for line in told) == 1
    assert sum("is back after" in line for line in told) == 1
    assert PASSWORD not in caplog.text
    async with replicas(own_redis.url, "quorate") as (state, _):
        # The first account was lost with the Redis that held it; the stream's 6 tokens and the last 6 were not.
        assert (await state.left(ANN)).tokens == 100 - 12


async def test_spending_leaves_one_name_for_each_key(shared_redis: RunningRedis) -> None:
    """However many requests spend; it goes with the key's period."""
    async with replicas(shared_redis.url, "names") as states, redis.Redis.from_url(shared_redis.url) as client:
        for number in range(1, 31):
            states[number % 2].spend(ANN, Usage(prompt_tokens=1))
            await wait_until(partial(is_left, states[0], 100 - number))
        assert await client.keys("names:{*") == [b"names:{ann}:spent"]
        assert len(await client.hkeys("names:{ann}:spent")) == 2 + len(states)
        assert 0 < await client.ttl("names:{ann}:spent") <= 60


async def test_spending_whose_replies_are_lost_counts_once(shared_redis: RunningRedis) -> None:
    """It is sent again, with all that was spent meanwhile."""
    lost = 0

    async def forward(client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        nonlocal lost
        answers, ask = await asyncio.open_connection("127.0.0.1", shared_redis.port)
        reading = asyncio.create_task(client.read(65536))
        while request := await reading:
            ask.write(request)
            reply = await answers.read(65536)
            if b"spent" in request and lost < 3:
                lost += 1
                break
            answer.write(reply)
            reading = asyncio.create_task(client.read(65536))
        ask.close()
        answer.close()

    def is_lost(replies: int) -> bool:
        return lost == replies

    async with await asyncio.start_server(forward, "127.0.0.1", 0) as proxy:
        url = shared_redis.url.replace(str(shared_redis.port), str(proxy.sockets[0].getsockname()[1]))
        async with replicas(url, "lost", count=1, state_down="open") as [state]:
            for replies in range(1, 4):
                state.spend(ANN, Usage(prompt_tokens=10))
                await wait_until(partial(is_lost, replies))
                state.spend(ANN, Usage(prompt_tokens=1))
            await wait_until(lambda: not state.fault)
            await wait_until(lambda: is_left(state, 67))
    async with replicas(shared_redis.url, "lost", count=1) as [state]:
        assert (await state.left(ANN)).tokens == 67
    assert lost == 3


async def test_a_redis_that_is_away_may_leave_the_door_open(own_redis: RunningRedis) -> None:
    """Each server then counts alone, and adds what it counted."""
    async with replicas(own_redis.url, "open", state_down="open") as (one, other):
        await one.count(ANN)
        own_redis.stop()
        for state in (one, other):
            for _ in range(5):
                await state.count(ANN)
            with pytest.raises(RateExceeded):
                await state.count(ANN)
            async with state.place(ANN, 1.0):
                state.spend(ANN, Usage(prompt_tokens=20))
            assert (await state.left(ANN)).tokens == 80
        own_redis.start()
        await wait_until(lambda: not one.fault and not other.fault)
        await wait_until(lambda: is_left(one, 60))


async def test_workers_ask_redis_through_their_supervisor(
    own_redis: RunningRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So that it is told once that Redis is away, and the places of a worker that dies come free at once."""
    settings = ServerSettings.model_validate({"keys": (ANN,), "state": own_redis.url, "queue_seconds": 5})
    hub = WorkerHub(settings, 2, tmp_path)
    async with hub.state.open(), join(hub, settings) as (one, _):
        async with replicas(own_redis.url, "quorate", count=1) as [elsewhere]:
            async with join(hub, settings) as (other, channel):
                for _ in range(2):
                    await other.state.place(ANN, 1.0).__aenter__()
                one.state.spend(ANN, Usage(prompt_tokens=30))
                await wait_until(lambda: is_left(elsewhere, 70))
                channel.close()  # as where it dies
            async with asyncio.timeout(5), elsewhere.place(ANN, 1.0), one.state.place(ANN, 1.0):
                pass
        own_redis.stop()
        for member in (one, one, one):
            with pytest.raises(StateUnavailable):
                await member.state.count(ANN)
        ready = judge_state(Readiness(beside={"workers": 2}), hub.state.fault, settings)
        assert "cannot be reached" in ready.reasons[0]
        assert "quorate_state_down 1.0" in (await hub.write_exposition(""))[0].decode()
    assert ["until it is back" in line.getMessage() for line in caplog.records] == [True]


async def is_left(state: SharedState, tokens: int) -> bool:
    return (await state.left(ANN)).tokens == tokens


@pytest.mark.parametrize("state_down", ["closed", "open"])
async def test_a_wrong_password_is_one_clear_error(shared_redis: RunningRedis, state_down: str) -> None:
    """At the start, without the password."""
    url = shared_redis.url.replace(PASSWORD, "not-the-password")
    with pytest.raises(BadInput, match=r"server\.state: Redis at 127\.0\.0\.1:\d+ refuses the user or the pass") as no:
        async with replicas(url, "wrong", state_down=state_down):
            pass
    assert "not-the-password" not in str(no.value)


async def test_a_wrong_address_is_one_clear_error() -> None:
    """A host that is not there, or something that is no address; where the door may be open it is a warning."""
    with pytest.raises(BadInput, match=r"Redis at 127\.0\.0\.1:9 cannot be reached"):
        async with run_server(Catalog(), ServerSettings.model_validate({"port": 0, "state": "redis://127.0.0.1:9"})):
            pass
    for url in ("localhost:6379", "redis://localhost/two", "redis://localhost/0?such=none", "redis://localhost:port"):
        with pytest.raises(BadInput, match=r"server\.state: .*give redis://"):
            make_state(ServerSettings.model_validate({"state": url}))
    async with replicas("redis://127.0.0.1:9", "none", state_down="open") as (state, _):
        assert "cannot be reached" in state.fault
        await state.count(ANN)


async def test_versions_do_not_mix(shared_redis: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes with another one is refused at its start; another prefix is another fleet."""
    async with replicas(shared_redis.url, "versions"):
        pass
    monkeypatch.setattr("quorate.server.access.redis_state.VERSION", "2")
    with pytest.raises(BadInput, match=r"another version count under 'versions'.*'1', not '2'.*one version of quorate"):
        async with replicas(shared_redis.url, "versions"):
            pass
    async with replicas(shared_redis.url, "other-versions"):
        pass


async def test_a_closed_door_says_when_to_come_again() -> None:
    """The error is one of ours, for whoever asks in Python."""
    assert issubclass(StateUnavailable, QuorateError)
    assert StateUnavailable("away", 1.0).status == 503
