"""What an API is, and how a request of any of them is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from starlette.types import Receive, Scope, Send

from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import QuorateError

from ..context import Caller, ServerContext
from ..generation import Generation
from ..http.body import parse_body, read_body, while_connected
from ..http.errors import ClientGone, Envelope, make_envelope, send_json
from ..http.routing import Route
from ..http.sse import EventStream, encode_event
from .fields import ModelRequest

__all__ = ["Api", "Exchange", "make_route"]

log = logging.getLogger("quorate.server")

R_contra = TypeVar("R_contra", bound=ModelRequest, contravariant=True)


class Exchange(Protocol):
    """One request that has been understood, and its reply: whole or as a stream, not both."""

    @property
    def generation(self) -> Generation:
        """What is asked of which model, and what it has cost so far."""
        ...

    async def reply(self) -> dict[str, Any]:
        """The whole reply.

        Raises:
            QuorateError: there is no answer.
        """
        ...

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Writes the events of a stream as they come, up to its end.

        Raises:
            QuorateError: there is no answer.
        """
        ...

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The last events of a stream that fails in its middle, from the error's envelope."""
        ...


class Api(Protocol[R_contra]):
    """A way to ask a model."""

    @property
    def path(self) -> str:
        """With `/v1`."""
        ...

    @property
    def form(self) -> type[ModelRequest]:
        """What the body holds."""
        ...

    async def prepare(self, request: R_contra, caller: Caller, settings: ServerSettings) -> Exchange:
        """The request, understood.

        Raises:
            BadInput: something in it cannot be done.
            UnknownName: no such model or pipeline.
            NotAllowed: the caller may not ask it.
            KeyBudgetExceeded: the caller has nothing left to spend.
        """
        ...


def make_route(api: Api[Any], context: ServerContext, envelope: Envelope = make_envelope) -> Route:
    """The API's route; `envelope` gives its errors their form."""
    settings = context.settings

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        caller = await context.admit(scope)
        body = await read_body(scope, receive, settings.max_body_bytes, settings.body_seconds)
        request = await parse_body(body, api.form)
        if request.stream:
            await _stream(api, request, caller, context, envelope, receive, send)
        else:
            await send_json(send, await while_connected(receive, _reply(api, request, caller, settings)))

    name = api.path.removeprefix("/v1/").replace("/", "_")
    return Route(api.path, answer, name, (type(api).__doc__ or "").strip(), "POST", api.form, envelope=envelope)


async def _reply(api: Api[Any], request: ModelRequest, caller: Caller, settings: ServerSettings) -> dict[str, Any]:
    exchange = await api.prepare(request, caller, settings)
    generation = exchange.generation
    async with caller.with_admission(generation.calls, generation.ledger):
        return await exchange.reply()


async def _stream(
    api: Api[Any],
    request: ModelRequest,
    caller: Caller,
    context: ServerContext,
    make_error: Envelope,
    receive: Receive,
    send: Send,
) -> None:
    """An error before the first frame is raised, so that it gets its HTTP status; a later one is the last frame."""
    exchange: Exchange | None = None

    async def write_all() -> None:
        nonlocal exchange
        exchange = await api.prepare(request, caller, context.settings)
        generation = exchange.generation
        async with caller.with_admission(generation.calls, generation.ledger):
            await exchange.stream(body.write)

    async with EventStream(send, keep_alive=context.settings.keep_alive_seconds) as body:
        try:
            await while_connected(receive, write_all())
        except Exception as error:
            if not body.started:
                raise
            if isinstance(error, ClientGone):
                return
            if not isinstance(error, QuorateError):
                log.exception("request %s failed while it was streamed", caller.record.id)
            caller.record.fail(error)
            envelope = make_error(error)
            failure = encode_event(envelope, envelope.get("type"))
            body.write(failure if exchange is None else exchange.encode_failure(envelope))
