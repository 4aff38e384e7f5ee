"""A shipped model as GGUF in llama.cpp's server is the model that we run ourselves."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate import Embedded, Question
from quorate.agents.embedded import locate
from quorate.evals.tasks.stories.generate import generate

from .servers import UPSTREAMS, Server, serving_gguf

pytestmark = pytest.mark.slow

MODEL = "quorate-tiny-base"
ASK = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"
SCRIPT = Path(__file__).parents[2] / "scripts" / "embedded" / "to_gguf.py"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shipped model, converted and served."""
    file = tmp_path_factory.mktemp("gguf") / f"{MODEL}.gguf"
    subprocess.run([UPSTREAMS, str(SCRIPT), str(locate(MODEL)), str(file)], check=True)
    with serving_gguf(file, MODEL, file.with_suffix(".log")) as server:
        yield server


def test_it_reads_the_same_tokens(tiny: Server) -> None:
    """The converted vocabulary cuts at least nineteen in twenty questions just as the model's own tokenizer does."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(locate(MODEL))
    same = 0
    for problem in generate("hard", seed=5, count=200):
        body = json.dumps({"content": problem.question}).encode()
        with urllib.request.urlopen(f"{tiny.url.removesuffix('/v1')}/tokenize", body, timeout=60) as reply:
            theirs = json.load(reply)["tokens"]
        same += theirs == tokenizer.encode(problem.question, add_special_tokens=False)
    assert same >= 190


async def test_it_is_the_same_model(tiny: Server) -> None:
    """Greedy, it writes what the embedded model writes."""
    async with tiny.endpoint() as theirs, Embedded(MODEL) as ours:
        question = Question.of(ASK).with_params(temperature=0.0, max_tokens=120)
        answers = [await model.answer(question) for model in (theirs, ours)]
    assert answers[0].text == answers[1].text
    assert answers[0].usage.prompt_tokens == answers[1].usage.prompt_tokens
