"""The protocols of chats, text completions and scores as servers speak them, in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, zip_longest
from typing import Any

from .script import Reply, pieces_of

SCORING = ("/pooling", "/v1/score", "/v1/rerank")
"""Paths of reward models and rerankers."""

OTHERS = ("/tokenize", "/v1/embeddings")
"""Paths that are only there for scripts that give their replies as they are, see `Raw`."""

TEXT = "/v1/completions"
"""Path of text completions."""

_TEXT_COMMON = {"id": "cmpl-scripted", "object": "text_completion", "created": 1_700_000_000}
_COMMON = {"id": "chatcmpl-scripted", "created": 1_700_000_000}


def models_body(models: Sequence[str], about: Mapping[str, Any]) -> bytes:
    common = {"object": "model", "created": 1_700_000_000, "owned_by": "quorate", **about}
    data = [{"id": name, **common} for name in models]
    return json.dumps({"object": "list", "data": data}).encode()


def plain_body(reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The whole reply to a request that does not stream."""
    choices = [_choice(reply, body, place) for place in range(_n(body))]
    usage = usage_body(*count_tokens(reply, body))
    return json.dumps(
        _COMMON | {"object": "chat.completion", "model": body.get("model"), "choices": choices} | usage
    ).encode()


def score_body(path: str, reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The reply of a scoring endpoint as vLLM sends it; JSON has no NaN, but Python's reads and writes it."""
    score = float(reply.text_of(0))
    usage = (
        usage_body(*count_tokens(reply, body))
        if "messages" in body
        else usage_body(len(pieces_of(json.dumps(body))), 0)
    )
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
    prompt, completion = count_tokens(reply, body)
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


def count_tokens(reply: Reply, body: Mapping[str, Any]) -> tuple[int, int]:
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


def text_body(reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The whole reply: the choices of the first prompt, those of the second, ..."""
    choices = []
    for place, prompt in _text_places(body):
        echoed = pieces_of(prompt) if body.get("echo") else []
        pieces = [*echoed, *(reply.pieces_of(place) if body.get("max_tokens") != 0 else [])]
        end = "length" if body.get("max_tokens") == 0 else reply.finish_reason
        logprobs = _text_logprobs(body, pieces)
        choices.append({"index": place, "text": "".join(pieces), "finish_reason": end, "logprobs": logprobs})
    usage = usage_body(*_count_text_tokens(reply, body))
    return json.dumps({**_TEXT_COMMON, "model": body.get("model"), "choices": choices, **usage}).encode()


def text_chunks(reply: Reply, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed reply, one choice after the other."""
    common = {**_TEXT_COMMON, "model": body.get("model")}
    options = body.get("stream_options") or {}
    for place, prompt in _text_places(body):
        pieces = reply.pieces_of(place)
        for number, piece in enumerate(pieces, start=1):
            end = reply.finish_reason if number == len(pieces) else None
            choice = {"index": place, "text": piece, "finish_reason": end, "logprobs": _text_logprobs(body, [piece])}
            tells = options.get("continuous_usage_stats")
            usage = usage_body(len(pieces_of(prompt)), number) if tells else {}
            yield {**common, "choices": [choice], **usage}
    if options.get("include_usage"):
        yield {**common, "choices": [], **usage_body(*_count_text_tokens(reply, body))}


def _prompts(body: Mapping[str, Any]) -> list[str]:
    """Token ids read as one word each."""
    prompt = body["prompt"]
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt[0], int):
        return [" ".join(map(str, prompt))]
    return [each if isinstance(each, str) else " ".join(map(str, each)) for each in prompt]


def _text_places(body: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Every choice with its prompt."""
    n = int(body.get("n") or 1)
    return ((i * n + j, prompt) for i, prompt in enumerate(_prompts(body)) for j in range(n))


def _count_text_tokens(reply: Reply, body: Mapping[str, Any]) -> tuple[int, int]:
    if reply.usage is not None:
        return reply.usage
    written = 0 if body.get("max_tokens") == 0 else sum(len(reply.pieces_of(place)) for place, _ in _text_places(body))
    return sum(len(pieces_of(prompt)) for prompt in _prompts(body)), written


def _text_logprobs(body: Mapping[str, Any], pieces: list[str]) -> dict[str, Any] | None:
    """A made-up probability of a half for every token; the first of a prompt has none."""
    if body.get("logprobs") is None:
        return None
    known = [None if number == 0 and body.get("echo") else -0.69 for number in range(len(pieces))]
    return {
        "tokens": pieces,
        "token_logprobs": known,
        "top_logprobs": [None if value is None else {piece: value} for piece, value in zip(pieces, known, strict=True)],
        "text_offset": list(accumulate(map(len, pieces), initial=0))[:-1],
    }
