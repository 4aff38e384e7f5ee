"""The models to work with: those of a server, of a file, or the embedded ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, UpstreamError
from quorate.orchestrator.protocols import Model

from .catalog import Catalog

__all__ = ["open_models"]


async def open_models(
    upstream: str | None = None,
    config: Path | None = None,
    *,
    on_failure: Callable[[UpstreamError], None] | None = None,
    **settings: Any,
) -> Catalog:
    """An upstream's models, a file's, or the embedded ones where neither is given.

    Args:
        upstream: URL of an OpenAI-compatible server; its key is read from QUORATE_UPSTREAM_KEY or OPENAI_API_KEY.
        config: a `quorate.yaml`.
        on_failure: is told why the upstream does not list its models; then there are none, and `refresh` finds them
            later. Without it the error is raised.
        settings: of the upstream's endpoints (`agents.Endpoint`).

    Raises:
        BadInput: both an upstream and a file were given.
        ConfigError: the file cannot be used.
        UpstreamError: the upstream does not tell its models.
    """
    if upstream is not None and config:
        raise BadInput("give an upstream or a configuration, not both (a config file can name several upstreams)")
    if config:
        from .file import load_config

        return load_config(config).catalog()
    return _open_embedded() if upstream is None else await _open_upstream(upstream, on_failure, settings)


async def _open_upstream(
    upstream: str, on_failure: Callable[[UpstreamError], None] | None, settings: dict[str, Any]
) -> Catalog:
    from quorate.agents.endpoint import Endpoint, discover

    key = os.environ.get("QUORATE_UPSTREAM_KEY") or os.environ.get("OPENAI_API_KEY")

    async def find_models() -> list[Model]:
        # The list is asked for with its own short patience, whatever the settings of samples.
        listed = await discover(upstream, api_key=key)
        return [Endpoint(one.name, base_url=upstream, api_key=key, **settings) for one in listed]

    catalog = Catalog(discover=find_models)
    try:
        await catalog.refresh()
    except UpstreamError as error:
        if on_failure is None:
            raise
        on_failure(error)
    return catalog


def _open_embedded() -> Catalog:
    from quorate.agents.embedded import Embedded, list_embedded_models

    return Catalog({name: Embedded(name) for name in list_embedded_models()})
