"""Whether a server is worth sending requests to, and for which pipelines.

It costs nothing to tell: a model counts as ready until its upstreams are known not to answer, which the
requests themselves find out. So no probe of a load balancer becomes a request to a model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.protocols import Model

from .names import RefreshingCatalog

__all__ = ["Readiness", "add_up_readiness", "assess", "judge_state"]

PATIENCE = 1.0
"""Seconds that an upstream has to list its models, where none is known yet."""


@dataclass(frozen=True)
class Readiness:
    """What `/ready` says."""

    reasons: Sequence[str] = ()
    """Why not; it is ready where there are none."""
    pipelines: dict[str, Any] = field(default_factory=dict)
    """By name its `status`, `ready`, `degraded` where it answers without a part of it, or `unavailable`; and the models
    that are `missing`."""
    beside: dict[str, Any] = field(default_factory=dict)
    """Further fields: which workers there are, and what is wrong with what they share."""


async def assess(names: RefreshingCatalog) -> Readiness:
    """How this process stands."""
    if not await _knows_models(names):
        return Readiness(["no model is known: its upstream does not tell"])
    models = {**names.catalog.models, **names.catalog.pipelines}
    return _judge({name: _describe(model) for name, model in models.items()})


def add_up_readiness(workers: Sequence[Readiness]) -> Readiness:
    """How several processes stand that serve the same: a pipeline that only some can ask is degraded."""
    names = dict.fromkeys(name for each in workers for name in each.pipelines)
    if not names:
        return next(iter(workers), Readiness(["no worker is ready"]))
    found = _judge({name: _merge([w.pipelines[name] for w in workers if name in w.pipelines]) for name in names})
    reasons = found.reasons or (min(workers, key=lambda each: len(each.reasons)).reasons if workers else ())
    beside = {name: value for each in workers for name, value in each.beside.items()}
    return Readiness(reasons, found.pipelines, beside)


def judge_state(found: Readiness, fault: str, settings: ServerSettings) -> Readiness:
    """The same, with what is wrong with the state that servers share: it ends all where every key has limits."""
    if not fault or found.reasons:
        return found
    limited = all(key.rate or key.budget or key.concurrency for key in settings.keys)
    reasons = [fault] if limited and settings.state_down == "closed" else []
    return replace(found, reasons=reasons, beside={**found.beside, "state": fault})


def _judge(pipelines: dict[str, Any]) -> Readiness:
    """The server is ready as long as one of them is: taking it away would help nobody."""
    if not pipelines or any(each["status"] != "unavailable" for each in pipelines.values()):
        return Readiness(pipelines=pipelines)
    missing = dict.fromkeys(name for each in pipelines.values() for name in each["missing"])
    return Readiness([f"no upstream of {name!r} answers" for name in missing], pipelines)


def _merge(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    statuses = {each["status"] for each in told}
    status = statuses.pop() if len(statuses) == 1 else "degraded"
    missing = sorted({name for each in told for name in each.get("missing", ())})
    return {"status": status, **({"missing": missing} if missing else {})}


async def _knows_models(names: RefreshingCatalog) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return bool(await names.list_names())
    except (UpstreamError, TimeoutError):
        return False


def _describe(model: Model) -> dict[str, Any]:
    missing = sorted({single.name for single in _single_models(model) if not single.available})
    if not missing:
        return {"status": "ready"}
    return {"status": "degraded" if model.available else "unavailable", "missing": missing}


def _single_models(model: Model) -> Iterator[Model]:
    """The model itself, or those that it is made of: proposers, and those that aggregators ask."""
    if not model.parts:
        yield model
    for part in model.parts:
        yield from _single_models(part)
