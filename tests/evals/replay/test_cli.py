"""`quorate eval replay` as people and scripts use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.orchestrator.errors import BadInput, UnknownName

from .banks import written

ROWS = [
    {"id": f"q{i}", "model": m, "answers": ["1", "2", "1", "3"], "gold": "1", "tokens": [4, 4, 4, 4]}
    for i in range(5)
    for m in ("a", "b")
]


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["eval", "replay", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_json_has_the_documented_fields(tmp_path: Path) -> None:
    """Bank, questions and results, a row for every aggregator, model and k."""
    path = written(tmp_path / "bank.jsonl", ROWS)
    found = json.loads(printed("--bank", str(path), "--aggregators", "plurality,pass", "--k", "1,4", "--json"))
    assert list(found) == ["bank", "questions", "results"]
    assert (found["bank"], found["questions"]) == (str(path), 5)
    assert [(r["aggregator"], r["model"], r["k"]) for r in found["results"]] == [
        (name, model, k) for model in ("a", "b", "all") for name in ("plurality", "pass") for k in (1, 4)
    ]
    assert found["results"][0] == {
        "aggregator": "plurality",
        "model": "a",
        "k": 1,
        "accuracy": 0.5,
        "low": pytest.approx(0.17, abs=0.005),
        "high": pytest.approx(0.83, abs=0.005),
        "tokens": 4.0,
        "cost": None,
        "seconds": None,
        "samples": 1.0,
    }


def test_the_table_shows_the_gain_over_plurality(tmp_path: Path) -> None:
    """For people; models left out are gone."""
    path = written(tmp_path / "bank.jsonl", ROWS)
    text = printed("--bank", str(path), "--aggregators", "plurality,run-off", "--without", "b")
    assert "5 questions, repeated samples" in text
    assert "+0.000 @4.0" in text
    assert " b " not in text


def test_the_list_tells_what_each_needs() -> None:
    """As a table and as JSON."""
    assert "dawid-skene-full" in printed("--list")
    listed = json.loads(printed("--list", "--json"))["aggregators"]
    assert {"name", "summary", "needs", "source"} == set(listed[0])


def test_quorate_aggregators_lists_them_too() -> None:
    """Beside the pipelines and stopping rules."""
    result = CliRunner().invoke(app, ["aggregators", "--json"], catch_exceptions=False)
    listed = {entry["name"]: entry["needs"] for entry in json.loads(result.stdout)["replay"]}
    assert listed["dawid-skene-full"] == ["labels", "panel"]
    assert "replay: dawid-skene-full" in CliRunner().invoke(app, ["aggregators"], catch_exceptions=False).stdout


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("--aggregators", "nonsense"), UnknownName, "nonsense"),
        (("--aggregators", "dawid-skene"), BadInput, "dawid-skene needs panel"),
        (("--k", "1,many"), BadInput, "--k 1,many"),
        (("--k", "5"), BadInput, "k=5"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], says: str) -> None:
    """What, where and the fix."""
    path = written(tmp_path / "bank.jsonl", ROWS)
    with pytest.raises(error, match=says):
        CliRunner().invoke(app, ["eval", "replay", "--bank", str(path), *arguments], catch_exceptions=False)


def test_a_bank_is_needed() -> None:
    """The error says how to give one."""
    with pytest.raises(BadInput, match="--bank FILE"):
        CliRunner().invoke(app, ["eval", "replay"], catch_exceptions=False)
