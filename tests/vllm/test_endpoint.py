"""Our `Endpoint` against a real vLLM server."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from quorate.agents import Endpoint
from quorate.aggregators import MajorityVote
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Question

from .asking import HOT, PROBLEMS, TOM, cancel_midway, draw
from .conftest import MODEL

pytestmark = pytest.mark.vllm


@pytest_asyncio.fixture
async def endpoint(vllm_url: str) -> AsyncGenerator[Endpoint, None]:
    """An agent of the server, closed after the test."""
    async with Endpoint(MODEL, base_url=vllm_url) as agent:
        yield agent


async def test_samples_of_one_request(endpoint: Endpoint) -> None:
    """Several samples come from one request; they differ, and the prompt is counted once."""
    run = RunContext(seed=3, live=False)
    candidates, _ = await draw(endpoint, HOT, range(8), run)
    assert [c.index for c in candidates] == list(range(8))
    assert all(c.ok and c.text for c in candidates)
    assert len({c.text for c in candidates}) > 1
    usage = run.ledger.usage
    assert usage.requests == 1
    (alone,), _ = await draw(endpoint, TOM, [0], RunContext(seed=3, live=False))
    assert usage.prompt_tokens == alone.usage.prompt_tokens > 0


async def test_seeds_repeat(endpoint: Endpoint) -> None:
    """The same seed gives the same samples."""
    one, two = [[c.text for c in (await draw(endpoint, HOT, range(4)))[0]] for _ in range(2)]
    assert one == two


async def test_streaming_with_usage(endpoint: Endpoint) -> None:
    """Streamed pieces join to the texts, and usage is the server's exact count."""
    live, quiet = RunContext(seed=5), RunContext(seed=5, live=False)
    streamed, pieces = await draw(endpoint, TOM, range(4), live)
    plain, _ = await draw(endpoint, TOM, range(4), quiet)
    assert pieces == {c.index: c.text for c in streamed}
    assert [c.text for c in streamed] == [c.text for c in plain]
    assert live.ledger.usage == quiet.ledger.usage
    assert not live.ledger.usage.estimated


async def test_logprobs(endpoint: Endpoint) -> None:
    """Log-probabilities come with the number of alternatives asked for."""
    (candidate,), _ = await draw(endpoint, TOM.with_params(top_logprobs=2))
    assert candidate.logprobs
    assert all(len(token.top) == 2 and token.logprob <= 0 for token in candidate.logprobs)


async def test_cancellation(endpoint: Endpoint) -> None:
    """A cancelled call leaves what had come, at its cost, and the server answers the next question."""
    run = RunContext(seed=5)
    endless = TOM.with_params(extra={"ignore_eos": True}, max_tokens=800)
    cut = await cancel_midway(endpoint, endless, [0], run)
    assert [c.finish_reason for c in cut] == ["cancelled"]
    assert 0 < run.ledger.usage.completion_tokens < 800
    assert (await draw(endpoint, TOM))[0][0].ok


async def test_unknown_model(vllm_url: str) -> None:
    """A model that the server does not have is its 404, with the server's words."""
    async with Endpoint("nope", base_url=vllm_url) as agent:
        with pytest.raises(NoAnswer, match="nope") as raised:
            await agent.answer("Tom has 3 apples.")
    assert raised.value.status == 404


async def test_prompt_too_long(endpoint: Endpoint) -> None:
    """A prompt beyond the context is a failure of status 400."""
    (candidate,), _ = await draw(endpoint, Question.of("x " * 3000))
    assert candidate.error is not None
    assert candidate.error.status == 400


async def test_majority_pipeline(endpoint: Endpoint) -> None:
    """A vote over eight samples of the server gives an answer with its tally."""
    answer = await (sample(endpoint, n=8) | MajorityVote()).answer(PROBLEMS[1], seed=1)
    assert len(answer.candidates) == 8
    assert answer.answer is not None
    assert answer.tally[0].answer == answer.answer
    assert sum(cluster.votes for cluster in answer.tally) <= 8
