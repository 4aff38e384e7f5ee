"""Questions, and what one agent makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from quorate.orchestrator.context import RunContext

from quorate.agents.agent import Agent
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateToken
from quorate.orchestrator.types import Candidate, Question

IN_PROCESS = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="module"),
    # vLLM itself warns when it is imported and leaves sockets to the collector.
    *map(
        pytest.mark.filterwarnings,
        (
            "ignore::DeprecationWarning",
            "ignore::FutureWarning",
            "ignore::UserWarning",
            "ignore::ResourceWarning",
            "ignore::pytest.PytestUnraisableExceptionWarning",
        ),
    ),
]
"""Marks of tests with vLLM in this process."""
PROBLEMS = (
    "Tom has 12 apples. He buys 7 boxes of 5 apples each. How many apples does Tom have now?",
    "Ann reads 14 pages on Monday and 9 pages on Tuesday. How many pages does she read?",
    "A baker makes 6 trays of 8 rolls and sells 30 rolls. How many rolls are left?",
    "There are 45 chairs in 5 equal rows. How many chairs are in each row?",
)
TOM = Question.of(PROBLEMS[0]).with_params(max_tokens=120)
HOT = TOM.with_params(temperature=2)
"""As hot as vLLM allows, so that samples differ however sure the model is."""


async def drawn(
    agent: Agent, question: Question, indices: Sequence[int] = (0,), run: RunContext | None = None
) -> tuple[list[Candidate], dict[int, str]]:
    """The candidates by index, and the text that came in pieces."""
    candidates: list[Candidate] = []
    pieces: dict[int, str] = {}
    async for event in agent.sample(question, indices, run or RunContext(seed=7)):
        if isinstance(event, CandidateToken):
            pieces[event.index] = pieces.get(event.index, "") + event.text
        elif isinstance(event, CandidateFinished | CandidateFailed):
            candidates.append(event.candidate)
    return sorted(candidates, key=lambda candidate: candidate.index), pieces
