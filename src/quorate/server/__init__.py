"""The OpenAI-compatible server: models and pipelines under one HTTP address.

    await serve(Catalog({"qwen": qwen}), ServerSettings(port=8000))

A request passes `api` (the routes of all APIs) -> `wire` and `body` (its bytes) -> the package of its API
(`chat`, `completions`, `responses`: its fields) -> `asking` (model, questions, seeds, budget) and comes back
through its package again, with `parts` (what replies have in common) or `pieces` and `sse` (streaming);
errors of any step become OpenAI's envelope in `errors`. Nothing here is global: two requests share only the
catalog.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app as create_app
    from .run import running as running
    from .run import serve as serve
    from .settings import ServerSettings as ServerSettings

_HOME = {"ServerSettings": "settings", "create_app": "app", "running": "run", "serve": "run"}
"""Loaded when first used, so that reading settings does not import a web framework."""

__all__ = ["ServerSettings", "create_app", "running", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
