"""DeepConf online against real vLLM: traces are stopped in the middle, and every token is counted."""

from __future__ import annotations

import pytest

from quorate import VLLM, Endpoint, SamplingParams
from quorate.aggregators import deepconf
from quorate.evals.tasks.stories import generate
from quorate.orchestrator.model import Agent
from quorate.orchestrator.types import Answer
from quorate.orchestrator.usage import Usage

pytestmark = [
    pytest.mark.vllm,
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

QUESTION = generate("hard", seed=7, count=1)[0].question
"""Long enough for traces that disagree, however well the model is trained."""


async def draw_answer(model: Agent) -> Answer:
    """Short groups and a threshold at the median, for traces of about a hundred tokens that disagree."""
    settings = SamplingParams(max_tokens=160, temperature=1.2)
    pipeline = deepconf(model, n=24, warm_up=6, window=6, keep=0.3, consensus=1.0, sampling=settings)
    answer = await pipeline.answer(QUESTION, seed=3)
    await pipeline.aggregator.aclose()
    return answer


def check(answer: Answer) -> None:
    """What was stopped is shorter than it would be, and the ledger is the sum of what all cost."""
    stopped = [c for c in answer.candidates if c.finish_reason == "cancelled"]
    assert stopped
    assert all(c.logprobs and 6 <= len(c.logprobs) <= c.usage.completion_tokens + 1 for c in stopped)
    assert answer.usage == Usage.total(c.usage for c in answer.candidates)
    assert not any(i in cluster.voters for cluster in answer.tally for i in [c.index for c in stopped])
    assert "no_confidence" not in [note.code for note in answer.degraded]


async def test_over_http(vllm_url: str) -> None:
    """The server counts as it streams, so what a stopped trace cost is its word, not our guess."""
    async with Endpoint("quorate-tiny-base", base_url=vllm_url) as model:
        answer = await draw_answer(model)
    check(answer)
    assert not answer.usage.estimated


async def test_in_process() -> None:
    """The engine drops the request of a stopped trace."""
    async with VLLM("quorate-tiny-base", dtype="float32", max_model_len=512) as model:
        check(await draw_answer(model))
