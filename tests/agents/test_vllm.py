"""What of the vLLM agent needs no vLLM; `tests/vllm` has the rest."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from quorate.agents.vllm import VLLM
from quorate.agents.vllm.agent import VLLMSample, describe_failure, translate_settings
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.partial import PartialCandidate, failure_of
from quorate.orchestrator.types import Failure, Question, SamplingParams


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
    given = SamplingParams(
        temperature=0.5, stop=("x",), top_logprobs=2, extra={"min_p": 0.1, "chat_template_kwargs": {}}
    )
    assert translate_settings(given) == {"temperature": 0.5, "stop": ["x"], "logprobs": 2, "min_p": 0.1}
    assert translate_settings(SamplingParams()) == {}


def test_deltas_add_up() -> None:
    """Text, tokens and log-probabilities of deltas join; alternatives are cut to the number asked for."""
    likely, chosen = (
        SimpleNamespace(rank=1, logprob=-0.1, decoded_token="a"),
        SimpleNamespace(rank=9, logprob=-3.0, decoded_token="b"),
    )
    sample = VLLMSample(prompt=7, alternatives=1)
    sample.add(SimpleNamespace(text="b", token_ids=[4], logprobs=[{4: chosen, 3: likely}], finish_reason=None))
    sample.add(SimpleNamespace(text="a", token_ids=[3], logprobs=[{3: likely}], finish_reason="length"))
    usage, fields = sample.usage(), sample.fields
    assert fields["text"] == "ba"
    assert sample.finish_reason == "length"
    assert (usage.prompt_tokens, usage.completion_tokens, usage.requests) == (7, 2, 1)
    assert [(lp.token, lp.logprob, lp.top) for lp in fields["logprobs"]] == [
        ("b", -3.0, (("a", -0.1),)),
        ("a", -0.1, (("a", -0.1),)),
    ]
    assert sample.usage(cut=True).estimated


def test_refusals_are_the_callers_fault() -> None:
    """What vLLM refuses has status 400; what breaks in it has 500."""
    refused, broken = describe_failure(ValueError("top_k must be")), describe_failure(RuntimeError("dead"))
    assert isinstance(refused, Failure)
    assert isinstance(broken, RuntimeError)
    assert (refused.status, failure_of(broken).status) == (400, 500)


def test_what_it_is(tmp_path: Path) -> None:
    """The family of a shipped model, and nothing that only its engine knows."""
    assert VLLM("quorate-tiny-sum").identity.family == "quorate-tiny"
    identity = VLLM("Qwen/Qwen3-8B", max_model_len=512, dtype="bfloat16").identity
    assert (identity.kind, identity.model, identity.family) == ("vllm", "Qwen/Qwen3-8B", None)
    assert (identity.context, identity.dtype) == (512, "bfloat16")
    assert VLLM("Qwen/Qwen3-8B").identity.dtype is None


class Outputs:
    """An engine whose requests give two deltas and then wait for ever, or end."""

    model_config = SimpleNamespace(max_model_len=100, get_diff_sampling_param=dict)
    errored = False

    def __init__(self, *, endless: bool) -> None:
        self.endless = endless

    async def generate(self, prompt: Any, params: Any, request_id: str) -> AsyncGenerator[Any, None]:
        for text in ("one", " two"):
            yield SimpleNamespace(
                outputs=[SimpleNamespace(text=text, token_ids=[1], logprobs=None, finish_reason=None)]
            )
        if self.endless:
            await asyncio.Event().wait()
        yield SimpleNamespace(outputs=[SimpleNamespace(text="", token_ids=[2], logprobs=None, finish_reason="stop")])


async def test_the_engine_knows_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has much for it to read starts it before; one that cannot start keeps it to itself."""
    known, lost = VLLM("some/model"), VLLM("some/model")
    monkeypatch.setattr(known._engine, "get", lambda: asyncio.sleep(0, Outputs(endless=False)))
    monkeypatch.setitem(sys.modules, "vllm", None)
    for model, context in ((known, 100), (lost, None)):
        await model.learn_context()
        assert model.identity.context == context


@pytest.mark.parametrize("endless", [False, True])
async def test_slots_are_written_to_their_end_or_left(monkeypatch: pytest.MonkeyPatch, endless: bool) -> None:
    """With an engine that is none: two samples that end, or that are cancelled in the middle; tokens counted once."""
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=SimpleNamespace))
    model = VLLM("some/model")
    engine = Outputs(endless=endless)
    monkeypatch.setattr(model._engine, "get", lambda: asyncio.sleep(0, engine))
    monkeypatch.setattr(model, "_prepare", lambda *_: ([5, 6, 7], {"max_tokens": 9}))
    pieces: list[str] = []
    written = asyncio.Event()

    def note(event: Event) -> None:
        if isinstance(event, CandidateToken):
            pieces.append(event.text)
        if pieces.count(" two") == 2:
            written.set()

    run = RunContext(seed=3, emit=note)
    slots = [PartialCandidate(index, run) for index in range(2)]
    task = asyncio.create_task(model.sample(Question.of("Tom has 3 apples."), slots, run))
    await written.wait()
    if endless:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(slot.done for slot in slots)
        for slot in slots:
            slot.cancel()
    await asyncio.gather(task, return_exceptions=True)
    results = [slot.result for slot in slots if slot.result is not None]
    assert [result.text for result in results] == ["one two"] * 2
    assert [result.finish_reason for result in results] == ["cancelled" if endless else "stop"] * 2
    assert [result.usage.prompt_tokens for result in results] == [3, 0]
    assert [result.usage.completion_tokens for result in results] == [2 if endless else 3] * 2
    assert run.ledger.usage.estimated is endless
    assert run.ledger.usage.requests == 1
    assert not model._engine.running
