"""`quorate eval pilot` as people and scripts use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.config.catalog import Catalog
from quorate.orchestrator.errors import BadInput, DataError, UnknownName
from quorate.testing import ScriptedModel
from tests.evals.saying import saying

pytest.importorskip("numpy")
pytest.importorskip("tokenizers")
pytest.importorskip("statsmodels")

COUNT = 12


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three models and one without tokens in place of the embedded ones."""
    right = {"able": 10, "weak": 3, "weaker": 1}
    made = {name: saying(name, [n < count for n in range(COUNT)]) for name, count in right.items()}

    async def open_catalog(*_: Any) -> Catalog:
        chat = ScriptedModel(["4"], name="chat")
        return Catalog({**made, "chat": chat})  # type: ignore[dict-item]

    monkeypatch.setattr("quorate.cli.pilot.open_catalog", open_catalog)


def rows(path: Path, *, gold: int = COUNT) -> str:
    """A file of questions, the first of them with gold answers."""
    lines = [{"id": f"{n}", "question": f"Number {n}?", **({"gold": f"{n}"} if n < gold else {})} for n in range(COUNT)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def invoked(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["eval", "pilot", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_table_and_a_pipeline(tmp_path: Path) -> None:
    """Accuracies, agreement and trials with intervals, then the name and the pipeline."""
    told = invoked("able", "weak", "--data", rows(tmp_path / "q.jsonl"), "--try")
    lines = told.splitlines()
    assert next(line for line in lines if line.startswith("able ")).split()[1] == "0.833"
    assert "able = weak" in told
    assert sum(line.startswith(("able ", "weak ")) for line in lines) == 2 + 1 + 4  # models, their agreement, trials
    assert "pipelines:\n  team: {pipeline: safe, models: [" in told
    assert "untried" not in told


def test_one_json_document(tmp_path: Path) -> None:
    """With --json, and without gold answers in the file or with them left aside: abilities."""
    labelled = json.loads(invoked("able", "weak", "--data", rows(tmp_path / "q.jsonl"), "--json"))
    assert labelled["labelled"]
    assert labelled["members"][0]["score"]["value"] == pytest.approx(10 / 12)
    assert labelled["name"] == "safe/able+weak"
    for more in (
        ["--data", rows(tmp_path / "bare.jsonl", gold=0)],
        ["--data", rows(tmp_path / "q.jsonl"), "--unlabelled"],
    ):
        found = json.loads(invoked("able", "weak", "weaker", *more, "--json"))
        assert not found["labelled"]
        assert {m["name"] for m in found["members"]} == {"able", "weak", "weaker"}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["able"], BadInput, "at least 2"),
        (["able", "nobody"], UnknownName, "nobody"),
        (["able", "chat"], BadInput, "cannot be asked token by token"),
    ],
)
def test_mistakes_are_one_error(tmp_path: Path, arguments: list[str], error: type[Exception], words: str) -> None:
    """One model, a stranger, one that has no tokens."""
    with pytest.raises(error, match=words):
        invoked(*arguments, "--data", rows(tmp_path / "q.jsonl"))


def test_broken_files_are_told(tmp_path: Path) -> None:
    """Gold answers for some questions only, an empty file, and none."""
    with pytest.raises(BadInput, match=r"question \d+ has no gold answer \(5 of 12"):
        invoked("able", "weak", "--data", rows(tmp_path / "some.jsonl", gold=7))
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    with pytest.raises((BadInput, DataError), match="empty"):
        invoked("able", "weak", "--data", str(tmp_path / "empty.jsonl"))
    with pytest.raises((BadInput, DataError), match="nowhere"):
        invoked("able", "weak", "--data", str(tmp_path / "nowhere.jsonl"))
