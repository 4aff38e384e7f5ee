"""`quorate models add`, `ls` and `rm`, and what `ask` does with what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quorate.cli import app
from quorate.orchestrator.errors import QuorateError
from tests.agents.tiny import build


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUORATE_HOME", str(tmp_path / "home"))


def quorate(*arguments: str) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(app, arguments)


def test_from_nothing_to_an_answer_and_back(tmp_path: Path) -> None:
    """Added, listed, asked by default, served by name, removed."""
    assert "quorate models add smollm2-135m" in quorate("models", "ls").stdout
    done = quorate("models", "add", str(build(tmp_path / "mine")))
    assert done.exit_code == 0, done.stderr
    assert f"mine is in {tmp_path}/home/models/mine" in done.stdout
    listed = json.loads(quorate("models", "ls", "--json").stdout)["models"][0]
    assert (listed["name"], listed["source"]) == ("mine", str(tmp_path / "mine"))
    assert listed["bytes"] > 10_000
    assert json.loads(quorate("models", "--json").stdout)["models"][0]["id"] == "mine"
    asked = quorate("ask", "Who are you?", "--max-tokens", "4", "--seed", "1")
    assert "asking majority@5/mine; --model NAME asks another" in asked.stderr
    assert "mine (any question); quorate-tiny-base" in asked.stderr
    assert "removed mine" in quorate("models", "rm", "mine").stdout
    assert isinstance(quorate("models", "rm", "mine").exception, QuorateError)


def test_a_shipped_model_says_what_it_knows() -> None:
    """Asked something else without a word about the model: what there is, and one line."""
    done = quorate("ask", "What is the capital of France?")
    assert "models: quorate-tiny-base, " in done.stderr
    assert "(story problems and sums with whole numbers); quorate models add smollm2-135m" in done.stderr
    assert "can do story problems" in str(done.exception)
    assert done.stdout == ""
