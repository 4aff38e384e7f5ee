"""The OpenAI-compatible server: models and pipelines under one HTTP address.

    await serve(Catalog({"qwen": qwen}), ServerSettings(port=8000))

A request passes `telemetry` (its record) and `http` (its bytes), is let in by `access`, and understood by the module
of its API in `api`; `generation` finds the model, checks the limits and asks. Its answers go back through the API's
module, with `reply_fields` (what all replies have in common), or as `deltas` while they are written. Nothing here is
global: two requests share only the catalog.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quorate.config.server_settings import ServerSettings as ServerSettings

    from .app import create_app as create_app
    from .run import run_server as run_server
    from .run import serve as serve

_HOME = {
    "ServerSettings": "quorate.config.server_settings",
    "create_app": f"{__name__}.app",
    "run_server": f"{__name__}.run",
    "serve": f"{__name__}.run",
}
"""Loaded when first used, so that reading settings does not import a web framework."""

__all__ = ["ServerSettings", "create_app", "run_server", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
