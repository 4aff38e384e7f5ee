"""`POST /v1/embeddings` and `/v1/rerank`: what a model behind a server does beside answering, passed on as it came."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from quorate.aggregators.replies import make_quorate_usage
from quorate.config.server_settings import ServerSettings
from quorate.orchestrator.protocols import Forwarding
from quorate.orchestrator.types import Answer, Message, Question

from ..context import Caller
from ..generation import Generation, GenerationRequest, check_limits, make_generation, resolve_model
from ..http.errors import BadField
from ..http.sse import encode_event
from .fields import ModelRequest

__all__ = ["Embeddings", "Rerank"]

OURS = frozenset({"model", "quorate", "stream"})
Texts = Annotated[
    str | list[Any],
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]}),
]


class ForwardedRequest(ModelRequest):
    """Base."""

    stream: Literal[False] | None = None
    """There is nothing to stream."""


class EmbeddingRequest(ForwardedRequest):
    """`POST /v1/embeddings`."""

    input: Texts
    """Texts, or ids of tokens."""


class RerankRequest(ForwardedRequest):
    """`POST /v1/rerank`, as Jina, Cohere and vLLM have it."""

    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[list[Any], Field(min_length=1)]


class _Forwarded:
    """Base: a bare model of an endpoint gets the request on its server's own route."""

    path: str

    async def prepare(self, request: ModelRequest, caller: Caller, settings: ServerSettings) -> ForwardedExchange:
        """See `routes.Api`."""
        model = await resolve_model(request.model, request.control, caller)
        if not isinstance(model, Forwarding):
            raise BadField(f"{model.name!r} is no model behind a server of its own, which alone has this API", "model")
        calls = check_limits(model, request.control, settings, n=1, questions=1)
        body = {n: v for n, v in request.model_dump(exclude_unset=True).items() if n not in OURS | request.stays}
        said = body.get("query") or body.get("input")
        question = Question(messages=(Message(role="user", content=said if isinstance(said, str) else None),))
        generation = await make_generation(
            GenerationRequest(model=request.model, questions=(question,), control=request.control),
            model,
            caller,
            calls=calls,
        )
        return ForwardedExchange(generation, model, self.path.removeprefix("/v1"), body)


class Embeddings(_Forwarded):
    """Embeddings, from a model behind a server that has them."""

    path = "/v1/embeddings"
    form = EmbeddingRequest


class Rerank(_Forwarded):
    """Documents by their relevance to a query, from a model behind a server that ranks."""

    path = "/v1/rerank"
    form = RerankRequest


class ForwardedExchange:
    """See `routes.Exchange`."""

    def __init__(self, generation: Generation, model: Forwarding, path: str, body: Mapping[str, Any]) -> None:
        self.generation = generation
        self._model, self._path, self._body = model, path, body

    async def reply(self) -> dict[str, Any]:
        """The server's reply, with our account beside its own."""
        generation = self.generation
        run = generation.make_context(0, seed=None).at_node("answer")
        reply = await self._model.forward(self._path, self._body, run)
        ledger = generation.ledger
        answer = Answer(text="", model=self._model.name, usage=ledger.usage, nodes=ledger.nodes)
        generation.caller.record.choice(0).complete(answer)
        ours = {"usage": make_quorate_usage(ledger.usage, ledger.nodes), "max_requests": generation.requests.most}
        return {**reply, "model": self._model.name, "quorate": ours}

    async def stream(self, write: Callable[[bytes], None]) -> None:
        """Is refused before."""
        raise NotImplementedError

    def encode_failure(self, envelope: dict[str, Any]) -> bytes:
        """The envelope as the last event."""
        return encode_event(envelope)
