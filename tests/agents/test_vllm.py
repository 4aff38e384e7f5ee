"""What of the vLLM agent needs no vLLM; `tests/vllm` has the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from quorate.agents.vllm import VLLM
from quorate.agents.vllm.draft import Draft, failed, settings
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.types import Candidate, SamplingParams

BLANK = Candidate(index=2, model="m", seed=5)


async def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without vLLM the first question says what to install, and so does the next."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    async with VLLM("some/model") as model:
        for _ in range(2):
            with pytest.raises(MissingExtra, match=r"pip install quorate\[vllm\]"):
                await model.answer("Tom has 3 apples.")


def test_names(tmp_path: Path) -> None:
    """A folder goes by its last part, other models by their whole name."""
    (tmp_path / "mine").mkdir()
    assert VLLM(tmp_path / "mine").name == "mine"
    assert VLLM("Qwen/Qwen3-8B").name == "Qwen/Qwen3-8B"
    assert VLLM("Qwen/Qwen3-8B", name="qwen").name == "qwen"


def test_settings_are_translated() -> None:
    """Only what is set reaches vLLM, with its own names, extra ones included."""
    given = SamplingParams(temperature=0.5, stop=("x",), top_logprobs=2, extra={"min_p": 0.1, "chat_template_kwargs": {}})
    assert settings(given) == {"temperature": 0.5, "stop": ["x"], "logprobs": 2, "min_p": 0.1}
    assert settings(SamplingParams()) == {}


def test_deltas_add_up() -> None:
    """Text, tokens and log-probabilities of deltas join; alternatives are cut to the number asked for."""
    likely, chosen = (
        SimpleNamespace(rank=1, logprob=-0.1, decoded_token="a"),
        SimpleNamespace(rank=9, logprob=-3.0, decoded_token="b"),
    )
    draft = Draft(BLANK, start=0.0, prompt=7, alternatives=1)
    draft.note(SimpleNamespace(text="b", token_ids=[4], logprobs=[{4: chosen, 3: likely}], finish_reason=None))
    draft.note(SimpleNamespace(text="a", token_ids=[3], logprobs=[{3: likely}], finish_reason="length"))
    candidate = draft.candidate()
    assert candidate.text == "ba"
    assert candidate.finish_reason == "length"
    assert (candidate.usage.prompt_tokens, candidate.usage.completion_tokens, candidate.usage.requests) == (7, 2, 1)
    assert candidate.logprobs is not None
    assert [(lp.token, lp.logprob, lp.top) for lp in candidate.logprobs] == [
        ("b", -3.0, (("a", -0.1),)),
        ("a", -0.1, (("a", -0.1),)),
    ]
    assert draft.candidate(cut=True).usage.estimated


def test_refusals_are_the_callers_fault() -> None:
    """What vLLM refuses has status 400; what breaks in it has 500."""
    refused, broken = failed(BLANK, ValueError("top_k must be")), failed(BLANK, RuntimeError("dead"))
    assert refused.candidate.error is not None
    assert broken.candidate.error is not None
    assert (refused.candidate.error.status, broken.candidate.error.status) == (400, 500)
