"""What each of several workers takes of what there is once: places at upstreams, and memory."""

from __future__ import annotations

import logging

from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput

from ..names import find_models

__all__ = ["share"]

log = logging.getLogger("quorate.server")


def share(catalog: Catalog, index: int, count: int) -> None:
    """Leaves this worker its part of the `concurrency` and the `rate` of every endpoint.

    Args:
        catalog: of this worker.
        index: of the worker, from 0.
        count: of all workers.

    Raises:
        BadInput: a model can be loaded once only.
    """
    from quorate.agents.endpoint import Endpoint

    kinds: dict[str, list[str]] = {}
    for model in find_models(catalog):
        if isinstance(model, Endpoint) and not model.http.take_share(index, count) and index == 0:
            log.warning("%s: fewer places than workers, of which each takes one at a time", model.name)
        for single in model.identity.singles:
            kinds.setdefault(single.kind, []).append(model.name)
    if count > 1 and (loaded := kinds.get("vllm")):
        raise BadInput(
            f"{loaded[0]} runs in the server's own process by vLLM, and each of {count} workers would load it: give it "
            "a server (`vllm serve`) and a base_url, or say --workers 1"
        )
    if count > 1 and index == 0 and (loaded := kinds.get("embedded")):
        log.warning("each of %d workers loads a copy of its own of %s when it is asked", count, ", ".join(loaded))
