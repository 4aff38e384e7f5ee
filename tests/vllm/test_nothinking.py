"""`nothinking` on a real vLLM server, whose chat template thinks unless it is told not to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import Tokenizer

from quorate.agents import Endpoint
from quorate.agents.embedded import locate
from quorate.aggregators.forms.nothinking import CLOSED
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.types import Answer
from tests import thinking

from .asking import TOM
from .conftest import MODEL, serving

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with such a template."""
    folder = tmp_path_factory.mktemp("thinking")
    (folder / "thinking.jinja").write_text(thinking.TEMPLATE)
    options = ("--chat-template", str(folder / "thinking.jinja"), "--max-logprobs", "-1")
    with serving(MODEL, folder / "server.log", *options) as served:
        yield served


async def skip(url: str, **options: Any) -> Answer:
    """Two answers without a thought, and a vote."""
    async with Endpoint(MODEL, base_url=url) as model:
        return await build_pipeline("nothinking", [model], n=2, options=options).answer(TOM, seed=1)


def count(text: str) -> int:
    """Tokens, those that the template writes as marks included."""
    return len(Tokenizer.from_file(f"{locate(MODEL)}/tokenizer.json").encode(text, add_special_tokens=False))


async def test_the_template_closes_the_thought(url: str) -> None:
    """The prompt is as long as the one with the closed thought; without the setting the thought is open."""
    async with Endpoint(MODEL, base_url=url) as model:
        thought = await model.answer(TOM)
    answer = await skip(url)
    asked = f"<|user|>{TOM.text}<|assistant|>"
    assert thought.usage.prompt_tokens == count(asked + thinking.OPEN)
    assert answer.candidates[0].usage.prompt_tokens == count(asked + thinking.CLOSED)
    assert answer.degraded == ()
    assert all(c.ok and c.text and "think>" not in c.text for c in answer.candidates)


async def test_the_answer_goes_on_behind_a_closed_thought(url: str) -> None:
    """Once; the server reads it as the beginning of the answer, without an end."""
    answer = await skip(url, way="prefill")
    assert [c.text.count("</think>") for c in answer.candidates] == [1, 1]
    assert all(c.text.startswith(CLOSED) and len(c.text) > len(CLOSED) for c in answer.candidates)
    assert answer.candidates[0].usage.prompt_tokens == count(f"<|user|>{TOM.text}<|assistant|>{CLOSED}")
    assert answer.answer is not None
