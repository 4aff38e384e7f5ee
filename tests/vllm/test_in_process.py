"""vLLM's engine in this process against our own drawing of the same model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
import pytest_asyncio
from quorate.orchestrator.context import RunContext

from quorate.agents import VLLM, Embedded
from quorate.orchestrator.events import CandidateToken
from quorate.orchestrator.types import Question

from .asking import HOT, IN_PROCESS, PROBLEMS, TOM, drawn
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
            (theirs,), _ = await drawn(engine, question)
            (ours,), _ = await drawn(embedded, question)
            assert theirs.text == ours.text
            assert theirs.usage == ours.usage
            assert theirs.finish_reason == ours.finish_reason


async def test_logprobs_equal_embedded(engine: VLLM) -> None:
    """Log-probabilities mean the same in both, alternatives and end token included."""
    question = TOM.with_params(temperature=0, top_logprobs=3)
    (theirs,), _ = await drawn(engine, question)
    async with Embedded(MODEL) as embedded:
        (ours,), _ = await drawn(embedded, question)
    assert theirs.logprobs
    assert ours.logprobs
    assert [t.token for t in theirs.logprobs] == [t.token for t in ours.logprobs]
    assert [t.logprob for t in theirs.logprobs] == pytest.approx([t.logprob for t in ours.logprobs], abs=1e-3)
    assert [len(t.top) for t in theirs.logprobs] == [3] * len(ours.logprobs)


async def test_samples_and_seeds(engine: VLLM) -> None:
    """Samples differ, follow from the seed and the index alone, and count the prompt once."""
    run = RunContext(seed=3, live=False)
    first, pieces = await drawn(engine, HOT, range(6), run)
    assert not pieces
    assert len({c.text for c in first}) > 1
    assert run.ledger.usage.requests == 1
    assert run.ledger.usage.prompt_tokens == first[0].usage.prompt_tokens > 0
    again, _ = await drawn(engine, HOT, [4, 2], RunContext(seed=3))
    assert [c.text for c in again] == [first[2].text, first[4].text]


async def test_streaming(engine: VLLM) -> None:
    """Pieces join to the texts."""
    candidates, pieces = await drawn(engine, TOM, range(4))
    assert pieces == {c.index: c.text for c in candidates}


async def test_stop_strings(engine: VLLM) -> None:
    """The text ends before a stop string."""
    (candidate,), _ = await drawn(engine, TOM.with_params(temperature=0, stop=("Answer",)))
    assert candidate.finish_reason == "stop"
    assert "Answer" not in candidate.text


async def test_cancellation(engine: VLLM) -> None:
    """A closed stream leaves the parts of its samples; the engine drops them and serves on."""
    run = RunContext(seed=5)
    endless = TOM.with_params(extra={"ignore_eos": True}, max_tokens=800)
    async with aclosing(engine.sample(endless, range(2), run)) as events:
        async for event in events:
            if isinstance(event, CandidateToken):
                break
    assert {c.finish_reason for c in run.cut} == {"cancelled"}
    assert 0 < run.ledger.usage.completion_tokens < 1600
    assert (await drawn(engine, TOM))[0][0].ok


async def test_refusals_are_failures(engine: VLLM) -> None:
    """A prompt that is too long and an unknown setting fail as values of status 400."""
    for question in (Question.of("x " * 3000), TOM.with_params(extra={"no_such_setting": 1})):
        (candidate,), _ = await drawn(engine, question)
        assert candidate.error is not None
        assert candidate.error.status == 400


async def test_close_fails_what_runs(engine: VLLM) -> None:
    """Closing ends running samples as failures; the next question starts the engine anew."""
    events = engine.sample(TOM.with_params(extra={"ignore_eos": True}, max_tokens=900), [0], RunContext(seed=1))
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CandidateToken):
                break
        await engine.aclose()
        *_, last = [event async for event in events]
    assert last.type == "candidate_failed"
    assert last.candidate.error is not None
    assert last.candidate.error.code == "model_closed"
