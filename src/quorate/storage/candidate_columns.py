"""A candidate as columns of a table, and back without loss.

The sample bank and the server's traces keep candidates in the same columns, so that what was served can be
replayed, graded and learned from.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from quorate.orchestrator.types import Candidate, Degradation, Ensembling, Frozen, TokenLogprob, Usage

__all__ = ["CANDIDATE", "LATER", "candidate_of", "columns_of", "pack_logprobs", "replace_surrogates", "unpack_logprobs"]

_TEXTS = ("text", "reasoning", "answer")
_PLAIN = ("model", "agent", *_TEXTS, "finish_reason", "seed", "prompt_version", "latency")
_USAGE = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "requests", "cost", "estimated")
LATER = ("ensembling", "degraded")
"""Columns that the first tables and exports did not have."""
CANDIDATE = (*_PLAIN, *_USAGE, "mean_logprob", "logprobs", "tool_calls", *LATER)
"""Names of the columns."""


def columns_of(candidate: Candidate) -> dict[str, Any]:
    """The columns of a candidate that came through; its index has a column elsewhere."""
    row = {name: getattr(candidate, name) for name in _PLAIN}
    row.update((name, replace_surrogates(row[name])) for name in _TEXTS)
    row.update((name, getattr(candidate.usage, name)) for name in _USAGE)
    logprobs = candidate.logprobs
    row["mean_logprob"] = sum(t.logprob for t in logprobs) / len(logprobs) if logprobs else None
    row["logprobs"] = None if logprobs is None else pack_logprobs(logprobs)
    row["tool_calls"] = json.dumps(candidate.tool_calls, ensure_ascii=True) if candidate.tool_calls else None
    row["ensembling"] = None if candidate.ensembling is None else json.dumps(_lean(candidate.ensembling))
    row["degraded"] = json.dumps([_lean(each) for each in candidate.degraded]) if candidate.degraded else None
    return row


def candidate_of(row: Any, index: int) -> Candidate:
    """The candidate of these columns, a row or a mapping; pydantic's ValidationError where they hold nonsense."""
    logprobs = row["logprobs"]
    return Candidate(
        index=index,
        **{name: row[name] for name in _PLAIN},
        tool_calls=json.loads(row["tool_calls"]) if row["tool_calls"] else (),
        usage=Usage(**{name: row[name] for name in _USAGE}),
        logprobs=None if logprobs is None else unpack_logprobs(logprobs),
        ensembling=Ensembling.model_validate(json.loads(row["ensembling"])) if row["ensembling"] else None,
        degraded=tuple(Degradation.model_validate(each) for each in json.loads(row["degraded"] or "[]")),
    )


def _lean(value: Frozen) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_defaults=True)


def pack_logprobs(logprobs: tuple[TokenLogprob, ...]) -> bytes:
    """Tokens with their probabilities in about a tenth of their size."""
    return zlib.compress(json.dumps([[t.token, t.logprob, t.top] for t in logprobs]).encode())


def unpack_logprobs(data: bytes) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=token, logprob=logprob, top=tuple((t, p) for t, p in top))
        for token, logprob, top in json.loads(zlib.decompress(data))
    )


def replace_surrogates(text: str | None) -> str | None:
    """The text, with halves of surrogate pairs, which no file can hold, replaced."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
