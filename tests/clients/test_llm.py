"""Simon Willison's `llm`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import VOTE

pytest.importorskip("llm")

Llm = Callable[..., str]


@pytest.fixture
def run(url: str, tmp_path: Path) -> Llm:
    """`llm` with our vote among its models."""
    entry = {
        "model_id": "vote",
        "model_name": VOTE,
        "api_base": url,
        "supports_tools": True,
        "supports_schema": True,
    }
    (tmp_path / "extra-openai-models.yaml").write_text(f"- {json.dumps(entry)}\n")
    env = {**os.environ, "LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": "any"}

    def llm(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("llm")), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return llm


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["streamed", "plain"])
def test_prompt(run: Llm, options: list[str]) -> None:
    """The answer on standard output."""
    assert run("-m", "vote", *options, "What is 17 * 24?").strip().endswith("Answer: 408")


def test_schema(run: Llm) -> None:
    """A document that fits the schema."""
    assert json.loads(run("-m", "vote", "--schema", "result int", "17 * 24?")) == {"result": 408}
