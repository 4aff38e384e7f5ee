"""`quorate batch --engine ray`: lines answered by workers on a Ray cluster, over a bank on the machine of the batch.

The batch itself stays where it was started: it reads the lines, hands each to a worker, and writes the replies in the
order of the lines. So the output, the bank and what a kill costs are those of the engine in this process.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4
from zlib import crc32

import httpx
from starlette.types import Receive, Scope, Send

from quorate.config.catalog import Catalog
from quorate.evals.banked_sampler import bank_model
from quorate.evals.ray_engine import (
    RETRIES,
    BankWriter,
    CatalogWorker,
    OpenCatalog,
    RayCluster,
    RemoteError,
)
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.usage import Usage
from quorate.server import ServerSettings, create_app
from quorate.server.http.errors import encode_json

__all__ = ["RayApplication"]


class WorkerReply(NamedTuple):
    """What an application on a worker replied."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    worker: str
    """A name that a worker which starts anew does not have any more."""
    spent: Usage
    """All that it has drawn so far."""


class LineWorker(CatalogWorker[httpx.AsyncClient]):
    """An application over the models."""

    def __init__(self, opens: OpenCatalog, settings: ServerSettings, writer: str) -> None:
        super().__init__(opens, writer)
        self._settings = settings
        self._name = uuid4().hex

    async def ask(self, path: str, body: bytes) -> WorkerReply | RemoteError:
        """What the application replies."""
        try:
            reply = await (await self._open()).post(path, content=body)
        except QuorateError as error:
            return RemoteError.of(error)
        return WorkerReply(reply.status_code, dict(reply.headers), reply.content, self._name, self._bank.spent.usage)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
        await super().close()

    def _begin(self, catalog: Catalog) -> httpx.AsyncClient:
        app = create_app(catalog.wrap_models(lambda model: bank_model(model, self._bank)), self._settings)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=None)


class RayApplication:
    """The server's application, whose requests are answered by workers: the same body by the same one."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._spent: dict[str, Usage] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, cluster: RayCluster, opens: OpenCatalog, settings: ServerSettings, bank: Path, concurrency: int
    ) -> AsyncGenerator[RayApplication, None]:
        """Starts its workers.

        Args:
            cluster: where they run.
            opens: makes the models on a worker.
            settings: limits of one request.
            bank: file of the samples.
            concurrency: requests under way.

        Raises:
            MissingExtra: Ray is not installed.
            BadInput: the cluster does not answer, or the models cannot be opened.
            NoAnswer: the cluster has no room.
        """
        count = cluster.connect()
        try:
            await cluster.start((BankWriter, bank), (LineWorker, opens, settings), count=count, at_once=concurrency)
            yield cls(cluster)
        finally:
            await cluster.aclose()

    @property
    def spent(self) -> Usage:
        """All that the workers have drawn."""
        return reduce(add, self._spent.values(), Usage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        reply: WorkerReply | None = await self._cluster.ask(crc32(body), scope["path"], body)
        if reply is None:
            words = f"its worker died {RETRIES + 1} times"
            error: dict[str, Any] = {"message": words, "type": "server_error", "param": None, "code": "worker_died"}
            status, headers, content = 500, {}, encode_json({"error": error})
        else:
            self._spent[reply.worker] = reply.spent
            status, headers, content = reply.status, dict(reply.headers), reply.body
        head = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": content})
