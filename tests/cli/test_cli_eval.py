"""`quorate eval`: exit codes, several tasks, budgets, servers that die, and options that do not go together."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quorate.evals.bank import Bank
from quorate.testing import Reply, ScriptedUpstream

QUESTIONS = [{"id": str(n), "question": f"What is {n} + {n}?", "gold": str(2 * n)} for n in range(40)]


def quorate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    code = "from quorate.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, "eval", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return path


async def asked(up: ScriptedUpstream, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`eval run` against a scripted server that lives in this process."""
    return await asyncio.to_thread(quorate, "run", "--upstream", up.url, *arguments)


def test_every_command_is_there() -> None:
    """With a line of help each."""
    shown = quorate("--help")
    assert shown.returncode == 0
    for command in ("run", "replay", "compare", "plan", "report", "tasks", "bank"):
        assert f"\n  {command} " in shown.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ray-workers", "2"), "go with --engine ray"),
        (("--budget-money", "0"), "--budget-money 0: a budget is above 0"),
        (("--top-p", "1.5"), "--top-p 1.5"),
        (("--task", "stories", "--task", "gsm8k", "--data", "x"), "belong to one task"),
        (("--task", "stories", "--task", "stories"), "--task stories is given twice"),
        (("--concurrency", "0"), "at least 1 sample"),
        (("--upstream", "http://127.0.0.1:9/v1", "--config", "x.yaml"), "not both"),
    ],
)
def test_options_that_cannot_be_are_one_line(options: tuple[str, ...], words: str) -> None:
    """On standard error, exit code 2, nothing on standard output."""
    ended = quorate("run", "-p", "quorate-tiny-base", "--limit", "1", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


TASK = """
from quorate.evals import Item, Task
from quorate.orchestrator.types import Question

class Mine(Task):
    name = "mine"

    def items(self, selection):
        return [Item(n, Question.of("What is 1 + 1?"), "2") for n in {ids}]

    async def correct(self, answer, gold):
        return {verdict}
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('one\\ntwo')", "cannot be imported: RuntimeError: one two"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        (TASK.format(ids="1 / 0", verdict="True"), "task 'mine': its questions cannot be made: ZeroDivisionError"),
        (TASK.format(ids="'aa'", verdict="True"), "error: two questions have the id 'a': ids must be distinct"),
        (TASK.format(ids="'a'", verdict="{}['x']"), "task 'mine': the answers to a cannot be graded: KeyError"),
    ],
)
def test_a_task_of_ones_own_that_raises_is_one_line(tmp_path: Path, code: str, words: str) -> None:
    """With what was raised and where; exit code 2, never a success."""
    (tmp_path / "mine.py").write_text(code)
    ended = quorate("run", "-p", "quorate-tiny-base", "--task", f"{tmp_path / 'mine.py'}:Mine", "--limit", "2")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert words in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


async def test_a_budget_ends_with_code_3_and_the_next_run_goes_on(data: Path, tmp_path: Path) -> None:
    """What was drawn is kept, the result says why it is short, `--json` prints nothing but the result."""
    common = ("-p", "majority@2/m", "--data", data, "--out", tmp_path / "out", "--json", "--concurrency", "4")
    async with ScriptedUpstream(Reply("Answer: 4", usage=(10, 10)), models=["m"]) as up:
        ended = await asked(up, *common, "--budget-tokens", "200")
        first: dict[str, Any] = json.loads(ended.stdout)
        assert ended.returncode == 3, ended.stderr
        assert first["complete"] is False
        assert "of 200 tokens used" in first["notes"][-1]
        whole = await asked(up, *common)
    assert whole.returncode == 0, whole.stderr
    last = json.loads(whole.stdout)
    assert (last["complete"], last["questions"]) == (True, 40)
    assert last["pipelines"][0]["spent"] < last["pipelines"][0]["tokens"]


async def test_a_server_that_dies_midway_is_one_line_and_the_next_run_goes_on(data: Path, tmp_path: Path) -> None:
    """Exit code 2; samples and partial results are kept; no sample is drawn twice."""
    common = ("-p", "m", "--data", data, "--out", tmp_path / "out", "--concurrency", "8")
    async with ScriptedUpstream(Reply("Answer: 4", delay=0.1), models=["m"]) as up:
        running = asyncio.create_task(asked(up, *common))
        await up.wait_until(lambda up: len(up.requests) >= 10)
    ended = await running
    assert ended.returncode == 2
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "no connection" in last
    with Bank(tmp_path / "out") as bank:
        kept = len(bank)
    assert kept >= 2
    async with ScriptedUpstream(Reply("Answer: 4"), models=["m"]) as up:
        again = await asked(up, *common, "--json")
    assert again.returncode == 0, again.stderr
    assert len(up.requests) == 40 - kept
    assert json.loads(again.stdout)["questions"] == 40


async def test_several_tasks_end_in_a_ranking(tmp_path: Path) -> None:
    """Tables for people, one document for scripts."""
    arguments = ("-p", "m", "-p", "majority@2/m", "--task", "stories", "--task", "modular", "--limit", "3")
    async with ScriptedUpstream(Reply("Answer: 4"), models=["m"]) as up:
        shown = await asked(up, *arguments, "--out", tmp_path)
        told = await asked(up, *arguments, "--out", tmp_path, "--json")
    assert shown.returncode == 0, shown.stderr
    assert "Ranks over 2 tasks" in shown.stdout
    assert "3 questions, 2 pipelines" in shown.stderr
    found = json.loads(told.stdout)
    assert [task["task"] for task in found["tasks"]] == ["stories", "modular"]
    assert {ranking["method"] for ranking in found["rankings"]} >= {"mean", "borda", "copeland", "plackett-luce"}
