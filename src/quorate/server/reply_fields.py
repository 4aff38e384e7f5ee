"""What replies of all APIs have in common: ends, usage, log-probabilities, and our own `quorate` object.

`{"answer", "tally", "stopped", "degraded", "usage": {..., "nodes": [...]}}`, of a pipeline its `path` (the nodes in
the order in which they ended, each with its seconds and outcome), of a panel what it told beyond its answer
(`analysis`, `scores`, `dissents`, `savings`), and with `trace` the `candidates`. At the top it is
that of the first choice with the usage of the whole request; where the request asked for several choices, each has
its own too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quorate.aggregators.meaning.grouping import measure_agreement
from quorate.orchestrator.types import Answer, Candidate, Degradation, NodeUsage, TokenLogprob, Usage

from .generation import Generation, Outcome

__all__ = [
    "describe_candidate",
    "list_logprobs",
    "make_choice_fields",
    "make_quorate",
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


def make_quorate(generation: Generation, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The `quorate` object of the whole reply."""
    answer = next(outcome for outcome in outcomes if isinstance(outcome, Answer))
    failed = tuple(
        Degradation(code="choice_failed", where=f"choice {index}", detail=str(outcome))
        for index, outcome in enumerate(outcomes)
        if not isinstance(outcome, Answer)
    )
    ledger = generation.ledger
    return _make_quorate(generation, answer, ledger.usage, ledger.nodes, (*answer.degraded, *failed))


def make_choice_fields(generation: Generation, answer: Answer) -> dict[str, Any]:
    """One of several choices has its own `quorate` object; an only one has none."""
    if generation.choices == 1:
        return {}
    return {"quorate": _make_quorate(generation, answer, answer.usage, answer.nodes, answer.degraded)}


def make_quorate_usage(usage: Usage, nodes: Iterable[NodeUsage]) -> dict[str, Any]:
    """The usage with its cost, and which model spent it in which node of the pipeline."""
    return {
        **usage.model_dump(),
        "nodes": [{"node": each.node, "model": each.model, **each.usage.model_dump()} for each in nodes],
    }


def list_logprobs(generation: Generation, answer: Answer) -> list[dict[str, Any]] | None:
    """Tokens of the candidate that won, where they were asked for and are known."""
    if not generation.request.logprobs or (winner := answer.winner) is None or winner.logprobs is None:
        return None
    return [_describe_logprob(token) for token in winner.logprobs]


def _make_quorate(
    generation: Generation, answer: Answer, usage: Usage, nodes: Iterable[NodeUsage], degraded: Iterable[Degradation]
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "answer": answer.answer,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [each.model_dump(mode="json") for each in degraded],
        "usage": make_quorate_usage(usage, nodes),
        "max_requests": generation.requests.most,
    }
    if (agreement := measure_agreement(answer.tally)) is not None:
        fields["agreement"] = {"share": agreement.share, "entropy": agreement.entropy}
    if answer.path:
        fields["path"] = [visit.model_dump(mode="json") for visit in answer.path]
    fields |= _describe_panel(answer)
    if generation.request.control.trace:
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
