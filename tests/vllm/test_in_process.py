"""vLLM's engine in this process against our own drawing of the same model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from quorate.agents import VLLM, Embedded
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import CandidateToken
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question

from .asking import HOT, IN_PROCESS, PROBLEMS, TOM, cancel_midway, draw
from .conftest import MODEL

pytestmark = IN_PROCESS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[VLLM, None]:
    """One engine for the module."""
    async with VLLM(MODEL, dtype="float32", max_model_len=1024) as agent:
        yield agent


async def test_greedy_equals_embedded(engine: VLLM) -> None:
    """In float32 at temperature 0, vLLM and our own engine write the same, with the same counts."""
    async with Embedded(MODEL) as embedded:
        for problem in PROBLEMS:
            question = Question.of(problem).with_params(temperature=0, max_tokens=150)
            (theirs,), _ = await draw(engine, question)
            (ours,), _ = await draw(embedded, question)
            assert theirs.text == ours.text
            assert theirs.usage == ours.usage
            assert theirs.finish_reason == ours.finish_reason


async def test_logprobs_equal_embedded(engine: VLLM) -> None:
    """Log-probabilities mean the same in both, alternatives and end token included."""
    question = TOM.with_params(temperature=0, top_logprobs=3)
    (theirs,), _ = await draw(engine, question)
    async with Embedded(MODEL) as embedded:
        (ours,), _ = await draw(embedded, question)
    assert theirs.logprobs
    assert ours.logprobs
    assert [t.token for t in theirs.logprobs] == [t.token for t in ours.logprobs]
    assert [t.logprob for t in theirs.logprobs] == pytest.approx([t.logprob for t in ours.logprobs], abs=1e-3)
    assert [len(t.top) for t in theirs.logprobs] == [3] * len(ours.logprobs)


async def test_samples_and_seeds(engine: VLLM) -> None:
    """Samples differ, follow from the seed and the index alone, and count the prompt once."""
    run = RunContext(seed=3, live=False)
    first, pieces = await draw(engine, HOT, range(6), run)
    assert not pieces
    assert len({c.text for c in first}) > 1
    assert run.ledger.usage.requests == 1
    assert run.ledger.usage.prompt_tokens == first[0].usage.prompt_tokens > 0
    again, _ = await draw(engine, HOT, [4, 2], RunContext(seed=3))
    assert [c.text for c in again] == [first[2].text, first[4].text]


async def test_streaming(engine: VLLM) -> None:
    """Pieces join to the texts."""
    candidates, pieces = await draw(engine, TOM, range(4))
    assert pieces == {c.index: c.text for c in candidates}


async def test_stop_strings(engine: VLLM) -> None:
    """The text ends before a stop string."""
    (candidate,), _ = await draw(engine, TOM.with_params(temperature=0, stop=("Answer",)))
    assert candidate.finish_reason == "stop"
    assert "Answer" not in candidate.text


async def test_cancellation(engine: VLLM) -> None:
    """A cancelled call leaves the parts of its samples; the engine drops them and serves on."""
    run = RunContext(seed=5)
    endless = TOM.with_params(extra={"ignore_eos": True}, max_tokens=800)
    cut = await cancel_midway(engine, endless, range(2), run)
    assert {c.finish_reason for c in cut} == {"cancelled"}
    assert 0 < run.ledger.usage.completion_tokens < 1600
    assert (await draw(engine, TOM))[0][0].ok


async def test_refusals_are_failures(engine: VLLM) -> None:
    """A prompt that is too long and an unknown setting fail as values of status 400."""
    for question in (Question.of("x " * 3000), TOM.with_params(extra={"no_such_setting": 1})):
        (candidate,), _ = await draw(engine, question)
        assert candidate.error is not None
        assert candidate.error.status == 400


async def test_close_fails_what_runs(engine: VLLM) -> None:
    """Closing ends running samples as failures; the next question starts the engine anew."""
    begun = asyncio.Event()
    run = RunContext(seed=1, emit=lambda event: begun.set() if isinstance(event, CandidateToken) else None)
    slot = PartialCandidate(0, run)
    endless = TOM.with_params(extra={"ignore_eos": True}, max_tokens=900)
    task = asyncio.create_task(engine.sample(endless, [slot], run))
    await begun.wait()
    await engine.aclose()
    await task
    assert slot.result is not None
    assert slot.result.error is not None
    assert slot.result.error.code == "model_closed"
