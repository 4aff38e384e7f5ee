"""The chat protocol as servers speak it, in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from .script import Reply, pieces_of

__all__ = [
    "OTHERS",
    "SCORING",
    "counted",
    "error_body",
    "models_body",
    "plain_body",
    "says_something",
    "score_body",
    "sse",
    "stream_chunks",
    "usage_body",
]

SCORING = ("/pooling", "/v1/score", "/v1/rerank")
"""Paths of reward models and rerankers."""

OTHERS = ("/tokenize", "/v1/embeddings")
"""Paths that are only there for scripts that give their replies as they are, see `Raw`."""

_COMMON = {"id": "chatcmpl-scripted", "created": 1_700_000_000}


def error_body(code: int, message: str, param: str | None = None) -> bytes:
    kind = "invalid_request_error" if code < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def models_body(models: Sequence[str], about: Mapping[str, Any]) -> bytes:
    common = {"object": "model", "created": 1_700_000_000, "owned_by": "quorate", **about}
    data = [{"id": name, **common} for name in models]
    return json.dumps({"object": "list", "data": data}).encode()


def plain_body(reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The whole reply to a request that does not stream."""
    choices = [_choice(reply, body, place) for place in range(_n(body))]
    usage = usage_body(*counted(reply, body))
    return json.dumps(
        _COMMON | {"object": "chat.completion", "model": body.get("model"), "choices": choices} | usage
    ).encode()


def score_body(path: str, reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The reply of a scoring endpoint as vLLM sends it; JSON has no NaN, but Python's reads and writes it."""
    score = float(reply.text_of(0))
    usage = usage_body(*counted(reply, body)) if "messages" in body else usage_body(len(pieces_of(json.dumps(body))), 0)
    if path == "/v1/rerank":
        [document] = body["documents"]
        found = [{"index": 0, "document": {"text": document}, "relevance_score": score}]
        return json.dumps({"id": "score-scripted", "model": body.get("model"), "results": found} | usage).encode()
    entry = {"object": "pooling", "data": [score]} if path == "/pooling" else {"object": "score", "score": score}
    whole = {"id": "score-scripted", "object": "list", "created": _COMMON["created"], "model": body.get("model")}
    return json.dumps(whole | {"data": [{"index": 0} | entry]} | usage).encode()


def stream_chunks(reply: Reply, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed reply, the choices interleaved."""
    common = _COMMON | {"object": "chat.completion.chunk", "model": body.get("model")}
    options = body.get("stream_options") or {}
    prompt, completion = counted(reply, body)
    for chunk, place, sent in _deltas(reply, body):
        usage = usage_body(prompt, sent) if options.get("continuous_usage_stats") else {}
        yield common | {"choices": [{"index": place, "logprobs": None, "finish_reason": None} | chunk]} | usage
    if options.get("include_usage"):
        yield common | {"choices": []} | usage_body(prompt, completion)


def says_something(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk holds a piece of an answer's text."""
    return any(choice.get("text") or choice.get("delta", {}).get("content") for choice in chunk["choices"])


def sse(data: Mapping[str, Any] | str) -> bytes:
    """One event of a stream."""
    return f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def _deltas(reply: Reply, body: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], int, int]]:
    """What each chunk says of its choice, with its place and the tokens it has had so far."""
    places = range(_n(body))
    sent = [0] * len(places)
    for place in places:
        yield {"delta": {"role": "assistant", "content": ""}}, place, 0
    for row in zip_longest(*(_parts(reply, place) for place in places)):
        for place, part in zip(places, row, strict=True):
            if part is not None:
                sent[place] += 1
                yield {"delta": part} | _logprobs(body, [part.get("content") or ""]), place, sent[place]
    for place in places:
        if reply.tool_calls:
            yield {"delta": {"tool_calls": _calls(reply)}}, place, sent[place]
        yield {"delta": {}, "finish_reason": reply.finish_reason}, place, sent[place]


def _parts(reply: Reply, place: int) -> list[dict[str, str]]:
    thoughts = [{"reasoning": piece} for piece in pieces_of(reply.reasoning)]
    return thoughts + [{"content": piece} for piece in reply.pieces_of(place)]


def _choice(reply: Reply, body: Mapping[str, Any], place: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text_of(place)}
    if reply.reasoning:
        message["reasoning"] = reply.reasoning
    if reply.tool_calls:
        message |= {"content": message["content"] or None, "tool_calls": _calls(reply)}
    whole = {"index": place, "message": message, "logprobs": None, "finish_reason": reply.finish_reason}
    return whole | _logprobs(body, reply.pieces_of(place))


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [{"index": position, **call} for position, call in enumerate(reply.tool_calls)]


def _logprobs(body: Mapping[str, Any], pieces: list[str]) -> dict[str, Any]:
    """A made-up probability of a half for every token, and less for its alternatives."""
    if not body.get("logprobs"):
        return {}
    top = int(body.get("top_logprobs") or 0)

    def entry(token: str, rank: int) -> dict[str, Any]:
        return {"token": token, "logprob": -0.69 * (rank + 1), "bytes": list(token.encode())}

    content = [
        entry(p, 0) | {"top_logprobs": [entry(p if rank == 0 else f"{p}{rank}", rank) for rank in range(top)]}
        for p in pieces
    ]
    return {"logprobs": {"content": content}}


def counted(reply: Reply, body: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt and generated tokens of the request."""
    if reply.usage is not None:
        return reply.usage
    prompt = sum(len(pieces_of(str(message.get("content") or ""))) for message in body.get("messages", ()))
    return prompt, sum(len(_parts(reply, place)) for place in range(_n(body)))


def usage_body(prompt: int, completion: int) -> dict[str, Any]:
    total = prompt + completion
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}}


def _n(body: Mapping[str, Any]) -> int:
    return int(body.get("n") or 1)
