"""Contexts of token ids sent to `/v1/completions`, and what their model says next, token by token.

Ids come back as `token_id:N` (`return_tokens_as_token_ids`, vLLM's word): decoded tokens collide, since
several ids may read the same and half a character reads as a replacement mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quorate.orchestrator.tokens import Draw
from quorate.orchestrator.types import Usage

from .reply import Counts, Malformed
from .settings import Price

__all__ = ["Said", "ask_body", "read_texts", "usage_of"]

_ID = "token_id:"


@dataclass(frozen=True, slots=True)
class Said:
    """One token: the one that was chosen, and the likeliest with their log-probabilities."""

    token: int
    entries: Mapping[int, float]


def ask_body(
    model: str, prompts: Sequence[Sequence[int]], limit: int, k: int, draw: Draw | None = None
) -> dict[str, Any]:
    """A request for each prompt's next tokens, nothing of the server's own settings mixed in."""
    settings: dict[str, Any] = {"temperature": 0.0}
    if draw is not None:
        settings = {"temperature": draw.temperature, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "seed": draw.seed}
    return {
        "model": model,
        "prompt": [list(prompt) for prompt in prompts] if len(prompts) > 1 else list(prompts[0]),
        "max_tokens": limit,
        "logprobs": k,
        "return_tokens_as_token_ids": True,
        "repetition_penalty": 1.0,
        **settings,
    }


def usage_of(
    reply: Mapping[str, Any], prompts: Sequence[Sequence[int]], written: int, tries: int, price: Price | None
) -> Usage:
    """What the server counted; our own count, marked so, where it did not."""
    counts = Counts.of(reply)
    told = counts or Counts(sum(map(len, prompts)), written)
    return Usage(
        prompt_tokens=told.prompt,
        completion_tokens=told.completion,
        requests=tries,
        cost=price.of(told.prompt, told.completion) if price else None,
        estimated=counts is None and bool(told.prompt or told.completion),
    )


def read_texts(reply: Mapping[str, Any], prompts: int) -> list[list[Said]]:
    """The tokens after each prompt, in order.

    Raises:
        Malformed: log-probabilities or ids are missing, or the choices are not one a prompt.
    """
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != prompts:
        raise Malformed(f"{len(choices) if isinstance(choices, list) else 'no'} choices for {prompts} prompts")
    texts: dict[int, list[Said]] = {}
    for choice in choices:
        index = choice.get("index") if isinstance(choice, dict) else None
        if not isinstance(index, int) or not 0 <= index < prompts:
            raise Malformed(f"a choice of index {index!r} for {prompts} prompts")
        texts[index] = _text(choice)
    if len(texts) != prompts:
        raise Malformed("two choices of the same index")
    return [texts[index] for index in range(prompts)]


def _text(choice: Mapping[str, Any]) -> list[Said]:
    logprobs = choice.get("logprobs")
    tokens, likeliest = (
        (logprobs.get("tokens"), logprobs.get("top_logprobs")) if isinstance(logprobs, dict) else (None, None)
    )
    if not isinstance(tokens, list) or not isinstance(likeliest, list) or len(tokens) != len(likeliest):
        raise Malformed("no log-probabilities (logprobs.tokens and logprobs.top_logprobs)")
    if not tokens:
        raise Malformed("no token")
    return [_said(token, entries) for token, entries in zip(tokens, likeliest, strict=True)]


def _said(token: Any, entries: Any) -> Said:
    if not isinstance(entries, dict) or not entries:
        raise Malformed("a token without log-probabilities")
    return Said(_id(token), {_id(name): _value(value) for name, value in entries.items()})


def _id(name: Any) -> int:
    if not isinstance(name, str) or not name.startswith(_ID) or not name[len(_ID) :].isdecimal():
        raise Malformed(f"no token id but {str(name)[:40]!r}")
    return int(name[len(_ID) :])


def _value(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Malformed(f"a log-probability of {value!r}")
    return min(float(value), 0.0)
