"""Inspect with a pipeline inside: its command line finds the provider by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .inside import config_file

inspect_ai = pytest.importorskip("inspect_ai")

__all__ = ["config_file"]

TASK = '''
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool

@tool
def weather():
    async def execute(city: str):
        """How it is.

        Args:
            city: where.
        """
        return f"sunny in {city}"
    return execute

def ask(*questions):
    return MemoryDataset([Sample(input=question, target=target) for question, target in questions])

@task
def stories():
    asked = ("A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?", "54"), ("What is 3 + 4?", "7")
    return Task(dataset=ask(*asked), solver=generate(), scorer=match(numeric=True))

@task
def product():
    return Task(dataset=ask(("What is 17 * 24?", "408")), solver=generate(), scorer=match(numeric=True))

@task
def agent():
    return Task(dataset=ask(("Weather in Berlin?", "408")), solver=[use_tools(weather()), generate()],
                scorer=match(numeric=True))
'''


def evaluate(folder: Path, task: str, *options: str) -> Any:
    """`inspect eval`, and its log."""
    (folder / "task.py").write_text(TASK)
    logs = folder / "logs"
    command = [str(Path(sys.executable).with_name("inspect")), "eval", f"task.py@{task}", *options]
    command += ["--log-dir", str(logs), "--log-format", "json", "--display", "none"]
    env = {**os.environ, "INSPECT_EVAL_MAX_RETRIES": "0"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False)
    found = sorted(logs.glob("*.json"))
    assert found, done.stdout + done.stderr
    return json.loads(found[-1].read_text())


def test_an_evaluation_of_an_embedded_vote(tmp_path: Path) -> None:
    """A real run: every question answered, the tokens of all samples counted, the votes in the log."""
    log = evaluate(tmp_path, "stories", "--model", "quorate/majority@5/quorate-tiny-base", "--seed", "1")
    assert log["status"] == "success"
    assert 0 <= log["results"]["scores"][0]["metrics"]["accuracy"]["value"] <= 1
    [usage] = log["stats"]["model_usage"].values()
    assert usage["output_tokens"] > 2 * 5 * 5
    for each in log["samples"]:
        assert sum(cluster["votes"] for cluster in each["output"]["metadata"]["quorate"]["tally"]) <= 5


def test_several_choices_are_independent_votes(tmp_path: Path) -> None:
    """As many as are asked for, each described, the tokens of all of them counted."""
    asked = ("--model", "quorate/majority@3/quorate-tiny-base", "--seed", "1", "--num-choices", "2", "--limit", "1")
    [sample] = evaluate(tmp_path, "stories", *asked)["samples"]
    told = sample["output"]["metadata"]["quorate_choices"]
    assert len(sample["output"]["choices"]) == len(told) == 2
    assert all(0 < sum(cluster["votes"] for cluster in each["tally"]) <= 3 for each in told)
    assert sample["output"]["usage"]["output_tokens"] > 2 * 3 * 5


def test_a_file_and_a_tool(tmp_path: Path, config_file: Path) -> None:
    """A configured pipeline; its votes call tools, whose results go back."""
    chosen = ("--model", "quorate/team", "-M", f"config_file={config_file}")
    assert evaluate(tmp_path, "product", *chosen)["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 1
    [sample] = evaluate(tmp_path, "agent", *chosen)["samples"]
    assert [message["role"] for message in sample["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert sample["messages"][2]["content"] == "sunny in Berlin"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "quorate/nonsense"], "no model or pipeline named 'nonsense'"),
        (["--model", "quorate/quorate-tiny-base", "-M", "confg=x.yaml"], "-M confg: unknown"),
    ],
)
def test_what_cannot_be_asked_is_told(tmp_path: Path, options: list[str], told: str) -> None:
    """By name."""
    (tmp_path / "task.py").write_text(TASK)
    command = [
        str(Path(sys.executable).with_name("inspect")),
        "eval",
        "task.py@stories",
        *options,
        "--display",
        "plain",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert told in " ".join((done.stdout + done.stderr).replace("│", " ").split())
