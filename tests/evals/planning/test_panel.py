"""What a panel of models amounts to."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.evals.planning import PanelPlan, plan_panel
from quorate.evals.records import AnswerRecord
from quorate.orchestrator.errors import BadInput

pytest.importorskip("statsmodels")


def panel(questions: int = 300, *, copied: bool = False, seed: int = 0) -> list[AnswerRecord]:
    """`able` is right in .9, three others in .6; two of these, `x` and `y`, are wrong together more often."""
    rng = random.Random(seed)
    made = []
    for n in range(questions):
        hard = rng.random() < 0.4
        said = {"able": rng.random() < 0.9, "z": rng.random() < 0.6}
        said |= {name: rng.random() < (0.2 if hard else 0.87) for name in ("x", "y")}
        classes = {name: 0 if right else rng.randint(1, 4) for name, right in said.items()}
        if copied:
            said["z copy"], classes["z copy"] = said["z"], classes["z"]
        names = sorted(said)
        made.append(
            AnswerRecord(
                f"q{n}",
                tuple(names),
                tuple(str(classes[name]) for name in names),
                tuple(classes[name] for name in names),
                tuple(said[name] for name in names),
            )
        )
    return made


def test_who_is_best_and_who_errs_alike() -> None:
    found = plan_panel(panel())
    assert (found.questions, found.voters, found.best, found.copies) == (300, 4, "able", ())
    assert found.best_accuracy.low < 0.9 < found.best_accuracy.high
    assert {found.alike[0].a, found.alike[0].b} == {"x", "y"}
    assert found.alike[0].correlation > 0.2 > found.alike[1].correlation
    assert found.effective is not None
    assert 2.5 < found.effective.votes < 4


def test_copies_are_named_and_leave_fewer_effective_votes() -> None:
    alone, copied = plan_panel(panel()), plan_panel(panel(copied=True))
    assert copied.copies == (("z", "z copy"),)
    assert all("z copy" not in (pair.a, pair.b) for pair in copied.alike)
    assert alone.effective is not None
    assert copied.effective is not None
    assert copied.effective.votes < alone.effective.votes + 0.5


def test_correlations_need_questions_and_errors() -> None:
    """Nobody is said to err alike on a handful of questions, or who never errs."""
    assert plan_panel(panel(10)).alike == ()
    right = [AnswerRecord(f"{n}", ("a", "b"), ("1", "1"), (0, 0), (True, True)) for n in range(30)]
    found: PanelPlan = plan_panel(right)
    assert (found.alike, found.effective) == ((), None)


def test_a_panel_of_one_is_none() -> None:
    with pytest.raises(BadInput, match="a plan needs 2 or more"):
        plan_panel([AnswerRecord("1", ("a",), ("1",), (0,), (True,))])


def write(folder: Path) -> str:
    lines = [
        {"id": record.id, "model": name, "answer": answer, "correct": right}
        for record in panel(100, copied=True)
        for name, answer, right in zip(record.voters, record.answers, record.right, strict=True)
    ]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(folder)


def test_the_command_tells_of_a_panel(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["eval", "plan", write(tmp_path)], catch_exceptions=False).stdout
    assert "100 questions, a panel of 5" in told
    assert "able" in told
    assert "effective votes: 5 voters err like" in told
    assert "copies, which should count once: z = z copy" in told
    found = json.loads(
        CliRunner().invoke(app, ["eval", "plan", write(tmp_path), "--json"], catch_exceptions=False).stdout
    )
    assert found["panel"]["copies"] == [["z", "z copy"]]


def test_the_plan_of_one_model_of_a_panel_needs_samples(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a pilot of able needs 2 or more"):
        CliRunner().invoke(app, ["eval", "plan", write(tmp_path), "--model", "able"], catch_exceptions=False)
