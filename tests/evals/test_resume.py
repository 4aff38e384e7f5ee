"""Killed at any moment, a run goes on with exactly the samples that are missing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.types import Question

from .fakes import Guesser, Sums, catalog

NAMES = ("m", "majority@8/m")
LIMIT = 30

SCRIPT = """
import asyncio, sys
from pathlib import Path
from tests.evals.test_resume import evaluate
asyncio.run(evaluate(Path(sys.argv[1]), Path(sys.argv[2]), killed_at=int(sys.argv[3])))
"""


async def evaluate(out: Path, log: Path, killed_at: int | None = None) -> dict[str, Any]:
    """One run; this process is killed when it draws that sample."""
    registry._TASKS.setdefault("sums", Sums())
    drawn = count()

    def kill(question: Question, index: int) -> None:
        if next(drawn) == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    agent = Guesser(log=log, fails=kill)
    result = await run_eval(catalog(agent), EvalSpec("sums", pipelines=NAMES, limit=LIMIT, out=out, concurrency=4))
    return result.as_json()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def figures(result: dict[str, Any]) -> list[Any]:
    return [{k: p[k] for k in p if k not in {"spent", "seconds"}} for p in result["pipelines"]]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


@pytest.mark.parametrize("killed_at", [0, 1, 60, 190, LIMIT * 8 - 1])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, killed_at: int) -> None:
    """The bank ends up with what an uninterrupted run has; only the sample in flight is drawn again."""
    whole = asyncio.run(evaluate(tmp_path / "whole", tmp_path / "whole.log"))
    out = tmp_path / "out"
    arguments: list[str | Path] = [sys.executable, "-c", SCRIPT, out, tmp_path / "first.log", str(killed_at)]
    process = subprocess.run(arguments, env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert process.returncode == -signal.SIGKILL
    kept = samples(out)
    assert len(kept) == killed_at
    result = asyncio.run(evaluate(out, tmp_path / "second.log"))
    assert samples(out)[:killed_at] == kept
    assert len(lines(tmp_path / "second.log")) == LIMIT * 8 - killed_at
    assert sorted(samples(out)) == sorted(samples(tmp_path / "whole"))
    assert figures(result) == figures(whole)


def samples(folder: Path) -> list[str]:
    """The bank's samples without how the prompt was counted, which follows the requests that were really made."""
    with Bank(folder) as bank:
        return [sample.model_dump_json(exclude={"candidate": {"usage", "prompt_counted"}}) for sample in bank]
