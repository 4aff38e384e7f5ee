"""SmolLM2-135M-Instruct, in this process and behind vLLM's server; `make test-real` fetches and tries it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from quorate.agents import Embedded, Endpoint
from quorate.agents.embedded.adding import KNOWN_MODELS, add_model
from quorate.orchestrator.model import Agent
from tests.vllm.conftest import serving

MODEL = "smollm2-135m"

# A real model takes minutes: whoever has it does not always mean to try it.
collect_ignore_glob = [] if os.environ.get("REAL_MODELS") else ["test_*.py"]
if os.environ.get("REAL_MODELS"):  # the user's own cache, so that it is fetched once
    os.environ["QUORATE_HOME"] = os.environ["QUORATE_ADDED"]
    if not os.environ["QUORATE_HOME"]:
        del os.environ["QUORATE_HOME"]


@pytest.fixture(scope="session")
def name() -> str:
    """The model's, once it is there."""
    return add_model(KNOWN_MODELS[MODEL], lambda *_: None)[0].name


@pytest.fixture(scope="session")
def url(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of vLLM's server of it; `VLLM_PYTHON` is the Python that has vLLM."""
    if not (python := os.environ.get("VLLM_PYTHON")):
        pytest.skip("VLLM_PYTHON names no Python that has vLLM")
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    options = ("--dtype", "bfloat16", "--max-model-len", "2048", "--max-logprobs", "-1")
    with serving(name, log, *options, python=python) as served:
        yield served


@pytest.fixture(params=["transformers", "vllm"])
async def model(request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    """The model, by both ways."""
    if request.param == "transformers":
        async with Embedded(request.getfixturevalue("name")) as embedded:
            yield embedded
    else:
        async with Endpoint(MODEL, base_url=request.getfixturevalue("url")) as endpoint:
            yield endpoint
