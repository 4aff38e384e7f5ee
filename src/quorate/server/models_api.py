"""`GET /v1/models`: what can be asked for, and what each pipeline is made of.

{"id": "majority@16/qwen", "object": "model", "created": 1, "owned_by": "quorate", "kind": "pipeline",
 "quorate": {"pipeline": "majority", "description": "...", "source": "...", "n": 16, "models": ["qwen"],
             "options": {"threshold": {"default": 0.95, "description": "..."}}}}
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi import APIRouter, Request, Response

from quorate.config.catalog import Catalog
from quorate.aggregators.registry import PIPELINES
from quorate.aggregators.specs import PipelineSpec
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Calling, Model

from .errors import json_response
from .house import House

__all__ = ["models"]

SHOWN = ("type", "default", "description", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
"""What is told of an option."""


def models(house: House) -> APIRouter:
    """The routes."""
    router = APIRouter()
    started = int(time.time())

    def entry(name: str, kind: str, own: dict[str, Any]) -> dict[str, Any]:
        base = {"id": name, "object": "model", "created": started, "owned_by": "quorate", "kind": kind}
        return {**base, "quorate": own} if own else base

    @router.get("/models")
    async def list_models(http: Request) -> Response:
        """Every model and configured pipeline, and the built-in pipelines over each model, with their parameters."""
        visible = set(await house.visitor(http).all())
        told = (entry(*each) for each in _listed(house.names.catalog) if each[0] in visible)
        return json_response({"object": "list", "data": list(told)})

    @router.get("/models/{name:path}")
    async def retrieve_model(http: Request, name: str) -> Response:
        """One of them, or any other name that can be asked for."""
        model = await house.visitor(http).resolve(name)
        kinds = {info.id: info.kind for info in house.names.catalog.listing()}
        return json_response(entry(name, kinds.get(name, "pipeline"), _made_of(model, _recipe(name))))

    return router


def _listed(catalog: Catalog) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, kind and what is told of each listed name."""
    listing = catalog.listing()
    for info in listing:
        yield info.id, info.kind, _made_of(catalog.models.get(info.id) or catalog.pipelines[info.id], None)
    for info in listing:
        for name in info.pipelines:
            if recipe := _recipe(name):
                yield name, "pipeline", {**_described(recipe), "n": recipe.n, "models": [info.id]}


def _recipe(name: str) -> PipelineSpec | None:
    return PIPELINES.get(name.partition("/")[0].partition("@")[0])


def _made_of(model: Model, recipe: PipelineSpec | None) -> dict[str, Any]:
    """What a pipeline consists of; nothing of a single model."""
    if not isinstance(model, Pipeline):
        return {}
    sampler, aggregator = model.sampler, model.aggregator
    own: dict[str, Any] = {
        **(_described(recipe) if recipe else {"pipeline": aggregator.name}),
        "n": sampler.n,
        "models": [inner.name for inner in sampler.models],
    }
    if sampler.stop is not None:
        own["stop"] = str(sampler.stop)
    if isinstance(aggregator, Calling) and aggregator.models:
        own["aggregators"] = [inner.name for inner in aggregator.models]
    return own


@cache
def _described(recipe: PipelineSpec) -> dict[str, Any]:
    options = recipe.options.model_json_schema().get("properties", {})
    return {
        "pipeline": recipe.name,
        "description": recipe.summary,
        "source": recipe.source,
        "options": {name: {part: about[part] for part in SHOWN if part in about} for name, about in options.items()},
    }
