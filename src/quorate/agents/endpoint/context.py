"""How long a served model's context is: as its server lists it, and as a refusal says.

Nobody tells it in a standard way. Lists of models name it as vLLM (`max_model_len`), LM Studio
(`loaded_context_length`), OpenRouter and Together (`context_length`), Groq (`context_window`) or Mistral
(`max_context_length`) do; a refusal of a prompt that is too long mostly has the number among its words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["context_in_listing", "context_in_words", "is_too_long"]

_LISTED = ("max_model_len", "loaded_context_length", "context_length", "context_window", "max_context_length")
_N = r"(\d[\d,_]{0,11}\d)\b"
_NUMBERS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"context (?:length|size|window)(?: is| of|:|=| \(|\W)(?: only)?\W{{0,2}}{_N}",
        rf"maximum (?:context|model|prompt|sequence|input) length(?: is| of)? {_N}",
        rf"(?:model with|>) {_N} maximum\b",
        rf"tokens allowed\W{{1,3}}{_N}",
        rf"tokens.? \+ .?max_new_tokens.? must be <= {_N}",
        rf"tokens in the prompt cannot exceed {_N}",
        rf"limit of {_N} (?:input )?tokens",
        rf"max_model_len\W{{1,3}}{_N}",
    )
]
"""Where the limit stands in a refusal; the other numbers are what was asked for."""
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum (?:model|prompt|sequence|input) length"
    r"|(?:prompt|input|request)\b[^.]{0,40} (?:too long|longer than)|prompt contains [^.]{0,60} too large"
    r"|too many (?:input |prompt )?tokens|tokens allowed|max_new_tokens.? must be"
    r"|reduce the length of the|greater than max_model_len|input tokens? exceed|exceeds? the context",
    re.IGNORECASE,
)


def is_too_long(words: str) -> bool:
    """Whether a refusal says that prompt and answer do not fit into the model's context."""
    return _TOO_LONG.search(words) is not None


def context_in_words(words: str) -> int | None:
    """The tokens that prompt and answer may have together, as such a refusal says; None where it does not."""
    for pattern in _NUMBERS:
        if match := pattern.search(words):
            return int(re.sub(r"\D", "", match[1]))
    return None


def context_in_listing(entries: object, model: str) -> int | None:
    """The same, as a server's list of models says.

    Args:
        entries: of the list.
        model: as the server names it; where no entry has this name, a list of one is about it.
    """
    listed = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
    about: Mapping[str, Any] = next((e for e in listed if e.get("id") == model), listed[0] if len(listed) == 1 else {})
    lengths = (about.get(name) for name in _LISTED)
    return next((n for n in lengths if isinstance(n, int) and not isinstance(n, bool) and n > 0), None)
