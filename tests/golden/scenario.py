"""A scenario, and what it comes to: run twice from scratch, as live events and as a plain answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quorate import (
    Answer,
    Budget,
    Question,
    QuorateError,
)
from quorate.aggregators import Sandbox
from quorate.orchestrator.errors import BadInput
from quorate.testing import Reply, ScriptedUpstream

from .answering import SEED, SUM, endpoint, solver
from .telling import (
    build,
    plain,
    read_events,
    run_answer,
    run_events,
    run_failing,
    told_answer,
    told_error,
    told_ledger,
)

FOLDER = Path(__file__).with_name("transcripts")


@dataclass
class Ask:
    """What a scenario runs."""

    model: Any
    question: Question
    _: KW_ONLY
    seed: int | None = SEED
    budget: Budget | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the call."""


@dataclass
class Found:
    """What a scenario that asks no model has found by itself."""

    value: Any


Made = Callable[[], AbstractAsyncContextManager[Ask | Found]]


@dataclass(frozen=True)
class Scenario:
    """One thing that is pinned."""

    name: str
    about: str
    make: Made
    needs: str | None = None
    """A module without which it cannot run, or `jail` for the namespaces that isolate a program."""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.json"


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    function: Callable[[], AsyncIterator[Ask | Found]] | None = None, *, needs: str | None = None
) -> Callable[..., Any]:
    """Registers a scenario by the name of its function."""
    if function is None:
        return partial(scenario, needs=needs)
    name = function.__name__.strip("_").replace("_", "-")
    assert name not in SCENARIOS, f"two scenarios are called {name}"
    SCENARIOS[name] = Scenario(name, (function.__doc__ or "").strip(), asynccontextmanager(function), needs)
    return function


async def can_run(needs: str | None) -> bool:
    """Whether what a scenario needs is there."""
    if needs is None:
        return True
    if needs != "jail":
        return find_spec(needs) is not None
    try:
        return (await Sandbox().run("print(1)")).ended == "complete"
    except BadInput:
        return False


async def transcript(chosen: Scenario) -> dict[str, Any]:
    """Runs a scenario live and plainly, each from scratch, and tells what came of both.

    Keys: `live` has the `answer` (or the `error`) and the `events`; `plain` is "as live" where the plain answer is
    the same, else what it was; `ledger` has the usage of the live run, and that of the plain one where it differs.
    """
    await _warm()
    async with chosen.make() as made:
        if isinstance(made, Found):
            return {"scenario": chosen.name, "about": chosen.about, "found": plain(made.value)}
        events, end = read_events(
            await run_events(made.model, made.question, seed=made.seed, budget=made.budget, **made.more)
        )
        await _closed(made.model)
    ledger = await _ledger(chosen, end)
    live = {**_end(end), "events": events}
    async with chosen.make() as made:
        assert isinstance(made, Ask)
        unwatched = await run_answer(made.model, made.question, seed=made.seed, budget=made.budget, **made.more)
        await _closed(made.model)
    same = _end(unwatched) == _end(end)
    if isinstance(unwatched, Answer) and (quiet := told_ledger(unwatched)) != ledger:
        ledger = {**ledger, "plain": quiet}
    told = {"scenario": chosen.name, "about": chosen.about, "live": live, "ledger": ledger}
    return {**told, "plain": "as live" if same else _end(unwatched)}


def _end(end: Answer | QuorateError) -> dict[str, Any]:
    if isinstance(end, QuorateError):
        return {"answer": None, "error": told_error(end)}
    return {"answer": told_answer(end), "error": None}


async def _ledger(chosen: Scenario, end: Answer | QuorateError) -> dict[str, Any]:
    if isinstance(end, Answer):
        return told_ledger(end)
    async with chosen.make() as made:
        assert isinstance(made, Ask)
        run = await run_failing(made.model, made.question, seed=made.seed, budget=made.budget)
        await _closed(made.model)
    return told_ledger(run)


async def _closed(model: Any) -> None:
    close = getattr(model, "aclose", None)
    if close is not None:
        await close()


_warmed = False


async def _warm() -> None:
    """Imports what pipelines import when they first run, so that no deadline has to wait for it."""
    global _warmed
    if not _warmed:
        async with ScriptedUpstream(Reply("ok")) as up:
            await run_answer(build("majority@2/m", m=endpoint(up)), SUM, seed=1, budget=None)
        await run_answer(build("self-moa@2/m", m=solver()), SUM, seed=1, budget=None)
        _warmed = True


def written(told: Mapping[str, Any]) -> str:
    """A transcript as its file holds it."""
    return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
