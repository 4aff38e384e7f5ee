"""`llm` with a pipeline inside: its command line finds the plugin by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import STORY
from .inside import config_file

llm = pytest.importorskip("llm")

__all__ = ["config_file"]

Run = Callable[..., subprocess.CompletedProcess[str]]
ANSWER = "17 * 24 = 408. Answer: 408"


@pytest.fixture
def run(tmp_path: Path, config_file: Path) -> Run:
    """`llm` with a home of its own; `config` None is without a file."""

    def call(*arguments: str, config: Path | None = config_file) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
        env.pop("QUORATE_CONFIG", None)
        if config is not None:
            env["QUORATE_CONFIG"] = str(config)
        command = [str(Path(sys.executable).with_name("llm")), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)

    return call


def test_the_models_are_listed(run: Run) -> None:
    """Models, a vote over each, pipelines."""
    listed = run("models", "-q", "quorate/").stdout
    assert [line.split()[-1] for line in listed.splitlines()] == [
        "quorate/scripted",
        "quorate/majority/scripted",
        "quorate/team",
    ]


@pytest.mark.parametrize("options", [[], ["--no-stream"]], ids=["streamed", "plain"])
def test_a_question(run: Run, options: list[str]) -> None:
    """Its answer on standard output; usage and votes in the log."""
    assert run("-m", "quorate/team", *options, "What is 17 * 24?").stdout.strip() == ANSWER
    [logged] = json.loads(run("logs", "--json", "-n", "1").stdout)
    assert logged["output_tokens"] == 21
    assert logged["response_json"]["quorate"]["tally"][0]["votes"] == 3


def test_options(run: Run) -> None:
    """A pipeline is put over a model, and n sets its samples."""
    assert (
        run("-m", "quorate/scripted", "-o", "pipeline", "majority", "-o", "n", "5", "17 * 24?").stdout.strip() == ANSWER
    )
    [logged] = json.loads(run("logs", "--json", "-n", "1").stdout)
    assert logged["response_json"]["quorate"]["tally"][0]["votes"] == 5


def test_schemas_tools_and_conversations(run: Run, tmp_path: Path) -> None:
    """A document of a schema, a tool that is called, and a question that goes on."""
    assert json.loads(run("-m", "quorate/team", "--schema", "result int", "17 * 24?").stdout) == {"result": 408}
    tool = "def weather(city: str) -> str:\n    'How it is'\n    return 'sunny in ' + city"
    called = run("-m", "quorate/team", "--functions", tool, "--td", "Weather in Berlin?")
    assert "sunny in Berlin" in called.stderr
    assert called.stdout.strip() == ANSWER
    assert run("-c", "And now?").stdout.strip() == ANSWER


def test_an_embedded_model(run: Run) -> None:
    """Where no file is named."""
    asked = ("-m", "quorate/majority/quorate-tiny-base", "-o", "n", "3", "-o", "seed", "1")
    assert "Answer:" in run(*asked, STORY, config=None).stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-m", "quorate/scripted", "-o", "n", "5"], "n=5 samples need a pipeline"),
        (["-m", "quorate/scripted", "-o", "pipeline", "nonsense"], "no pipeline named 'nonsense'"),
        (["-m", "quorate/scripted", "-o", "n", "0"], "n"),
    ],
)
def test_what_cannot_be_asked_is_told(run: Run, options: list[str], told: str) -> None:
    """In one line, without a traceback."""
    done = run(*options, "17 * 24?")
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_file_leaves_llm_its_other_models(run: Run, tmp_path: Path) -> None:
    """With the reason on standard error."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("models: {}\n")
    done = run("models", config=broken)
    assert done.returncode == 0
    assert "gpt" in done.stdout
    assert f"quorate: no models: {broken}" in done.stderr


async def test_the_asynchronous_model(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, awaited."""
    from quorate.integrations.llm import AsyncPipelineModel

    monkeypatch.setenv("QUORATE_CONFIG", str(config_file))
    response = AsyncPipelineModel("team").prompt("What is 17 * 24?")
    assert await response.text() == ANSWER
    assert (await response.usage()).output == 21
