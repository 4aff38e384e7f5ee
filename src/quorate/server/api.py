"""What an API is, and how a request of any of them is answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, Request, Response

from quorate.orchestrator.context import Ledger

from .access.visitor import Visitor
from .body import parsed
from .errors import json_response
from .fields import ModelRequest
from .house import House
from .settings import ServerSettings
from .sse import EventStream
from .wire import read_body, while_connected

__all__ = ["Api", "Exchange", "routes"]

R_contra = TypeVar("R_contra", bound=ModelRequest, contravariant=True)


class Exchange(Protocol):
    """One request that has been understood, and its reply: whole or as a stream, not both."""

    @property
    def ledger(self) -> Ledger:
        """What it has cost so far."""
        ...

    @property
    def draws(self) -> int:
        """Answers of single models that it takes at most."""
        ...

    async def reply(self) -> dict[str, Any]:
        """The whole reply.

        Raises:
            QuorateError: there is no answer.
        """
        ...

    def frames(self) -> AsyncGenerator[bytes, None]:
        """The events of a stream, each as it is sent; an error before the first is raised."""
        ...

    def broken(self, error: dict[str, Any]) -> bytes:
        """The last events of a stream that fails in its middle, from the error's envelope."""
        ...


class Api(Protocol[R_contra]):
    """One of OpenAI's ways to ask a model."""

    @property
    def path(self) -> str:
        """Below `/v1`."""
        ...

    @property
    def form(self) -> type[ModelRequest]:
        """What the body holds."""
        ...

    async def exchange(self, request: R_contra, visitor: Visitor, settings: ServerSettings) -> Exchange:
        """The request, understood.

        Raises:
            BadInput: something in it cannot be done.
            UnknownName: no such model or pipeline.
            NotAllowed: the caller may not ask it.
            BudgetSpent: the caller has nothing left to spend.
        """
        ...


def routes(api: Api[Any], house: House) -> APIRouter:
    """The API's route."""
    router = APIRouter()
    settings = house.settings

    async def answer(http: Request) -> Response:
        visitor = house.visitor(http, counted=True)
        body = await read_body(http.receive, settings.max_body_bytes, settings.body_seconds)
        request = parsed(body, api.form)
        exchange = await while_connected(http.receive, api.exchange(request, visitor, settings))
        exchange = visitor.admitted(exchange)
        if request.stream:
            return EventStream(exchange, keep_alive=settings.keep_alive_seconds)
        return json_response(await while_connected(http.receive, exchange.reply()))

    answer.__doc__ = type(api).__doc__
    router.post(api.path, name=api.path.strip("/").replace("/", "_"))(answer)
    return router
