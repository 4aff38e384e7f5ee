"""The OpenAPI document, for routes that read their bodies themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

__all__ = ["document"]


def document(app: FastAPI, bodies: Mapping[str, type[BaseModel]]) -> None:
    """Adds the schemas of request bodies, by the path that they are posted to."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version=app.version, routes=app.routes)
            for path, body in bodies.items():
                _describe(described, path, body)
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _describe(described: dict[str, Any], path: str, body: type[BaseModel]) -> None:
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    components = described.setdefault("components", {}).setdefault("schemas", {})
    components |= schema.pop("$defs", {})
    components[body.__name__] = schema
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}}
    described["paths"][path]["post"]["requestBody"] = {"required": True, "content": content}
