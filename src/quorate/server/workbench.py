"""What the page shows of a sample bank: evaluations as they run, and where preferences become labels.

`POST /v1/preferences` says which of two watched runs of one question was better; `GET /v1/evaluations` and
`GET /v1/evaluations/{run}` tell what `quorate eval run` has done in the bank so far, and
`GET /v1/evaluations/{run}/comparison?by=tokens` compares its systems. The bank itself is in another
room: whoever starts the server hands over a `Workbench`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict
from starlette.types import Receive, Scope, Send

from quorate.orchestrator.errors import UnknownName
from quorate.storage.traces import Trace

from .access.errors import NotAllowed
from .api.fields import Flag, Name
from .context import EVERYTHING, Caller, ServerContext
from .http.body import parse_body, read_body
from .http.errors import BadField, UnknownRoute, send_json
from .http.routing import Route
from .telemetry.recent import WatchedRuns
from .traces_api import UnknownTrace

__all__ = ["Preference", "Workbench", "make_workbench_routes"]


class Preference(BaseModel):
    """`POST /v1/preferences`: which of two answers to one question is better."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    runs: tuple[Name, Name]
    """Ids of two runs that were watched with this key and are still in memory."""
    better: Literal["first", "second", "both", "neither"]
    """`both` are good, or `neither` is."""
    blind: Flag = False
    """Whether the names of what answered were hidden when it was said."""

    @property
    def labels(self) -> tuple[bool, bool]:
        """Whether each of the two is good."""
        return self.better in ("first", "both"), self.better in ("second", "both")


Amount = Literal["tokens", "money", "seconds"]
AMOUNTS: tuple[Amount, ...] = ("tokens", "money", "seconds")
"""What systems are compared at equal amounts of."""


class Workbench(Protocol):
    """A sample bank, as the page needs it. Each method may wait for a disk, and is called in a thread."""

    def keep_preference(self, traces: tuple[Trace, Trace], labels: tuple[bool, bool], *, blind: bool) -> None:
        """Keeps two answers with their labels.

        Raises:
            DataError: the bank cannot be written.
        """
        ...

    def list_runs(self) -> list[dict[str, Any]]:
        """The evaluations in it, the latest first.

        Raises:
            DataError: the bank cannot be read.
        """
        ...

    def read_run(self, number: int) -> dict[str, Any]:
        """One of them as far as it has come: systems with their intervals, and every question's outcome.

        Raises:
            UnknownName: there is no such run.
            DataError: the bank cannot be read.
        """
        ...

    def compare_run(self, number: int, by: Amount) -> dict[str, Any]:
        """Its systems in pairs at equal amounts, by paired tests, and curves of its models' samples.

        Raises:
            UnknownName: there is no such run.
            DataError: the bank cannot be read.
        """
        ...


def make_workbench_routes(context: ServerContext, workbench: Workbench) -> list[Route]:
    """Both."""
    settings, recent = context.settings, context.telemetry.recent

    async def keep_preference(scope: Scope, receive: Receive, send: Send) -> None:
        caller = await context.admit(scope)
        body = await read_body(scope, receive, settings.max_body_bytes, settings.body_seconds)
        preference = await parse_body(body, Preference)
        first, second = [await _find(recent, identity, caller) for identity in preference.runs]
        if first.question_key != second.question_key or first.id == second.id:
            raise BadField("are not two runs of one question", "runs")
        await asyncio.to_thread(workbench.keep_preference, (first, second), preference.labels, blind=preference.blind)
        await send_json(send, {"object": "preference", "models": [first.model, second.model]})

    async def list_evaluations(scope: Scope, _: Receive, send: Send) -> None:
        _require_all(context.identify(scope))
        await send_json(send, {"object": "list", "data": await asyncio.to_thread(workbench.list_runs)})

    async def retrieve_evaluation(scope: Scope, _: Receive, send: Send) -> None:
        _require_all(context.identify(scope))
        number, slash, view = scope["name"].partition("/")
        if slash and view != "comparison":
            raise UnknownRoute(f"GET {scope['path']}: of a run there is /v1/evaluations/RUN and, below it, /comparison")
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise UnknownName("run", number[:40], ())
        if view:
            found = await asyncio.to_thread(workbench.compare_run, int(number), _read_amount(scope))
        else:
            found = await asyncio.to_thread(workbench.read_run, int(number))
        await send_json(send, found)

    return [
        Route(
            "/v1/preferences",
            keep_preference,
            "keep_preference",
            "Which of two watched runs was better.",
            "POST",
            form=Preference,
        ),
        Route("/v1/evaluations", list_evaluations, "list_evaluations", "Evaluations in the server's sample bank."),
        Route(
            "/v1/evaluations/{name:path}",
            retrieve_evaluation,
            "retrieve_evaluation",
            "One of them, by its number, as far as it has come; below it `/comparison`, with `by`.",
        ),
    ]


async def _find(recent: WatchedRuns | None, identity: str, caller: Caller) -> Trace:
    run = await recent.find(identity, caller.key.name) if recent is not None else None
    if run is None or not run.trace.answered:
        raise UnknownTrace(f"no answered run {identity[:80]!r} of this key is in memory any more: ask both again")
    return run.trace


def _read_amount(scope: Scope) -> Amount:
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("by", ["tokens"])[-1]
    found = next((amount for amount in AMOUNTS if amount == given), None)
    if found is None:
        raise BadField(f"is {given[:40]!r}, but systems are compared by {', '.join(AMOUNTS)}", "by")
    return found


def _require_all(caller: Caller) -> None:
    """Evaluations are of everything that there is."""
    if caller.key.allow != EVERYTHING:
        raise NotAllowed(f"evaluations are for keys that may ask everything, and {caller.key.name!r} may not")
