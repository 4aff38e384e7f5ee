"""`GET /v1/models`: what can be asked for, and what each pipeline is made of.

{"id": "majority@16/qwen", "object": "model", "created": 1, "owned_by": "quorate", "kind": "pipeline",
 "quorate": {"pipeline": "majority", "section": "votes", "description": "...", "source": "...", "n": 16,
             "models": ["qwen"], "fewest": 1, "options": {"threshold": {"default": 0.95, "description": "..."}}}}
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from starlette.types import Receive, Scope, Send

from quorate.aggregators.registry import SECTIONS
from quorate.aggregators.specs import BuiltIn, EnsembleSpec, PipelineSpec
from quorate.config.catalog import Catalog
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.graph import Graph
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model

from .context import ServerContext
from .graph_view import describe_graph
from .http.errors import send_json
from .http.routing import Route

__all__ = ["make_models_routes"]

SHOWN = ("type", "default", "description", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum")
"""What is told of an option."""


def make_models_routes(context: ServerContext) -> list[Route]:
    """The list, and one of it."""
    started = int(time.time())
    catalog = context.names.catalog

    def describe(name: str, kind: str, own: dict[str, Any]) -> dict[str, Any]:
        base = {"id": name, "object": "model", "created": started, "owned_by": "quorate", "kind": kind}
        return {**base, "quorate": own} if own else base

    async def list_models(scope: Scope, _: Receive, send: Send) -> None:
        names = await context.identify(scope).list_names()
        kinds = {entry.id: entry.kind for entry in catalog.listing()}
        data = [describe(name, kinds.get(name, "pipeline"), _describe_name(catalog, name)) for name in names]
        await send_json(send, {"object": "list", "data": data})

    async def retrieve_model(scope: Scope, _: Receive, send: Send) -> None:
        name = scope["name"]
        model = await context.identify(scope).resolve(name)
        kinds = {entry.id: entry.kind for entry in catalog.listing()}
        own = _describe_parts(model, _find_spec(name))
        if (graph := describe_graph(model)) is not None:
            own = {**own, "graph": graph}
        await send_json(send, describe(name, kinds.get(name, "pipeline"), own))

    return [
        Route(
            "/v1/models",
            list_models,
            "list_models",
            "Every model and configured pipeline, and each built-in pipeline once, over the default model.",
        ),
        Route(
            "/v1/models/{name:path}",
            retrieve_model,
            "retrieve_model",
            "One of them, or any other name that can be asked for.",
        ),
    ]


def _describe_name(catalog: Catalog, name: str) -> dict[str, Any]:
    """What is told of a listed name; a built-in pipeline is not built for that."""
    model = catalog.models.get(name) or catalog.pipelines.get(name)
    if model is not None:
        return _describe_parts(model, None)
    spec = _find_spec(name)
    assert spec is not None, "what is neither configured nor built in is not listed"
    models = name.partition("/")[2].split("+") if "/" in name else [next(iter(catalog.models))]
    return {**_describe_spec(spec), "models": models}


def _find_spec(name: str) -> BuiltIn | None:
    return _BUILT_IN.get(name.partition("/")[0].partition("@")[0])


def _describe_parts(model: Model, spec: BuiltIn | None) -> dict[str, Any]:
    """What a pipeline consists of, and what a single model is good for."""
    if not isinstance(model, Graph):
        own = {**_describe_spec(spec), "models": [m.model for m in model.identity.members]} if spec else {}
        return {**own, "max_requests": requests_of(model), "capabilities": sorted(model.identity.capabilities)}
    own = {**(_describe_spec(spec) if spec else {}), "max_requests": model.max_requests}
    if not isinstance(model, Pipeline):
        return {**own, "nodes": list(model.nodes), "models": [part.name for part in model.parts]}
    stage = model.stage
    own = {"pipeline": model.aggregator.name, **own, "n": stage.n, "models": [inner.name for inner in stage.models]}
    if stage.stop is not None:
        own["stop"] = str(stage.stop)
    helpers = [part.name for node in model.nodes.values() if isinstance(node, AggregateNode) for part in node.models]
    if helpers:
        own["aggregators"] = list(dict.fromkeys(helpers))
    if len(model.nodes) > 2:
        own["nodes"] = list(model.nodes)
    return own


_BUILT_IN = {spec.name: spec for section in SECTIONS.values() for spec in section}
_SECTION = {spec.name: name for name, section in SECTIONS.items() for spec in section}


@cache
def _describe_spec(spec: BuiltIn) -> dict[str, Any]:
    options = spec.options.model_json_schema().get("properties", {})
    return {
        "pipeline": spec.name,
        "section": _SECTION[spec.name],
        "description": spec.summary,
        "source": spec.source,
        "fewest": spec.fewest,
        **({"most": spec.most} if isinstance(spec, EnsembleSpec) else {"n": spec.n}),
        "stoppable": isinstance(spec, PipelineSpec),
        "options": {name: {part: about[part] for part in SHOWN if part in about} for name, about in options.items()},
    }
