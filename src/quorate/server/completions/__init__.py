"""`POST /v1/completions`.

A single model whose server has text completions gets the request as it is (`passed`), so that everything such
servers can do works. Pipelines and other models get each prompt as a conversation of one message (`written`).
"""

from __future__ import annotations

from quorate.orchestrator.protocols import Completing

from ..access.visitor import Visitor
from ..asking import bounded, found
from ..settings import ServerSettings
from .passed import PassedExchange
from .schema import CompletionRequest
from .written import WrittenExchange

__all__ = ["CompletionRequest", "Completions"]


class Completions:
    """OpenAI's older text completions, from a model or a pipeline."""

    path = "/completions"
    form = CompletionRequest

    async def exchange(
        self, request: CompletionRequest, visitor: Visitor, settings: ServerSettings
    ) -> PassedExchange | WrittenExchange:
        """See `api.Api`."""
        model = await found(request.model, request.control, visitor)
        if isinstance(model, Completing):
            return PassedExchange(request, model, visitor, settings)
        return WrittenExchange(request, bounded(request.order(), model, visitor, settings))
