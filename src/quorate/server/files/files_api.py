"""`/v1/files`: what goes into batches, and what comes out of them.

A key sees its own files only. The one purpose to upload a file for is `batch`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import BadInput

from ..context import ServerContext
from ..http.errors import BadField, send_json
from ..http.routing import Route
from .store import FileStore, StoredFile
from .upload import Upload, read_upload

__all__ = [
    "ExpiresAfter",
    "FileUpload",
    "NoFiles",
    "list_page",
    "make_files_routes",
    "make_refusing_routes",
    "read_page",
    "read_query",
]

PIECE = 2**16
"""Bytes of a file that are read at once."""
MOST = 10_000
"""Files in one list."""
FILES = "/v1/files"
FILE = "/v1/files/{name}"


class NoFiles(BadInput):
    """This server keeps none."""

    status = 404
    code = "no_files"


class ExpiresAfter(BaseModel):
    """How long something is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)
    """From its creation."""


class FileUpload(BaseModel):
    """`POST /v1/files`, as a form."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    file: str = Field(json_schema_extra={"format": "binary"})
    """Lines of JSON, one request each."""
    purpose: Literal["batch"]


class Listed(Protocol):
    """Something with an id."""

    @property
    def id(self) -> str: ...

    def describe(self) -> dict[str, Any]: ...


def make_files_routes(context: ServerContext, store: FileStore) -> list[Route]:
    """Upload, list, retrieve, content, delete."""
    settings = context.settings

    async def create_file(scope: Scope, receive: Receive, send: Send) -> None:
        key = (await context.admit(scope)).key.name
        store.check_room(key, 1)
        identity, into = store.create()
        try:
            with into:
                most = min(store.settings.max_bytes, store.settings.key_bytes - store.count_bytes(key))
                upload = await read_upload(scope, receive, into, most=most, seconds=settings.body_seconds)
            file = _accept(identity, key, upload, store)
            with store.transaction():
                store.check_room(key, file.bytes)  # others may have been as quick
                store.add_file(file)
        except BaseException:
            store.drop(identity)
            raise
        await send_json(send, file.describe())

    async def list_files(scope: Scope, _: Receive, send: Send) -> None:
        key = context.identify(scope).key.name
        query = read_query(scope)
        limit, after = read_page(query, MOST, MOST)
        oldest_first = _read_order(query)
        files = store.list_files(
            key, limit=limit + 1, after=after, purpose=query.get("purpose"), oldest_first=oldest_first
        )
        await send_json(send, list_page(files, limit))

    async def retrieve_file(scope: Scope, _: Receive, send: Send) -> None:
        await send_json(send, store.find_file(scope["name"], context.identify(scope).key.name).describe())

    async def delete_file(scope: Scope, _: Receive, send: Send) -> None:
        file = store.find_file(scope["name"], context.identify(scope).key.name)
        store.delete_file(file)
        await send_json(send, {"id": file.id, "object": "file", "deleted": True})

    async def retrieve_content(scope: Scope, _: Receive, send: Send) -> None:
        await _send_file(store, store.find_file(scope["name"], context.identify(scope).key.name), send)

    about = "Uploads a file of requests for a batch, one JSON document a line."
    return [
        Route(FILES, create_file, "create_file", about, "POST", FileUpload, media="multipart/form-data"),
        Route(FILES, list_files, "list_files", "The key's files, the latest first."),
        Route(FILE, retrieve_file, "retrieve_file", "One of them."),
        Route(FILE, delete_file, "delete_file", "Deletes it, where no batch reads it.", "DELETE"),
        Route(f"{FILE}/content", retrieve_content, "retrieve_file_content", "What is in it."),
    ]


def make_refusing_routes() -> list[Route]:
    """Where the server keeps no files: the same paths, which say so."""

    async def refuse(_: Scope, __: Receive, ___: Send) -> None:
        raise NoFiles(
            "this server keeps no files and so runs no batches: give it a folder (`server.files.folder` in "
            "quorate.yaml, or `quorate serve --files DIR`)"
        )

    paths = (FILES, "/v1/files/{name:path}", "/v1/batches", "/v1/batches/{name:path}")
    return [
        Route(path, refuse, f"no_{path.split('/')[2]}_{method.lower()}", "Needs `server.files`.", method)
        for path in paths
        for method in ("GET", "POST", "DELETE")
    ]


def read_query(scope: Scope) -> dict[str, str]:
    """The parameters of a request's address, the last of each name."""
    given = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in given.items()}


def list_page(found: Sequence[Listed], limit: int) -> dict[str, Any]:
    """OpenAI's form of a list, of which one more was looked for than is shown."""
    shown = found[:limit]
    ends = {"first_id": shown[0].id, "last_id": shown[-1].id} if shown else {"first_id": None, "last_id": None}
    data = [each.describe() for each in shown]
    return {"object": "list", "data": data, **ends, "has_more": len(found) > limit}


def read_page(query: dict[str, str], default: int, most: int) -> tuple[int, str | None]:
    """How many of a list, and after which."""
    given = query.get("limit", str(default))
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= most):
        raise BadField(f"{given[:40]!r}, but give a number from 1 to {most}", "limit")
    return int(given), query.get("after") or None


def _read_order(query: dict[str, str]) -> bool:
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise BadField(f"{order[:40]!r}, but give asc or desc", "order")
    return order == "asc"


def _accept(identity: str, key: str, upload: Upload, store: FileStore) -> StoredFile:
    purpose = upload.fields.get("purpose")
    if purpose is None:
        raise BadField("is missing", "purpose")
    if purpose != "batch":
        raise BadField(f"{purpose[:80]!r}, but files here are for batches: give 'batch'", "purpose")
    if not upload.size:
        raise BadField("is empty", "file")
    now = int(time.time())
    return StoredFile(
        id=identity,
        key=key,
        filename=upload.filename or "upload",
        purpose="batch",
        bytes=upload.size,
        created_at=now,
        expires_at=now + (_read_expiry(upload.fields) or int(86_400 * store.settings.days)),
    )


def _read_expiry(fields: dict[str, str]) -> int | None:
    given = {part: fields[name] for part in ("anchor", "seconds") if (name := f"expires_after[{part}]") in fields}
    if not given:
        return None
    try:
        return ExpiresAfter.model_validate(given).seconds
    except ValidationError:
        raise BadField("give anchor created_at and seconds from 3600 to 2592000", "expires_after") from None


async def _send_file(store: FileStore, file: StoredFile, send: Send) -> None:
    """The bytes, a piece at a time."""
    try:
        content = store.place(file.id).open("rb")
    except OSError as error:
        raise BadInput(f"{file.id} cannot be read: {error.strerror}") from error
    with content:
        head = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % file.bytes)]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        while piece := await asyncio.to_thread(content.read, PIECE):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
