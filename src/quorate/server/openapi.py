"""`GET /openapi.json`: the OpenAPI document of routes that read their bodies and write their replies by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from quorate import __version__
from quorate.config.server_settings import ServerSettings

from .http.errors import encode_json, send_reply
from .http.routing import Route

__all__ = ["make_openapi_route"]

JSON = "application/json"
TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _nullable(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


def _list(items: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _page(name: str) -> dict[str, Any]:
    """Some of a list, and whether there are more."""
    ends = {"first_id": _nullable("string"), "last_id": _nullable("string"), "has_more": {"type": "boolean"}}
    return _object({"object": {"const": "list"}, "data": _list(_ref(name)), **ends})


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


USAGE = {"prompt_tokens": COUNT, "completion_tokens": COUNT, "total_tokens": COUNT}
SPENT = {
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "reasoning_tokens": COUNT,
    "cached_tokens": COUNT,
    "cache_write_tokens": COUNT,
    "prompt_audio_tokens": COUNT,
    "completion_audio_tokens": COUNT,
    "requests": COUNT,
    "cost": _nullable("number"),
    "estimated": {"type": "boolean"},
}
HEAD = {"id": TEXT, "created": COUNT, "model": TEXT}
FILE = _object(
    {
        "id": TEXT,
        "object": {"const": "file"},
        "bytes": COUNT,
        "created_at": COUNT,
        "expires_at": COUNT,
        "filename": TEXT,
        "purpose": {"enum": ["batch", "batch_output"]},
        "status": TEXT,
    }
)

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
            "usage": _object({**SPENT, "nodes": _list(_object({"node": TEXT, "model": TEXT, **SPENT}))}),
            "max_requests": COUNT,
        },
        route=TEXT,
        path=_list(
            _object({"node": TEXT, "seconds": {"type": "number"}, "outcome": TEXT, "edges": {"type": "object"}})
        ),
        candidates=_list({"type": "object"}),
        analysis={"type": "object"},
        scores={"type": "object"},
        dissents=_list({"type": "object"}),
        savings=_list({"type": "object"}),
        effective_votes={"type": "number"},
        fusion={"type": "object"},
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
    "ForwardedReply": _object({"model": TEXT, "quorate": {"type": "object"}}),
    "MessageReply": _object(
        {
            "id": TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": TEXT,
            "content": _list(_object({"type": {"enum": ["thinking", "text", "tool_use"]}})),
            "stop_reason": {"enum": ["end_turn", "max_tokens", "tool_use", "refusal"]},
            "stop_sequence": _nullable("string"),
            "usage": _object({"input_tokens": COUNT, "output_tokens": COUNT}),
            "quorate": _ref("Quorate"),
        }
    ),
    "MessageError": _object({"type": {"const": "error"}, "error": _object({"type": TEXT, "message": TEXT})}),
    "TokenCount": _object({"input_tokens": COUNT}),
    "ListedModel": _object(
        {"id": TEXT, "object": {"const": "model"}, "created": COUNT, "owned_by": TEXT, "kind": TEXT},
        quorate={"type": "object"},
    ),
    "ListedModels": _object({"object": {"const": "list"}, "data": _list(_ref("ListedModel"))}),
    "File": FILE,
    "Files": _page("File"),
    "FileDeleted": _object({"id": TEXT, "object": {"const": "file"}, "deleted": {"const": True}}),
    "Batch": _object(
        {
            "id": TEXT,
            "object": {"const": "batch"},
            "endpoint": TEXT,
            "input_file_id": TEXT,
            "completion_window": {"const": "24h"},
            "status": TEXT,
            "created_at": COUNT,
            "expires_at": COUNT,
            "request_counts": _object({"total": COUNT, "completed": COUNT, "failed": COUNT}),
        },
        output_file_id=_nullable("string"),
        error_file_id=_nullable("string"),
        errors={"type": ["object", "null"]},
        metadata={"type": ["object", "null"]},
        usage={"type": ["object", "null"]},
    ),
    "Batches": _page("Batch"),
    "Health": _object(
        {"status": TEXT},
        reasons=_list(TEXT),
        pipelines={"type": "object", "additionalProperties": _object({"status": TEXT}, missing=_list(TEXT))},
    ),
}
REPLIES = {
    "/v1/chat/completions": "ChatReply",
    "/v1/completions": "CompletionReply",
    "/v1/responses": "ResponseReply",
    "/v1/messages": "MessageReply",
    "/v1/messages/count_tokens": "TokenCount",
    "/v1/embeddings": "ForwardedReply",
    "/v1/rerank": "ForwardedReply",
    "/v1/models": "ListedModels",
    "/v1/models/{name}": "ListedModel",
    "GET /v1/files": "Files",
    "POST /v1/files": "File",
    "GET /v1/files/{name}": "File",
    "DELETE /v1/files/{name}": "FileDeleted",
    "GET /v1/batches": "Batches",
    "POST /v1/batches": "Batch",
    "/v1/batches/{name}": "Batch",
    "/v1/batches/{name}/cancel": "Batch",
    "/health": "Health",
    "/ready": "Health",
}
STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/events")
ERRORS = {"/ready": "Health", "/v1/messages": "MessageError", "/v1/messages/count_tokens": "MessageError"}


def make_openapi_route(routes: Iterable[Route], settings: ServerSettings) -> Route:
    """The document's own route.

    Args:
        routes: that it describes.
        settings: of the server, for its limits and whether it needs a key.
    """
    document: list[bytes] = []

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        if not document:
            document.append(encode_json(_describe_routes(routes, settings)))
        await send_reply(send, document[0], JSON.encode())

    return Route("/openapi.json", answer, "openapi", "This document.")


def _describe_routes(routes: Iterable[Route], settings: ServerSettings) -> dict[str, Any]:
    """The bodies, the replies and the errors of every route."""
    schemas = {**SCHEMAS}
    paths: dict[str, Any] = {}
    for route in routes:
        path = route.path.replace(":path", "")
        operation: dict[str, Any] = {
            "summary": route.name.replace("_", " ").capitalize(),
            "description": route.about,
            "operationId": route.name,
            "responses": _describe_replies(path, route.method),
        }
        if "{name}" in path:
            operation["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": TEXT}]
        if route.form is not None:
            operation["requestBody"] = _describe_body(route, route.form, schemas, settings)
        if settings.keys and path.startswith("/v1"):
            operation["security"] = [{"key": []}]
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "quorate", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _describe_body(
    route: Route, form: type[BaseModel], schemas: dict[str, Any], settings: ServerSettings
) -> dict[str, Any]:
    schema = form.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    schemas[form.__name__] = schema
    for name in ("n", "best_of"):
        if "anyOf" in schema["properties"].get(name, ()):
            schema["properties"][name]["anyOf"][0]["maximum"] = settings.max_n
    return {"required": True, "content": {route.media: {"schema": _ref(form.__name__)}}}


def _describe_replies(path: str, method: str) -> dict[str, Any]:
    """Of every route; errors are one form, whatever their status."""
    name = REPLIES.get(f"{method} {path}") or REPLIES.get(path)
    good: dict[str, Any] = {JSON: {"schema": _ref(name)}} if name else {"*/*": {}}
    if path in STREAMED:
        good["text/event-stream"] = {}
    bad = {JSON: {"schema": _ref(ERRORS.get(path, "Error"))}}
    return {
        "200": {"description": "the reply", "content": good},
        "4XX": {"description": "the caller's fault, or the upstream's refusal", "content": bad},
        "5XX": {"description": "the server's or an upstream's fault, or not now", "content": bad},
    }
