"""Questions, and what one agent makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
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


async def draw(
    agent: Agent, question: Question, indices: Sequence[int] = (0,), run: RunContext | None = None
) -> tuple[list[Candidate], dict[int, str]]:
    """The candidates by index, and the text that came in pieces."""
    pieces: dict[int, str] = {}

    def note(event: Event) -> None:
        if isinstance(event, CandidateToken):
            pieces[event.index] = pieces.get(event.index, "") + event.text

    run = replace(run or RunContext(seed=7), emit=note)
    slots = [PartialCandidate(index, run) for index in indices]
    await agent.sample(question, slots, run)
    candidates = [slot.result for slot in slots if slot.result is not None]
    return sorted(candidates, key=lambda candidate: candidate.index), pieces


async def cancel_midway(agent: Agent, question: Question, indices: Sequence[int], run: RunContext) -> list[Candidate]:
    """What is left of the candidates where the asking task is cancelled after the first piece of text."""
    begun = asyncio.Event()
    run = replace(run, emit=lambda event: begun.set() if isinstance(event, CandidateToken) else None)
    slots = [PartialCandidate(index, run) for index in indices]
    task = asyncio.create_task(agent.sample(question, slots, run))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for slot in slots:
        slot.cancel()
    return [slot.result for slot in slots if slot.result is not None]
