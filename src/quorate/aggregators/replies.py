"""An answer in OpenAI's form, and what led to it as the `quorate` object.

The server's replies are made of these, and what other programs in this process get.

`{"answer", "tally", "stopped", "degraded", "usage": {..., "nodes": [...]}}`, of a pipeline its `path` (the nodes in
the order in which they ended, each with its seconds and outcome), of a panel what it told beyond its answer
(`analysis`, `scores`, `dissents`, `savings`), and with `trace` the `candidates`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quorate.orchestrator.types import Answer, Candidate, Degradation, TokenLogprob
from quorate.orchestrator.usage import NodeUsage, Usage

from .meaning.grouping import measure_agreement

__all__ = [
    "describe_answer",
    "describe_candidate",
    "list_logprobs",
    "make_quorate_usage",
    "make_usage",
    "translate_finish",
]

FINISH = {"cancelled": "length", "error": "stop"}
"""Our finish reasons that OpenAI does not know."""

LEAST_LOGPROB = -9999.0
"""OpenAI's and vLLM's value for a probability of zero; JSON has no infinity."""


def translate_finish(answer: Answer) -> str:
    """The finish reason, in OpenAI's words."""
    return FINISH.get(answer.finish_reason, answer.finish_reason)


def make_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage: what all upstreams counted; with OpenRouter's `cost` where it is known."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.prompt_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.completion_audio_tokens,
        },
        **({} if usage.cost is None else {"cost": usage.cost}),
    }


def make_quorate_usage(usage: Usage, nodes: Iterable[NodeUsage]) -> dict[str, Any]:
    """The usage with its cost, and which model spent it in which node of the pipeline."""
    return {
        **usage.model_dump(),
        "nodes": [{"node": each.node, "model": each.model, **each.usage.model_dump()} for each in nodes],
    }


def list_logprobs(answer: Answer) -> list[dict[str, Any]] | None:
    """Tokens of the candidate that won, where they are known."""
    if (winner := answer.winner) is None or winner.logprobs is None:
        return None
    return [_describe_logprob(token) for token in winner.logprobs]


def describe_answer(
    answer: Answer,
    *,
    usage: Usage | None = None,
    nodes: Iterable[NodeUsage] | None = None,
    degraded: Iterable[Degradation] | None = None,
    trace: bool = False,
) -> dict[str, Any]:
    """What led to an answer, as JSON.

    Args:
        answer: the one.
        usage, nodes, degraded: those of a whole request; the answer's own if not given.
        trace: whether every candidate is listed.
    """
    spent = make_quorate_usage(answer.usage if usage is None else usage, answer.nodes if nodes is None else nodes)
    fields: dict[str, Any] = {
        "answer": answer.answer,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [each.model_dump(mode="json") for each in (answer.degraded if degraded is None else degraded)],
        "usage": spent,
    }
    if (agreement := measure_agreement(answer.tally)) is not None:
        fields["agreement"] = {"share": agreement.share, "entropy": agreement.entropy}
    if answer.path:
        fields["path"] = [visit.model_dump(mode="json") for visit in answer.path]
    fields |= _describe_panel(answer)
    if trace:
        fields["candidates"] = [describe_candidate(candidate) for candidate in answer.candidates]
    return fields


def _describe_panel(answer: Answer) -> dict[str, Any]:
    """What a panel has told beyond its answer: no field where there is nothing of its kind."""
    fields: dict[str, Any] = {}
    if answer.analysis is not None:
        fields["analysis"] = answer.analysis.model_dump(mode="json")
    if answer.scores:
        fields["scores"] = {str(index): score for index, score in answer.scores.items()}
    for name, values in (("dissents", answer.dissents), ("savings", answer.savings)):
        if values:
            fields[name] = [value.model_dump(mode="json") for value in values]
    if answer.effective_votes is not None:
        fields["effective_votes"] = answer.effective_votes
    return fields


def describe_candidate(candidate: Candidate) -> dict[str, Any]:
    """A candidate of the trace; its logprobs stay out, which are many times its text, and what only accounts need."""
    return candidate.model_dump(mode="json", exclude={"logprobs", "prompt_counted"})


def _describe_logprob(token: TokenLogprob) -> dict[str, Any]:
    alternatives = [_describe_token(text, value) for text, value in token.top]
    return {**_describe_token(token.token, token.logprob), "top_logprobs": alternatives}


def _describe_token(text: str, logprob: float) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": max(logprob, LEAST_LOGPROB),
        "bytes": list(text.encode(errors="replace")),
    }
