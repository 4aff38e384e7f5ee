"""What replies of all APIs have in common: usage, and our own `quorate` object (`aggregators.replies`).

At the top it is that of the first choice with the usage of the whole request; where the request asked for several
choices, each has its own too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.aggregators import replies
from quorate.orchestrator.types import Answer, Degradation

from .generation import Generation, Outcome

__all__ = ["list_logprobs", "make_choice_fields", "make_quorate"]


def make_quorate(generation: Generation, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The `quorate` object of the whole reply."""
    answer = next(outcome for outcome in outcomes if isinstance(outcome, Answer))
    failed = tuple(
        Degradation(code="choice_failed", where=f"choice {index}", detail=str(outcome))
        for index, outcome in enumerate(outcomes)
        if not isinstance(outcome, Answer)
    )
    ledger = generation.ledger
    return _describe(generation, answer, usage=ledger.usage, nodes=ledger.nodes, degraded=(*answer.degraded, *failed))


def make_choice_fields(generation: Generation, answer: Answer) -> dict[str, Any]:
    """One of several choices has its own `quorate` object; an only one has none."""
    return {} if generation.choices == 1 else {"quorate": _describe(generation, answer)}


def list_logprobs(generation: Generation, answer: Answer) -> list[dict[str, Any]] | None:
    """Tokens of the candidate that won, where they were asked for and are known."""
    return replies.list_logprobs(answer) if generation.request.logprobs else None


def _describe(generation: Generation, answer: Answer, **of_request: Any) -> dict[str, Any]:
    described = replies.describe_answer(answer, trace=generation.request.control.trace, **of_request)
    return {**described, "max_requests": generation.requests.most}
