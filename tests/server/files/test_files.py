"""`/v1/files`: what is uploaded is there for its key alone, whole or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from quorate.config.server_settings import ApiKey, FileSettings, hash_key
from quorate.server.files.store import FileStore, StoredFile

from ..conftest import Start
from ..scripted import Echo

FORM = {"content-type": "multipart/form-data; boundary=x"}
HALF = b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nhalf"
LINES = b'{"custom_id": "a", "body": {}}\n'


def keys(*names: str) -> tuple[ApiKey, ...]:
    return tuple(ApiKey(name=name, hash=hash_key(f"qk-{name}")) for name in names)


def client_of(url: str, name: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=f"qk-{name}", max_retries=0)


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("file-"))


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  a disk is looked at
        await asyncio.sleep(0.01)


async def test_a_file_comes_and_goes(start: Start, tmp_path: Path) -> None:
    """As OpenAI's client sees it: upload, list, retrieve, content, delete."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        files = served.openai.files
        made = await files.create(file=("../my/in.jsonl", LINES), purpose="batch")
        assert (made.object, made.bytes, made.filename, made.purpose) == ("file", len(LINES), "in.jsonl", "batch")
        assert made.expires_at is not None
        assert made.expires_at - made.created_at == 30 * 86_400
        assert await files.retrieve(made.id) == made
        assert [file.id async for file in files.list()] == [made.id]
        assert (await files.content(made.id)).content == LINES
        assert (tmp_path / made.id).stat().st_mode & 0o777 == 0o600
        assert (await files.delete(made.id)).deleted
        with pytest.raises(openai.NotFoundError, match="No such File object"):
            await files.retrieve(made.id)
        assert contents(tmp_path) == []


async def test_files_survive_a_restart(start: Start, tmp_path: Path) -> None:
    """What was told to be there is there."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        made = await served.openai.files.create(file=("in.jsonl", LINES), purpose="batch")
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        assert (await served.openai.files.content(made.id)).content == LINES


async def test_a_key_sees_its_own_files_only(start: Start, tmp_path: Path) -> None:
    """Another's are as if they were not there, by every way to them."""
    async with start(Echo(), keys=keys("ann", "bob"), files=FileSettings(folder=tmp_path)) as served:
        async with client_of(served.url, "ann") as ann, client_of(served.url, "bob") as bob:
            file = await ann.files.create(file=("in.jsonl", LINES), purpose="batch")
            for attempt in (bob.files.retrieve, bob.files.content, bob.files.delete):
                with pytest.raises(openai.NotFoundError):
                    await attempt(file.id)
            with pytest.raises(openai.NotFoundError):
                await bob.batches.create(
                    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
                )
            assert [each.id async for each in bob.files.list()] == []
            assert [each.id async for each in ann.files.list()] == [file.id]
        nobody = await served.http.get("/v1/files")
        assert nobody.status_code == 401


async def test_lists_have_pages(start: Start, tmp_path: Path) -> None:
    """In both orders, and by purpose."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        files = served.openai.files
        made = [(await files.create(file=(f"{n}.jsonl", LINES), purpose="batch")).id for n in range(5)]
        assert [file.id async for file in files.list(limit=2)] == made[::-1]
        assert [file.id async for file in files.list(limit=2, order="asc")] == made
        first = await served.http.get("/v1/files", params={"limit": 2})
        assert (first.json()["first_id"], first.json()["has_more"]) == (made[-1], True)
        assert [file.id async for file in files.list(purpose="batch_output")] == []
        for wrong, status in (({"limit": 0}, 400), ({"order": "up"}, 400), ({"after": "file-x"}, 404)):
            assert (await served.http.get("/v1/files", params=wrong)).status_code == status


@pytest.mark.parametrize(
    ("form", "param", "words"),
    [
        ({"files": {"file": ("a", LINES)}}, "purpose", "is missing"),
        ({"files": {"file": ("a", LINES)}, "data": {"purpose": "fine-tune"}}, "purpose", "'batch'"),
        ({"files": {"other": ("a", LINES)}, "data": {"purpose": "batch"}}, "file", "is missing"),
        ({"files": {"file": ("a", b"")}, "data": {"purpose": "batch"}}, "file", "is empty"),
        ({"json": {"purpose": "batch"}}, "file", "multipart/form-data"),
        ({"files": {"file": ("a", LINES)}, "data": {"purpose": "b" * 5000}}, "purpose", "longer than"),
        ({"files": [("file", ("a", LINES)), ("file", ("b", LINES))]}, "file", "more than once"),
        (
            {"files": {"file": ("a", LINES)}, "data": {"purpose": "batch", "expires_after[seconds]": "3600"}},
            "expires_after",
            "anchor",
        ),
        (
            {"content": b"nonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            None,
            "no multipart",
        ),
        (
            {
                "content": b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nhalf",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            "file",
            "ends within",
        ),
        ({"content": b"", "headers": {"content-type": f"multipart/form-data; boundary={'x' * 300}"}}, None, "no multi"),
    ],
)
async def test_a_bad_form_is_told_by_its_field(
    start: Start, tmp_path: Path, form: dict[str, Any], param: str | None, words: str
) -> None:
    """In OpenAI's envelope, and nothing of it stays."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        reply = await served.http.post("/v1/files", **form)
        error = reply.json()["error"]
        assert (reply.status_code, error["param"]) == (400, param)
        assert words in error["message"]
        assert contents(tmp_path) == []


async def test_a_file_has_a_size(start: Start, tmp_path: Path) -> None:
    """Declared or not, it is refused as soon as it is too large; a key's files together have one, too."""

    async def undeclared() -> AsyncIterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
        for _ in range(20):
            yield b"y" * 2**16

    async with start(Echo(), files=FileSettings(folder=tmp_path, max_bytes=10**6, key_bytes=1_500_000)) as served:
        with pytest.raises(openai.APIStatusError, match="larger than the 1000000 bytes") as caught:
            await served.openai.files.create(file=("a", b"z" * 1_200_000), purpose="batch")
        assert caught.value.status_code == 413
        reply = await served.http.post("/v1/files", content=undeclared(), headers=FORM)
        assert reply.status_code == 413
        kept = await served.openai.files.create(file=("a", b"z" * 900_000), purpose="batch")
        with pytest.raises(openai.APIStatusError, match="larger than the 600000 bytes"):
            await served.openai.files.create(file=("a", b"z" * 900_000), purpose="batch")
        assert contents(tmp_path) == [kept.id]


async def test_files_that_come_at_once_share_the_keys_room(start: Start, tmp_path: Path) -> None:
    """As many are taken as there is room for, and the others leave nothing."""
    async with start(Echo(), files=FileSettings(folder=tmp_path, key_bytes=250_000)) as served:
        uploads = [served.openai.files.create(file=("a", b"z" * 100_000), purpose="batch") for _ in range(6)]
        ended = await asyncio.gather(*uploads, return_exceptions=True)
        refused = [each for each in ended if isinstance(each, openai.APIStatusError)]
        assert {each.status_code for each in refused} <= {400, 413}
        assert (len(refused), len(contents(tmp_path))) == (4, 2)


async def test_a_client_that_leaves_leaves_nothing(start: Start, tmp_path: Path) -> None:
    """Half of a file is no file."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        host, port = served.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        head = "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        writer.write(f"{head}Content-Length: 100000\r\n\r\n--x\r\n".encode())
        writer.write(b"Content-Disposition: form-data; name=file; filename=a\r\n\r\nhalf")
        await writer.drain()
        await until(lambda: bool(contents(tmp_path)))
        writer.close()
        await until(lambda: not contents(tmp_path))
        assert [file.id async for file in served.openai.files.list()] == []


async def test_without_a_folder_there_are_no_files(start: Start) -> None:
    """It is said what is missing, and the document does not tell of them."""
    async with start(Echo()) as served:
        for method, path in (("GET", "/v1/files"), ("POST", "/v1/batches"), ("DELETE", "/v1/files/x")):
            reply = await served.http.request(method, path)
            assert reply.status_code == 404
            assert "server.files.folder" in reply.json()["error"]["message"]
        assert "/v1/files" not in (await served.http.get("/openapi.json")).json()["paths"]


async def test_methods_of_one_path(start: Start, tmp_path: Path) -> None:
    """Others than those that it has are told which those are."""
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        reply = await served.http.put("/v1/files/file-x")
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET, DELETE")
        assert (await served.http.get("/v1/files/../../etc/passwd")).status_code == 404
        assert (await served.http.get("/v1/files/%2e%2e%2ffiles.sqlite/content")).status_code == 404
        paths = (await served.http.get("/openapi.json")).json()["paths"]
        assert set(paths["/v1/files"]) == {"get", "post"}
        assert "multipart/form-data" in paths["/v1/files"]["post"]["requestBody"]["content"]


def test_what_has_expired_goes(tmp_path: Path) -> None:
    """And what is of nobody, once it is old."""
    with_files = FileStore(FileSettings(folder=tmp_path))
    now = int(time.time())
    names = []
    for expires_at in (now - 1, now + 100):
        identity, into = with_files.create()
        into.close()
        names.append(identity)
        with_files.add_file(
            StoredFile(
                id=identity, key="k", filename="f", purpose="batch", bytes=1, created_at=now, expires_at=expires_at
            )
        )
    fresh, into = with_files.create()
    into.close()
    with_files.sweep()
    assert contents(tmp_path) == sorted([names[1], fresh])
    with_files.close()


async def test_a_file_is_read_while_it_is_deleted(start: Start, tmp_path: Path) -> None:
    """Who has begun to read it gets all of it."""
    whole = LINES * 100_000
    async with start(Echo(), files=FileSettings(folder=tmp_path)) as served:
        file = await served.openai.files.create(file=("in.jsonl", whole), purpose="batch")
        async with served.http.stream("GET", f"/v1/files/{file.id}/content") as reply:
            assert isinstance(reply, httpx.Response)
            await served.openai.files.delete(file.id)
            assert len(await reply.aread()) == len(whole)
