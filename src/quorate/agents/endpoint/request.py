"""The body of a chat request, in the dialect that its server understands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

__all__ = ["Dialect", "chat_body", "encoded", "names_n"]

_STREAM_OPTIONS = {"include_usage": True, "continuous_usage_stats": True}
_MEANS_STREAM_OPTIONS = re.compile(r"stream_options|include_usage|continuous_usage_stats")
_MEANS_N = re.compile(r"(?<!\w)n(?!\w)")


@dataclass
class Dialect:
    """What a server has been found to understand; its refusals teach it."""

    n: bool | None = None
    """Whether one request may ask for several samples; None until tried."""
    max_tokens: str = "max_tokens"
    stream_options: Mapping[str, Any] | None = field(default_factory=lambda: _STREAM_OPTIONS)

    def learn(self, body: Mapping[str, Any], refusal: str) -> None:
        """Takes note of what in this body the server's words object to."""
        options = body.get("stream_options")
        if options and _MEANS_STREAM_OPTIONS.search(refusal):
            self.stream_options = {"include_usage": True} if len(options) > 1 else None
        elif "max_tokens" in body and "max_completion_tokens" in refusal:
            self.max_tokens = "max_completion_tokens"


def names_n(refusal: str) -> bool:
    """Whether a server's words are about the number of samples."""
    return _MEANS_N.search(refusal) is not None


def chat_body(
    model: str, question: Question, dialect: Dialect, *, n: int, seed: int | None, live: bool
) -> dict[str, Any]:
    """The request as the server gets it; only what is set, `sampling.extra` last."""
    sampling = question.sampling
    logprobs = sampling.top_logprobs is not None
    fields = {
        "model": model,
        "messages": [message.model_dump(mode="json", exclude_unset=True) for message in question.messages],
        "n": n if n > 1 else None,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        dialect.max_tokens: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": seed,
        "logprobs": logprobs or None,
        "top_logprobs": sampling.top_logprobs or None,
        "tools": list(question.tools) or None,
        "tool_choice": question.tool_choice,
        "response_format": question.response_format,
        "stream": live or None,
        "stream_options": dialect.stream_options if live else None,
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(sampling.extra)


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body as JSON.

    Raises:
        BadInput: it holds something that JSON cannot.
    """
    try:
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise BadInput(f"the request cannot be written as JSON ({error}): look at sampling.extra, tools") from None
