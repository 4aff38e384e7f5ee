"""AggLM: a model that reviews, corrects and combines all candidates (Zhao et al., arXiv 2509.06870, section 3.1).

The problem and the solutions, thinking removed, in one user message. The paper trains the aggregator
by reinforcement on hard and easy sets (`quorate.aggregators.learned`); untrained models follow the
prompt, which is in words of ours. Different from the paper: seeded order, bounded context, and a vote
where the model fails.

`SteppedAggLM` shows the attempts merged, and before the problem: line by line, each different line once,
with how many have it there. That is ours: fewer tokens, the same prompt whatever order the candidates
come in, a small model that compares them where they differ instead of finding out where that is, and
no more between the problem and its solution than where it learned to solve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from quorate.orchestrator.types import Question
from quorate.prompts import Prompt

from .base import SAMPLE, Writer
from .wording import as_user

__all__ = ["AggLM", "Line", "SteppedAggLM", "by_step"]

SHOWN = 3
"""Different lines of one step: where attempts have gone apart, rarer ones say little and cost room."""

LEAST = 3
"""A line is left out where the commonest of its step has more than so many times its count."""


class AggLM(Writer):
    """A final solution that a model writes after reviewing all candidates; arguments as `Synthesis`'."""

    name = "agglm"
    prompt_name = "agglm"
    placed = staticmethod(as_user)


@dataclass(frozen=True)
class Line:
    """One line of some attempts."""

    text: str
    count: int
    """How many attempts have it at this step."""


def by_step(
    responses: Sequence[str], shown: int | None = SHOWN, least: int | None = LEAST
) -> tuple[tuple[Line, ...], ...]:
    """The lines of all responses, first lines together, then second ones, and so on; empty lines do not count.

    Within a step the commonest line comes first, equally common ones by their text: nothing depends on
    the order of the responses.

    Args:
        shown: of each step, at most so many different lines; None for all.
        least: leaves out lines that the commonest of their step outnumbers more than so many times; None for none.
    """
    rows = [[line.strip() for line in response.splitlines() if line.strip()] for response in responses]
    columns = (Counter(row[at] for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0)))
    ranked = (sorted((Line(*pair) for pair in c.items()), key=lambda line: (-line.count, line.text)) for c in columns)
    return tuple(
        tuple(line for line in step[:shown] if least is None or line.count * least >= step[0].count) for step in ranked
    )


def _as_steps(prompt: Prompt, question: Question, responses: Sequence[str], **more: Any) -> Question:
    return as_user(prompt, question, responses, steps=by_step(responses), **more)


class SteppedAggLM(AggLM):
    """AggLM for a model that was trained on attempts merged step by step; arguments as `Synthesis`'."""

    prompt_name = "agglm-steps"
    placed = staticmethod(_as_steps)
    sample: ClassVar[Mapping[str, Any]] = {**SAMPLE, "steps": by_step(["x", "y"])}
