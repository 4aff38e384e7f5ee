"""The OpenAPI document, for routes that read their bodies themselves and write their replies by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from .api import Api
from .settings import ServerSettings

__all__ = ["document"]

JSON = "application/json"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _nullable(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


USAGE = {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}
SPENT = {
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "reasoning_tokens": COUNT,
    "requests": COUNT,
    "cost": _nullable("number"),
    "estimated": {"type": "boolean"},
}
HEAD = {"id": TEXT, "created": COUNT, "model": TEXT}

SCHEMAS: dict[str, dict[str, Any]] = {
    "Error": _object(
        {"error": _object({"message": TEXT, "type": TEXT, "param": _nullable("string"), "code": _nullable("string")})}
    ),
    "Usage": _object(USAGE),
    "Quorate": _object(
        {
            "answer": _nullable("string"),
            "tally": _list(
                _object({"answer": TEXT, "votes": COUNT, "weight": {"type": "number"}, "voters": _list(COUNT)})
            ),
            "stopped": TEXT,
            "degraded": _list(_object({"code": TEXT, "where": TEXT, "detail": TEXT})),
            "usage": _object({**SPENT, "stages": _list(_object({"stage": TEXT, "model": TEXT, **SPENT}))}),
        },
        route=TEXT,
        candidates=_list({"type": "object"}),
    ),
    "ChatReply": _object(
        {
            **HEAD,
            "object": {"const": "chat.completion"},
            "choices": _list(
                _object(
                    {
                        "index": COUNT,
                        "message": _object(
                            {"role": {"const": "assistant"}, "content": _nullable("string")},
                            reasoning_content=TEXT,
                            tool_calls=_list({"type": "object"}),
                        ),
                        "finish_reason": TEXT,
                    }
                )
            ),
            "usage": _ref("Usage"),
            "quorate": _ref("Quorate"),
        }
    ),
    "CompletionReply": _object(
        {
            **HEAD,
            "object": {"const": "text_completion"},
            "choices": _list(_object({"index": COUNT, "text": TEXT}, finish_reason=_nullable("string"))),
            "usage": _ref("Usage"),
            "quorate": _ref("Quorate"),
        }
    ),
    "ResponseReply": _object(
        {
            "id": TEXT,
            "object": {"const": "response"},
            "created_at": COUNT,
            "model": TEXT,
            "status": {"enum": ["completed", "incomplete"]},
            "output": _list(_object({"type": {"enum": ["reasoning", "message", "function_call"]}, "id": TEXT})),
            "usage": _object({"input_tokens": COUNT, "output_tokens": COUNT, "total_tokens": COUNT}),
            "quorate": _ref("Quorate"),
        }
    ),
    "ListedModel": _object(
        {"id": TEXT, "object": {"const": "model"}, "created": COUNT, "owned_by": TEXT, "kind": TEXT},
        quorate={"type": "object"},
    ),
    "ListedModels": _object({"object": {"const": "list"}, "data": _list(_ref("ListedModel"))}),
    "Health": _object({"status": TEXT}, reasons=_list(TEXT)),
}
REPLIES = {
    "/v1/chat/completions": "ChatReply",
    "/v1/completions": "CompletionReply",
    "/v1/responses": "ResponseReply",
    "/v1/models": "ListedModels",
    "/v1/models/{name}": "ListedModel",
    "/health": "Health",
    "/ready": "Health",
}


def document(app: FastAPI, apis: Iterable[Api[Any]], settings: ServerSettings) -> None:
    """Describes the bodies, the replies and the errors of every route."""
    bodies = {f"/v1{api.path}": api.form for api in apis}

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, bodies, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _described(app: FastAPI, bodies: Mapping[str, type[BaseModel]], settings: ServerSettings) -> dict[str, Any]:
    described = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = described.setdefault("components", {})
    schemas = {**SCHEMAS}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["responses"] = _responses(path)
            if path in bodies:
                operation["requestBody"] = _body(bodies[path], schemas, settings)
            if settings.keys and path.startswith("/v1"):
                operation["security"] = [{"key": []}]
    components["schemas"] = schemas
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return described


def _body(form: type[BaseModel], schemas: dict[str, Any], settings: ServerSettings) -> dict[str, Any]:
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    schemas[form.__name__] = schema
    for name in ("n", "best_of"):
        if name in schema["properties"]:
            schema["properties"][name]["anyOf"][0]["maximum"] = settings.max_n
    return {"required": True, "content": {JSON: {"schema": _ref(form.__name__)}}}


def _responses(path: str) -> dict[str, Any]:
    """Of every route; errors are one form, whatever their status."""
    good: dict[str, Any] = {JSON: {"schema": _ref(REPLIES[path])}} if path in REPLIES else {"*/*": {}}
    if path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        good["text/event-stream"] = {}
    bad = {JSON: {"schema": _ref("Health" if path == "/ready" else "Error")}}
    return {
        "200": {"description": "the reply", "content": good},
        "4XX": {"description": "the caller's fault, or the upstream's refusal", "content": bad},
        "5XX": {"description": "the server's or an upstream's fault, or not now", "content": bad},
    }
