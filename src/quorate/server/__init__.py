"""The OpenAI-compatible server: models and pipelines under one HTTP address.

    await serve(Catalog({"qwen": qwen}), ServerSettings(port=8000))

A request passes `telemetry` (its record) and `http` (its bytes), is let in by `access`, and understood by the module
of its API in `api`; `generation` finds the model, checks the limits and asks. Its answers go back through the API's
module, with `reply_fields` (what all replies have in common), or as `deltas` while they are written. Nothing here is
global: two requests share only the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.orchestrator.lazy import lazy_names

if TYPE_CHECKING:
    from quorate.config.server_settings import ServerSettings as ServerSettings

    from .app import create_app as create_app
    from .run import run_server as run_server
    from .run import serve as serve

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".app": "create_app",
        ".run": "run_server serve",
        "quorate.config.server_settings": "ServerSettings",
    },
)
__all__ = __dir__()  # noqa: PLE0605 - a list of strings
