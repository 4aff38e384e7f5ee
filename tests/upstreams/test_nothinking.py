"""`nothinking` on llama.cpp's server, whose chat template thinks unless it is told not to."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from quorate import Question
from quorate.agents.embedded import locate
from quorate.aggregators.forms.nothinking import CLOSED
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.context import RunContext
from tests import thinking

from .servers import UPSTREAMS, Server, serving_gguf
from .test_llama import ASK, MODEL, SCRIPT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shipped model with such a template."""
    folder = tmp_path_factory.mktemp("thinker")
    model, file = folder / "model", folder / "thinker.gguf"
    shutil.copytree(locate(MODEL), model)
    settings = model / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "chat_template": thinking.TEMPLATE}))
    subprocess.run([UPSTREAMS, str(SCRIPT), str(model), str(file)], check=True)
    with serving_gguf(file, MODEL, folder / "server.log") as server:
        yield server


async def prompt_tokens(server: Server, **options: Any) -> int:
    """Of one plain request."""
    question = Question.of(ASK).with_params(max_tokens=4, extra=options)
    async with server.endpoint() as model:
        return (await model.answer(question)).usage.prompt_tokens


async def test_the_template_closes_the_thought(thinker: Server) -> None:
    """The prompt is longer by the closed thought than one that is told to think is by its open one."""
    on = {"chat_template_kwargs": {"enable_thinking": True}}
    vote = build_pipeline("nothinking", [thinker.endpoint()], n=2)
    answer = await vote.answer(Question.of(ASK).with_params(max_tokens=60), seed=1)
    await vote.aclose()
    between = thinker.count(thinking.CLOSED) - thinker.count(thinking.OPEN)
    assert answer.candidates[0].usage.prompt_tokens == await prompt_tokens(thinker, **on) + between
    assert [note.code for note in answer.degraded] == []
    assert all(c.ok and c.text and "think>" not in c.text for c in answer.candidates)


@pytest.mark.parametrize("live", [False, True])
async def test_the_answer_goes_on_behind_a_closed_thought(thinker: Server, live: bool) -> None:
    """Once, whole and streamed; the vote reads what stands behind it."""
    vote = build_pipeline("nothinking", [thinker.endpoint()], n=2, options={"way": "prefill"})
    question = Question.of(ASK).with_params(max_tokens=60)
    answer = await vote.answer(question, RunContext(seed=1, live=live, emit=lambda event: None))
    await vote.aclose()
    assert [c.text.count("</think>") for c in answer.candidates] == [1, 1]
    assert all(c.text.startswith(CLOSED) and len(c.text) > len(CLOSED) for c in answer.candidates)
    assert answer.answer is not None
