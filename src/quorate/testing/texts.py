"""The protocol of text completions as servers speak it, in JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from .script import Reply, pieces_of
from .wire import usage_body

__all__ = ["TEXT", "text_body", "text_chunks"]

TEXT = "/v1/completions"

_COMMON = {"id": "cmpl-scripted", "object": "text_completion", "created": 1_700_000_000}


def text_body(reply: Reply, body: Mapping[str, Any]) -> bytes:
    """The whole reply: the choices of the first prompt, those of the second, ..."""
    choices = []
    for place, prompt in _places(body):
        echoed = pieces_of(prompt) if body.get("echo") else []
        pieces = [*echoed, *(reply.pieces_of(place) if body.get("max_tokens") != 0 else [])]
        end = "length" if body.get("max_tokens") == 0 else reply.finish_reason
        logprobs = _logprobs(body, pieces)
        choices.append({"index": place, "text": "".join(pieces), "finish_reason": end, "logprobs": logprobs})
    usage = usage_body(*_counted(reply, body))
    return json.dumps({**_COMMON, "model": body.get("model"), "choices": choices, **usage}).encode()


def text_chunks(reply: Reply, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The chunks of a streamed reply, one choice after the other."""
    common = {**_COMMON, "model": body.get("model")}
    options = body.get("stream_options") or {}
    for place, prompt in _places(body):
        pieces = reply.pieces_of(place)
        for number, piece in enumerate(pieces, start=1):
            end = reply.finish_reason if number == len(pieces) else None
            choice = {"index": place, "text": piece, "finish_reason": end, "logprobs": _logprobs(body, [piece])}
            told = options.get("continuous_usage_stats")
            usage = usage_body(len(pieces_of(prompt)), number) if told else {}
            yield {**common, "choices": [choice], **usage}
    if options.get("include_usage"):
        yield {**common, "choices": [], **usage_body(*_counted(reply, body))}


def _prompts(body: Mapping[str, Any]) -> list[str]:
    """Token ids read as one word each."""
    prompt = body["prompt"]
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt[0], int):
        return [" ".join(map(str, prompt))]
    return [each if isinstance(each, str) else " ".join(map(str, each)) for each in prompt]


def _places(body: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Every choice with its prompt."""
    n = int(body.get("n") or 1)
    return ((i * n + j, prompt) for i, prompt in enumerate(_prompts(body)) for j in range(n))


def _counted(reply: Reply, body: Mapping[str, Any]) -> tuple[int, int]:
    if reply.usage is not None:
        return reply.usage
    written = 0 if body.get("max_tokens") == 0 else sum(len(reply.pieces_of(place)) for place, _ in _places(body))
    return sum(len(pieces_of(prompt)) for prompt in _prompts(body)), written


def _logprobs(body: Mapping[str, Any], pieces: list[str]) -> dict[str, Any] | None:
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
