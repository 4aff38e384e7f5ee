"""Tasks in whole evaluations: votes count what the task counts, and bad data ends before anything is asked."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from quorate.config.catalog import Catalog
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.errors import DataError
from quorate.testing import ScriptedModel

from .files import lines

MMLU = {"id": "1", "question": "Which?", "options": ["w", "x", "y", "z"], "gold": "C", "subject": "anatomy"}
CRUX = {"id": "c", "code": "def f(x):\n    return x.upper()", "input": "'a1'", "output": "'A1'"}


async def accuracies(task: str, rows: list[Any], replies: list[str], tmp_path: Path) -> dict[str, float]:
    """Of one sample and of the majority of all replies, by the report."""
    model = ScriptedModel(replies, name="m")
    result = await run_eval(
        Catalog({"m": model}),
        EvalSpec(
            task,
            data=lines(tmp_path / "rows.jsonl", rows),
            pipelines=["m", f"majority@{len(replies)}/m"],
            limit=5,
            out=tmp_path / "out",
        ),
    )
    return {p["name"]: p["accuracy"]["value"] for p in result.as_json()["pipelines"]}


@pytest.mark.parametrize(
    ("task", "row", "replies"),
    [
        ("mmlu", MMLU, ["Answer: A", "Answer: C) y, at 7 metres", "**C**", "Surely option C."]),
        (
            "cruxeval-output",
            CRUX,
            ["[ANSWER]'a1'[/ANSWER]", "[ANSWER]'A1'[/ANSWER]", '[ANSWER]f("a1") == "A1"[/ANSWER]'],
        ),
    ],
)
async def test_a_vote_counts_what_the_task_counts(task: str, row: Any, replies: list[str], tmp_path: Path) -> None:
    """The first reply is wrong, the others are right in several spellings that only the task can read."""
    assert await accuracies(task, [row], replies, tmp_path) == {"m": 0.0, f"majority@{len(replies)}/m": 1.0}


async def test_the_bank_knows_revision_and_prompt(tmp_path: Path) -> None:
    """So a changed prompt or file is no secret."""
    await accuracies("mmlu", [MMLU], ["Answer: C"] * 2, tmp_path)
    with sqlite3.connect(tmp_path / "out" / "bank.sqlite") as bank:
        kept = json.dumps(
            [dict_row for table in ("runs", "items") for dict_row in bank.execute(f"SELECT * FROM {table}")]
        )
    bank.close()
    assert "task-choice@" in kept
    assert str(tmp_path / "rows.jsonl") in kept


async def test_bad_data_ends_before_anything_is_asked(tmp_path: Path) -> None:
    """With its place."""
    model = ScriptedModel(["Answer: C"], name="m")
    data = lines(tmp_path / "rows.jsonl", [MMLU, {**MMLU, "id": "2", "gold": "F"}])
    with pytest.raises(DataError, match=r"rows.jsonl:2: gold: 'F' is none of the options A, B, C, D"):
        await run_eval(
            Catalog({"m": model}), EvalSpec("mmlu", data=data, pipelines=["m"], limit=1, out=tmp_path / "out")
        )
    assert not (tmp_path / "out").exists()
