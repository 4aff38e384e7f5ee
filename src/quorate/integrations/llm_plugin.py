"""What `llm` loads at every start: it looks for our models only when it wants them, and never fails for their sake."""

from __future__ import annotations

import sys
from collections.abc import Callable

import llm

from quorate.orchestrator.errors import QuorateError

__all__ = ["register_models"]


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """The models and pipelines; where there are none, standard error says why, and `llm` keeps its other models."""
    try:
        from .llm import AsyncPipelineModel, PipelineModel, list_names

        names = list_names()
    except QuorateError as error:
        print(f"quorate: no models: {error}", file=sys.stderr)
        return
    for name in names:
        register(PipelineModel(name), AsyncPipelineModel(name))
