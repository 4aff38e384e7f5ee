"""llama.cpp's server as an upstream; LLAMA names a Python that has `llama_cpp` and `gguf` (`make test-llama`)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from quorate import Budget, Embedded, Endpoint, MajorityVote, Question, sample
from quorate.agents.embedded import locate
from quorate.config.catalog import Catalog
from quorate.evals.tasks.stories.generate import generate
from quorate.server import run_server

from .servers import started

LLAMA = os.environ.get("LLAMA", "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not LLAMA, reason="LLAMA names no Python with llama_cpp")]

MODEL = "quorate-tiny-base"
ASK = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"
SCRIPT = Path(__file__).parents[2] / "scripts" / "embedded" / "to_gguf.py"


TOKENIZE = """
import json, sys
from llama_cpp import Llama
model = Llama(sys.argv[1], vocab_only=True, verbose=False)
print(json.dumps([model.tokenize(text.encode(), add_bos=False) for text in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped model, converted."""
    file = tmp_path_factory.mktemp("gguf") / f"{MODEL}.gguf"
    subprocess.run([LLAMA, str(SCRIPT), str(locate(MODEL)), str(file)], check=True)
    return file


@pytest.fixture(scope="module")
def url(gguf: Path) -> Iterator[str]:
    """It, in the server of llama-cpp-python."""

    def command(port: int) -> list[str]:
        options = ["--n_ctx", "1024", "--model_alias", MODEL, "--port", str(port), "--host", "127.0.0.1"]
        return [LLAMA, "-m", "llama_cpp.server", "--model", str(gguf), *options]

    with started(command, gguf.with_suffix(".log"), "/v1/models") as root:
        yield f"{root}/v1"


def test_it_reads_the_same_tokens(gguf: Path) -> None:
    """The converted vocabulary cuts at least nineteen in twenty questions just as the model's own tokenizer does."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(locate(MODEL))
    texts = [problem.question for problem in generate("hard", seed=5, count=200)]
    command = [LLAMA, "-c", TOKENIZE, str(gguf)]
    told = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True).stdout
    own = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    assert sum(a == b for a, b in zip(json.loads(told), own, strict=True)) >= 190


async def test_it_is_the_same_model(url: str) -> None:
    """Greedy, it writes what the embedded model writes."""
    async with Endpoint(MODEL, base_url=url) as theirs, Embedded(MODEL) as ours:
        question = Question.of(ASK).with_params(temperature=0.0, max_tokens=120)
        answers = [await model.answer(question) for model in (theirs, ours)]
    assert answers[0].text == answers[1].text
    assert answers[0].usage.prompt_tokens == answers[1].usage.prompt_tokens


async def test_a_vote(url: str) -> None:
    """Five samples, counted by the server one by one, since it takes no n."""
    async with sample(Endpoint(MODEL, base_url=url, concurrency=1), n=5) | MajorityVote() as vote:
        answer = await vote.answer(ASK)
    assert all(c.ok and c.text for c in answer.candidates)
    assert answer.usage.completion_tokens == sum(c.usage.completion_tokens for c in answer.candidates) > 50


async def test_a_stream_under_a_deadline(url: str) -> None:
    """Streamed, because it may have to be cut; the server does not count then, so we do, and say so."""
    async with Endpoint(MODEL, base_url=url) as agent:
        answer = await agent.answer(ASK, budget=Budget(seconds=60.0))
    assert "Answer:" in answer.text
    assert answer.usage.completion_tokens > 10


async def test_behind_our_server(url: str) -> None:
    """A client of ours gets a vote over a model of theirs, streamed."""
    catalog = Catalog({"tiny": Endpoint(MODEL, base_url=url, name="tiny")})
    async with run_server(catalog) as ours, AsyncOpenAI(base_url=f"{ours}/v1", api_key="any") as client:
        stream = await client.chat.completions.create(
            model="majority@3/tiny", messages=[{"role": "user", "content": ASK}], stream=True
        )
        text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    assert "Answer:" in text
