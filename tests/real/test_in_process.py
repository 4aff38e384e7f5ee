"""The real model in vLLM's engine, in this process; runs with the Python that has vLLM."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from quorate.agents import VLLM
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Question
from tests.vllm.asking import IN_PROCESS, draw

pytestmark = [*IN_PROCESS, pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")]

CAPITAL = Question.of("What is the capital of France?").with_params(max_tokens=24)


async def test_samples_of_an_added_model(name: str) -> None:
    """By its name, like a shipped one: greedy, several at once, with log-probabilities."""
    async with VLLM(name, dtype="bfloat16", enforce_eager=True, max_model_len=1024) as engine:
        (greedy,), _ = await draw(engine, CAPITAL.with_params(temperature=0, top_logprobs=2))
        assert greedy.text == "The capital of France is Paris."
        assert greedy.logprobs
        candidates, pieces = await draw(engine, CAPITAL.with_params(temperature=1), range(4), RunContext(seed=3))
        assert pieces == {candidate.index: candidate.text for candidate in candidates}
