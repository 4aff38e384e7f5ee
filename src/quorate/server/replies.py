"""Answers in OpenAI's form, with ours in the reply's `quorate` object.

`{"answer", "tally", "stopped", "degraded", "usage": {..., "stages": [...]}}`, and with `trace` the
`candidates`. At the top it is that of the first choice with the usage of the whole request; where the
request asked for several choices, each has its own too.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from quorate.orchestrator.types import Answer, Candidate, Degradation, StageUsage, TokenLogprob, Usage

from .asking import Asking, Outcome

__all__ = ["choice_part", "completion", "head", "quorate_part", "usage_part"]

FINISH = {"cancelled": "length", "error": "stop"}
"""Our finish reasons that OpenAI does not know."""

LEAST_LOGPROB = -9999.0
"""OpenAI's and vLLM's value for a probability of zero; JSON has no infinity."""


def head(asking: Asking, kind: str) -> dict[str, Any]:
    """The fields that a reply and every chunk of a stream begin with."""
    identity = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": identity, "object": kind, "created": int(time.time()), "model": asking.model.name}


def completion(asking: Asking, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The reply that is not streamed; a choice that failed is left out and told in `quorate.degraded`."""
    choices = [_choice(asking, i, answer) for i, answer in enumerate(outcomes) if isinstance(answer, Answer)]
    return {
        **head(asking, "chat.completion"),
        "choices": choices,
        "usage": usage_part(asking.ledger.usage),
        "quorate": quorate_part(asking, outcomes),
    }


def usage_part(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage: what all upstreams counted."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def quorate_part(asking: Asking, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The `quorate` object of the whole reply."""
    answer = next(outcome for outcome in outcomes if isinstance(outcome, Answer))
    failed = tuple(
        Degradation(code="choice_failed", where=f"choice {index}", detail=str(outcome))
        for index, outcome in enumerate(outcomes)
        if not isinstance(outcome, Answer)
    )
    return _part(answer, asking.ledger.usage, asking.ledger.stages, (*answer.degraded, *failed), trace=asking.trace)


def choice_part(asking: Asking, answer: Answer) -> dict[str, Any]:
    """What a choice has beside its message: its end, its logprobs, and one of several its own `quorate`."""
    part: dict[str, Any] = {"finish_reason": FINISH.get(answer.finish_reason, answer.finish_reason), "logprobs": None}
    if asking.logprobs and (winner := answer.winner) is not None and winner.logprobs is not None:
        part["logprobs"] = {"content": [_logprob(token) for token in winner.logprobs], "refusal": None}
    if asking.choices > 1:
        part["quorate"] = _part(answer, answer.usage, answer.stages, answer.degraded, trace=asking.trace)
    return part


def _choice(asking: Asking, index: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": list(answer.tool_calls)}
    return {"index": index, "message": message, **choice_part(asking, answer)}


def _part(
    answer: Answer, usage: Usage, stages: Iterable[StageUsage], degraded: Iterable[Degradation], *, trace: bool
) -> dict[str, Any]:
    part: dict[str, Any] = {
        "answer": answer.answer,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [each.model_dump(mode="json") for each in degraded],
        "usage": {**usage.model_dump(), "stages": [_stage(stage) for stage in stages]},
    }
    if trace:
        part["candidates"] = [_candidate(candidate) for candidate in answer.candidates]
    return part


def _stage(stage: StageUsage) -> dict[str, Any]:
    return {"stage": stage.stage, "model": stage.model, **stage.usage.model_dump()}


def _candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate of the trace; its logprobs stay out, which are many times its text."""
    return candidate.model_dump(mode="json", exclude={"logprobs"})


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    return {**_token(token.token, token.logprob), "top_logprobs": [_token(text, value) for text, value in token.top]}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": max(logprob, LEAST_LOGPROB),
        "bytes": list(text.encode(errors="replace")),
    }
