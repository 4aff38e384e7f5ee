"""`/v1/batches`: lines are answered behind all other requests, each once, whatever happens to the server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch, BatchRequestCounts

from quorate.config.catalog import Catalog
from quorate.config.server_settings import ApiKey, FileSettings, KeyBudget, hash_key
from quorate.evals.bank import Bank
from quorate.evals.banked_sampler import bank_model, keep_samples
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Failure
from quorate.server import ServerSettings, run_server
from quorate.server.files import runner, store
from quorate.server.files.store import FileStore

from ..conftest import Start, asked, wait_until
from ..scripted import Echo, Plurality

CHAT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


def line(name: str, text: str = "hello", url: str = CHAT, **body: Any) -> dict[str, Any]:
    return {"custom_id": name, "method": "POST", "url": url, "body": {**asked(text), **body}}


async def submit(client: AsyncOpenAI, *lines: Any, endpoint: Any = CHAT, **more: Any) -> Batch:
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    file = await client.files.create(file=("in.jsonl", text.encode()), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


async def wait(client: AsyncOpenAI, batch: Batch, *states: str) -> Batch:
    while (batch := await client.batches.retrieve(batch.id)).status not in (states or OVER):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return batch


async def until_asked(model: Echo, times: int) -> None:
    while len(model.questions) < times:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def texts(output: dict[str, Any]) -> dict[str, str]:
    return {name: reply["body"]["choices"][0]["message"]["content"] for name, reply in output.items()}


def client_of(url: str, name: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=f"qk-{name}", max_retries=0)


async def read(client: AsyncOpenAI, identity: str | None) -> dict[str, Any]:
    if identity is None:
        return {}
    records = [json.loads(text) for text in (await client.files.content(identity)).text.splitlines()]
    return {record["custom_id"]: record["response"] or record["error"] for record in records}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.server.files.runner.LOOK", 0.02)
    monkeypatch.setattr("quorate.server.batch.LONGEST", 0.02)


async def test_a_batch(start: Start, tmp_path: Path) -> None:
    """As OpenAI's client sees it: answers in one file, errors in the other, counts, usage, and nothing left behind."""
    lines = [
        line("a", "one"),
        "{nonsense",
        line("b", model="nobody"),
        line("c", "three"),
        line("d", url="/v1/responses"),
    ]
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        client = served.openai
        made = await submit(client, *lines, metadata={"of": "tests"})
        assert (made.object, made.status, made.metadata) == ("batch", "validating", {"of": "tests"})
        done = await wait(client, made)
        assert done.status == "completed"
        assert done.request_counts is not None
        counts = done.request_counts
        assert (counts.total, counts.completed, counts.failed) == (5, 2, 3)
        output, errors = await read(client, done.output_file_id), await read(client, done.error_file_id)
        assert texts(output) == {"a": "one", "c": "three"}
        assert "not valid JSON" in errors[None]["message"]  # type: ignore[index]
        assert errors["b"]["status_code"] == 404
        assert errors["d"]["message"] == "line 5: url must be /v1/chat/completions"
        assert done.usage is not None
        assert (done.usage.input_tokens, done.usage.output_tokens) == (6, 2)
        assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
        assert [each.id async for each in client.batches.list()] == [done.id]
        purposes = [file.purpose async for file in client.files.list()]
        assert sorted(purposes) == ["batch", "batch_output", "batch_output"]
    assert not [name for name in os.listdir(tmp_path) if name.startswith("batch_")]


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/completions", {"prompt": "hi"}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
    ],
)
async def test_every_api(start: Start, tmp_path: Path, endpoint: str, body: dict[str, Any]) -> None:
    """All lines of a batch ask the one that it names."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        asking = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": "echo", **body}}
        done = await wait(served.openai, await submit(served.openai, asking, endpoint=endpoint))
        answer = (await read(served.openai, done.output_file_id))["a"]
        assert answer["status_code"] == 200
        assert done.usage is not None
        assert done.usage.output_tokens == 1


@pytest.mark.parametrize(
    ("changed", "status", "param"),
    [
        ({"endpoint": "/v1/images"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"input_file_id": "file-none"}, 404, None),
        ({"input_file_id": None}, 400, "input_file_id"),
        ({"metadata": {"a": 1}}, 400, "metadata.a"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400, "output_expires_after.seconds"),
    ],
)
async def test_what_cannot_be_is_told_at_once(
    start: Start, tmp_path: Path, changed: dict[str, Any], status: int, param: str | None
) -> None:
    """By its field, in OpenAI's envelope."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        file = await served.openai.files.create(file=("in.jsonl", b"{}"), purpose="batch")
        body = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **changed}
        reply = await served.http.post("/v1/batches", json=body)
        assert (reply.status_code, reply.json()["error"]["param"]) == (status, param)
        for path in ("/v1/batches/batch_x", "/v1/batches/batch_x/cancel"):
            method = "POST" if path.endswith("cancel") else "GET"
            assert (await served.http.request(method, path)).status_code == 404


async def test_a_file_without_lines_fails_as_a_whole(start: Start, tmp_path: Path) -> None:
    """And says why, without saying where the server keeps it."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        done = await wait(served.openai, await submit(served.openai, " "))
        assert done.status == "failed"
        assert done.errors is not None
        assert done.errors.data is not None
        words = done.errors.data[0].message
        assert words is not None
        assert "has no lines" in words
        assert str(tmp_path) not in words


async def test_a_cancelled_batch_keeps_what_is_done(start: Start, tmp_path: Path) -> None:
    """Lines under way end, no more are begun, and their file can be deleted only then."""
    begun, gate = asyncio.Event(), asyncio.Event()

    class Slow(Echo):
        async def sample(self, *given: Any) -> None:
            begun.set()
            await gate.wait()
            await super().sample(*given)

    echo = Slow()
    async with start(echo, files=FileSettings(folder=tmp_path, concurrency=2)) as served:
        client = served.openai
        batch = await submit(client, *(line(str(n)) for n in range(10)))
        await begun.wait()
        with pytest.raises(openai.BadRequestError, match="is read by batch_"):
            await client.files.delete(batch.input_file_id)
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        gate.set()
        done = await wait(client, batch)
        assert done.status == "cancelled"
        assert 1 <= len(await read(client, done.output_file_id)) == len(echo.questions) <= 2
        with pytest.raises(openai.BadRequestError, match="it is cancelled"):
            await client.batches.cancel(batch.id)
        assert (await client.files.delete(batch.input_file_id)).deleted


async def test_a_batch_goes_on_after_a_restart(tmp_path: Path) -> None:
    """What was answered is not asked again, nor what was drawn, and nothing is cut short by the server's end."""
    settings = ServerSettings(port=0, files=FileSettings(folder=tmp_path, concurrency=2), shutdown_seconds=0)
    gate = asyncio.Event()

    class Halting(Echo):
        async def sample(self, question: Any, slots: Any, run: Any) -> None:
            if len(self.questions) >= 4:
                await gate.wait()
            await super().sample(question, slots, run)

    first, second = Halting("echo"), Echo("echo")
    serving = run_server(Catalog({"echo": first}), settings, banks=keep_samples)
    async with serving as url, client_of(url, "any") as client:
        batch = await submit(client, *(line(str(n), f"say {n}", model="majority@2/echo") for n in range(8)))
        await until_asked(first, 4)
    serving = run_server(Catalog({"echo": second}), settings, banks=keep_samples)
    async with serving as url, client_of(url, "any") as client:
        done = await wait(client, batch)
        output = await read(client, done.output_file_id)
    assert done.status == "completed"
    assert texts(output) == {str(n): f"say {n}" for n in range(8)}
    assert all("halted" not in str(reply["body"]["quorate"]["degraded"]) for reply in output.values())
    assert len(first.questions) + len(second.questions) == 8
    assert done.usage is not None
    assert done.usage.output_tokens == 8 * 2 * 2


async def test_a_batch_waits_for_room_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not fail, asks nobody where there is none to begin with, and is told of now and then."""
    monkeypatch.setattr(runner, "PAUSE", 0.1)
    monkeypatch.setattr(store, "ROOM", 2**60)
    echo, full = Echo(), True

    @contextmanager
    def keep(path: Path) -> Generator[Callable[[Model], Model]]:
        with Bank(path) as bank:
            if full:
                bank.store.execute("PRAGMA max_page_count=1")
            yield lambda model: bank_model(model, bank)

    def count_waits() -> int:
        return sum("goes on as soon as it can be written" in record.getMessage() for record in caplog.records)

    settings = ServerSettings(port=0, files=FileSettings(folder=tmp_path, concurrency=2))
    async with run_server(Catalog({"echo": echo}), settings, banks=keep) as url, client_of(url, "any") as client:
        batch = await submit(client, *(line(str(n), f"say {n} " * 500, model="majority@2/echo") for n in range(8)))
        await wait_until(lambda: count_waits() == 2)
        assert echo.questions == []
        assert "bytes are free, and" in caplog.text
        monkeypatch.setattr(store, "ROOM", 0)
        await wait_until(lambda: count_waits() >= 4)
        assert "disk is full" in caplog.text
        assert (await client.batches.retrieve(batch.id)).status == "in_progress"
        full = False
        done = await wait(client, batch)
        assert (done.status, done.request_counts) == ("completed", BatchRequestCounts(completed=8, failed=0, total=8))


async def test_a_batch_has_an_end(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered by then is told as expired."""
    monkeypatch.setattr("quorate.server.files.batches_api.WINDOW", 1)
    busy = Failure(code="rate_limited", message="slow down", status=429)
    echo = Echo(say=lambda question, index: "fine" if question.text == "easy" else busy)
    monkeypatch.setattr("quorate.server.batch.TRIES", 10**6)
    async with start(echo, files=FileSettings(folder=tmp_path, concurrency=1)) as served:
        done = await wait(served.openai, await submit(served.openai, line("a", "easy"), line("b", "hard"), line("c")))
        assert done.status == "expired"
        assert list(await read(served.openai, done.output_file_id)) == ["a"]
        errors = await read(served.openai, done.error_file_id)
        assert {name: error["code"] for name, error in errors.items()} == dict.fromkeys("bc", "batch_expired")


async def test_requests_go_before_batches(start: Start, tmp_path: Path) -> None:
    """Of the same key, and with all places taken by lines."""
    order: list[str] = []
    gate = asyncio.Event()

    class Noting(Echo):
        async def sample(self, question: Any, slots: Any, run: Any) -> None:
            await gate.wait()
            order.append(question.text)
            await super().sample(question, slots, run)

    async with start(Noting("echo"), files=FileSettings(folder=tmp_path, concurrency=4), max_concurrent=8) as served:
        batch = await submit(served.openai, *(line(str(n), "line") for n in range(20)))
        await wait(served.openai, batch, "in_progress")
        waiting = [asyncio.create_task(served.post(**asked("asked"))) for _ in range(16)]
        # Of 16 requests and 4 lines at once 8 have places.
        while "quorate_queue_length 12.0" not in (await served.http.get("/metrics")).text:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        gate.set()
        assert {reply.status_code for reply in await asyncio.gather(*waiting)} == {200}
        assert (await wait(served.openai, batch)).status == "completed"
    assert order.count("asked") == 16
    assert order[: 16 + 6].count("line") <= 6


async def test_a_batch_keeps_within_its_keys_means(start: Start, tmp_path: Path) -> None:
    """It waits where the key has spent its budget; it may ask what the key may ask."""
    poor = ApiKey(name="poor", hash=hash_key("qk-poor"), budget=KeyBudget(tokens=20), allow=("echo",))
    echo = Echo()
    serving = start(echo, keys=(poor,), files=FileSettings(folder=tmp_path, concurrency=1))
    async with serving as served, client_of(served.url, "poor") as client:
        more = line("other", model="majority@2/echo")
        batch = await submit(client, more, *(line(str(n), "a b c") for n in range(10)))
        await until_asked(echo, 4)
        await asyncio.sleep(0.1)
        assert (await client.batches.retrieve(batch.id)).status == "in_progress"
        with pytest.raises(openai.RateLimitError, match="has spent its budget"):
            await client.chat.completions.create(**asked())
        await client.batches.cancel(batch.id)
        done = await wait(client, batch)
        assert (await read(client, done.error_file_id))["other"]["status_code"] == 403
        assert len(await read(client, done.output_file_id)) == len(echo.questions) == 4


async def test_a_batch_of_a_key_that_is_gone_fails(start: Start, tmp_path: Path) -> None:
    """It would be nobody's to pay."""
    ann, bob = (ApiKey(name=name, hash=hash_key(f"qk-{name}")) for name in ("ann", "bob"))
    gate = asyncio.Event()

    class Stuck(Echo):
        async def sample(self, *given: Any) -> None:
            await gate.wait()

    files = FileSettings(folder=tmp_path)
    async with start(Stuck("echo"), keys=(ann, bob), files=files) as served, client_of(served.url, "ann") as client:
        batch = await submit(client, line("a"))
        await wait(client, batch, "in_progress")
    async with start(Echo(), keys=(bob,), files=files):
        store = FileStore(files)
        while store.find_batch(batch.id, "ann").status != "failed":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    async with start(Echo(), keys=(ann, bob), files=files) as served, client_of(served.url, "ann") as client:
        done = await client.batches.retrieve(batch.id)
        assert done.status == "failed"
        assert "'ann'" in str(done.errors)


async def test_a_vote_over_lines(start: Start, tmp_path: Path) -> None:
    """Configured pipelines answer as they do over HTTP, with the same words about it."""
    echo = Echo()
    vote = sample(echo, n=3) | Plurality()
    async with start(echo, pipelines={"vote": vote}, files=FileSettings(folder=tmp_path)) as served:
        done = await wait(served.openai, await submit(served.openai, line("a", model="vote")))
        reply = (await read(served.openai, done.output_file_id))["a"]["body"]
        assert reply["quorate"]["tally"][0]["votes"] == 3
        assert reply["model"] == "plurality@3/echo"
