"""AggLM's aggregation prompt without its training (Zhao et al., arXiv 2509.06870, section 3.1).

The problem and the solutions, thinking removed, in one user message; the model reviews, corrects and
combines them. The prompt is in words of ours. The paper trains the aggregator by reinforcement on
hard and easy sets; a model trained so is given as `aggregator` and needs nothing else. Different from
the paper: seeded order, bounded context, and a vote where the model fails.
"""

from __future__ import annotations

from .base import Writer
from .wording import as_user

__all__ = ["AggLM"]


class AggLM(Writer):
    """A final solution that a model writes after reviewing all candidates; arguments as `Synthesis`'."""

    name = "agglm"
    prompt_name = "agglm"
    placed = staticmethod(as_user)
