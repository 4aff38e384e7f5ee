"""`/v1/batches`: files of requests, answered behind all others (see `runner`).

What OpenAI's API has and this one does not: other windows than 24h. What it adds: `/v1/messages` as an endpoint, and
what a batch has cost (`quorate.usage`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import BadInput

from ..batch import URLS
from ..context import ServerContext
from ..http.body import parse_body, read_body
from ..http.errors import BadField, send_json
from ..http.routing import Route
from .files_api import ExpiresAfter, list_page, read_page, read_query
from .store import FileStore, StoredBatch

__all__ = ["BatchRequest", "make_batches_routes"]

WINDOW = 86_400
"""Seconds until a batch expires."""
MOST = 100
"""Batches in one list."""
DEFAULT = 20


class BatchRequest(BaseModel):
    """`POST /v1/batches`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    input_file_id: Annotated[str, Field(min_length=1, max_length=512)]
    endpoint: Literal[URLS]  # type: ignore[valid-type]
    """What all lines ask."""
    completion_window: Literal["24h"]
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None
    output_expires_after: ExpiresAfter | None = None


def make_batches_routes(context: ServerContext, store: FileStore, wake: Callable[[], None]) -> list[Route]:
    """Create, list, retrieve, cancel.

    Args:
        context: whose keys they are for.
        store: where they are kept.
        wake: is told that there is something new to do.
    """
    settings = context.settings

    async def create_batch(scope: Scope, receive: Receive, send: Send) -> None:
        key = (await context.admit(scope)).key.name
        body = await read_body(scope, receive, settings.max_body_bytes, settings.body_seconds)
        request = await parse_body(body, BatchRequest)
        if store.find_file(request.input_file_id, key).purpose != "batch":
            raise BadField("is the output of a batch: upload a file for the purpose 'batch'", "input_file_id")
        store.check_room(key)
        now, kept = int(time.time()), request.output_expires_after
        batch = StoredBatch(
            id=f"batch_{token_hex(16)}",
            key=key,
            endpoint=request.endpoint,
            input_file_id=request.input_file_id,
            created_at=now,
            expires_at=now + WINDOW,
            metadata=request.metadata,
            output_seconds=int(86_400 * store.settings.days) if kept is None else kept.seconds,
        )
        store.add_batch(batch)
        wake()
        await send_json(send, batch.describe())

    async def list_batches(scope: Scope, _: Receive, send: Send) -> None:
        key = context.identify(scope).key.name
        limit, after = read_page(read_query(scope), DEFAULT, MOST)
        await send_json(send, list_page(store.list_batches(key, limit=limit + 1, after=after), limit))

    async def retrieve_batch(scope: Scope, _: Receive, send: Send) -> None:
        await send_json(send, store.find_batch(scope["name"], context.identify(scope).key.name).describe())

    async def cancel_batch(scope: Scope, _: Receive, send: Send) -> None:
        batch = store.find_batch(scope["name"], context.identify(scope).key.name)
        changed = store.change_batch(batch.id, _cancel)
        wake()
        await send_json(send, changed.describe())

    one = "/v1/batches/{name}"
    return [
        Route(
            "/v1/batches",
            create_batch,
            "create_batch",
            "Answers a file of requests behind all others, within a day.",
            "POST",
            BatchRequest,
        ),
        Route("/v1/batches", list_batches, "list_batches", "The key's batches, the latest first."),
        Route(one, retrieve_batch, "retrieve_batch", "One of them, as far as it has come."),
        Route(f"{one}/cancel", cancel_batch, "cancel_batch", "Begins no more lines; those under way end.", "POST"),
    ]


def _cancel(batch: StoredBatch) -> StoredBatch:
    if batch.status not in ("validating", "in_progress", "cancelling"):
        raise BadInput(f"{batch.id} cannot be cancelled: it is {batch.status}")
    return batch if batch.status == "cancelling" else batch.to("cancelling")
