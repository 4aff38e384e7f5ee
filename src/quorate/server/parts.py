"""What replies of all APIs have in common: ends, usage, log-probabilities, and our own `quorate` object.

`{"answer", "tally", "stopped", "degraded", "usage": {..., "stages": [...]}}`, and with `trace` the
`candidates`. At the top it is that of the first choice with the usage of the whole request; where the
request asked for several choices, each has its own too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quorate.orchestrator.types import Answer, Candidate, Degradation, NodeUsage, TokenLogprob, Usage

from .asking import Asking, Outcome

__all__ = ["choice_part", "finish_part", "logprob_parts", "quorate_part", "usage_part", "usage_quorate"]

FINISH = {"cancelled": "length", "error": "stop"}
"""Our finish reasons that OpenAI does not know."""

LEAST_LOGPROB = -9999.0
"""OpenAI's and vLLM's value for a probability of zero; JSON has no infinity."""


def finish_part(answer: Answer) -> str:
    """The finish reason, in OpenAI's words."""
    return FINISH.get(answer.finish_reason, answer.finish_reason)


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
    return _part(asking, answer, asking.ledger.usage, asking.ledger.nodes, (*answer.degraded, *failed))


def choice_part(asking: Asking, answer: Answer) -> dict[str, Any]:
    """One of several choices has its own `quorate` object; an only one has none."""
    if asking.choices == 1:
        return {}
    return {"quorate": _part(asking, answer, answer.usage, answer.nodes, answer.degraded)}


def usage_quorate(usage: Usage, stages: Iterable[NodeUsage]) -> dict[str, Any]:
    """The usage with its cost, and of which stages it is made."""
    return {**usage.model_dump(), "stages": [_stage(stage) for stage in stages]}


def logprob_parts(asking: Asking, answer: Answer) -> list[dict[str, Any]] | None:
    """Tokens of the candidate that won, where they were asked for and are known."""
    if not asking.order.logprobs or (winner := answer.winner) is None or winner.logprobs is None:
        return None
    return [_logprob(token) for token in winner.logprobs]


def _part(
    asking: Asking, answer: Answer, usage: Usage, stages: Iterable[NodeUsage], degraded: Iterable[Degradation]
) -> dict[str, Any]:
    part: dict[str, Any] = {
        "answer": answer.answer,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [each.model_dump(mode="json") for each in degraded],
        "usage": usage_quorate(usage, stages),
    }
    if asking.order.control.trace:
        part["candidates"] = [_candidate(candidate) for candidate in answer.candidates]
    return part


def _stage(stage: NodeUsage) -> dict[str, Any]:
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
