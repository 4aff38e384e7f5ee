"""The formats of recorded answers, and what is said of broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from quorate.evals import registry
from quorate.evals.answer_files import read_bank
from quorate.evals.records import PANEL, POOLED
from quorate.evals.replay import replay
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.errors import BadInput, DataError
from tests.evals.fakes import Guesser, Sums, catalog

from .replay.banks import written

SAMPLES = {"id": "q1", "model": "m", "answers": ["1", None, "2", ""], "gold": "1", "tokens": [5, 6, 7, 8]}


async def test_repeated_samples(tmp_path: Path) -> None:
    """Null and empty answers abstain; lists with an entry an answer are columns; lines are joined."""
    more = {**SAMPLES, "answers": ["2"], "tokens": [9], "variant": "other prompt"}
    bank = await read_bank(written(tmp_path / "bank.jsonl", [SAMPLES, more]))
    assert (bank.panel, bank.questions, bank.has) == (False, 1, frozenset({"samples", "tokens"}))
    [record] = bank.groups["m"]
    assert record.classes == (0, None, 1, None, 1)
    assert record.right == (True, False, False, False, False)
    assert record.count_tokens(2) == 11


async def test_several_models_have_a_group_each_and_one_together(tmp_path: Path) -> None:
    """The last holds every question of every model."""
    bank = await read_bank(written(tmp_path / "bank.jsonl", [SAMPLES, {**SAMPLES, "model": "n"}]))
    assert {name: len(group) for name, group in bank.groups.items()} == {"m": 1, "n": 1, POOLED: 2}
    assert bank.questions == 1


async def test_one_answer_a_model_is_a_panel(tmp_path: Path) -> None:
    """Gold answers may stand in questions.jsonl beside it; numbers are text; a folder means its answers.jsonl."""
    rows: list[dict[str, Any]] = [
        {"id": 7, "model": "b", "answer": 4, "score": 0.5},
        {"id": 7, "model": "a", "answer": "3", "score": 0.25},
    ]
    written(tmp_path / "answers.jsonl", rows)
    written(tmp_path / "questions.jsonl", [{"id": 7, "question": "What?", "gold": 4}])
    bank = await read_bank(tmp_path)
    assert (bank.panel, bank.has) == (True, frozenset({"panel", "scores"}))
    [record] = bank.groups[PANEL]
    assert (record.voters, record.right) == (("a", "b"), (False, True))
    assert record.columns["scores"] == (0.25, 0.5)


async def test_models_can_be_left_out(tmp_path: Path) -> None:
    """By pattern; one that fits nothing, or leaves nothing, is an error."""
    rows = [{"id": "q", "model": m, "answer": "1", "correct": True} for m in ("o1-mini", "o1-preview", "small")]
    path = written(tmp_path / "bank.jsonl", rows)
    assert (await read_bank(path, without=["o1-*"])).groups[PANEL][0].voters == ("small",)
    with pytest.raises(BadInput, match=r"'o3\*'.* small"):
        await read_bank(path, without=["o3*"])
    with pytest.raises(BadInput, match="no model"):
        await read_bank(path, without=["*"])


async def test_crowd_labels_mean_the_same_in_every_question(tmp_path: Path) -> None:
    """Their classes are numbered alike, so full Dawid-Skene applies."""
    rows = [{"item": str(i), "worker": w, "label": str(i % 2)} for i in range(40) for w in "xyz"]
    path = written(tmp_path / "dogs.answers.jsonl", rows)
    written(tmp_path / "dogs.truth.jsonl", [{"item": str(i), "label": str(i % 2)} for i in range(40)])
    bank = await read_bank(path)
    assert bank.has == frozenset({"panel", "labels"})
    assert {record.classes for record in bank.groups[PANEL]} == {(0, 0, 0), (1, 1, 1)}
    assert replay(bank, ["dawid-skene-full"])[0].accuracy == 1.0


async def test_programs_are_classed_by_the_tests_they_pass(tmp_path: Path) -> None:
    """Programs of one class may differ in being right, and then share the credit; .gz is read."""
    row = {
        "id": "p",
        "unique_codes": ["a", "b", "c"],
        "code_of_sample": [0, 1, 2, 0],
        "test_pass": ["11", "11", "01"],
        "correct": [True, False, False],
    }
    with gzip.open(tmp_path / "answers.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    bank = await read_bank(tmp_path)
    [record] = bank.groups["programs"]
    assert record.classes == (0, 0, 1, 0)
    assert replay(bank, ["plurality"])[0].accuracy == pytest.approx(2 / 3)


@pytest.fixture
def _sums(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})


@pytest.mark.usefixtures("_sums")
async def test_the_samples_of_an_evaluation_are_a_bank(tmp_path: Path) -> None:
    """Every sample of every question, graded as the evaluation did, with its tokens; another run may hold it."""
    result = await run_eval(
        catalog(Guesser()), EvalSpec("sums", pipelines=["majority@8/m"], limit=12, seed=3, out=tmp_path)
    )
    bank = await read_bank(tmp_path)
    assert (bank.questions, list(bank.groups)) == (12, ["m"])
    assert {"samples", "tokens", "candidates"} <= bank.has
    [single] = replay(bank, ["plurality"], k=[1])
    assert single.accuracy == pytest.approx(result.as_json()["pipelines"][0]["pass@1"]["value"])
    assert single.samples == 1.0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", r"bank.jsonl:2: is no JSON"),
        ("[]", r"bank.jsonl:2: must be a JSON object"),
        ('{"model": "m", "answers": ["1"], "gold": "1"}', r"bank.jsonl:2: id: is missing"),
        ('{"id": "q", "model": ["m"], "answers": ["1"]}', r"bank.jsonl:2: model: must be text"),
        ('{"id": "q", "model": "m"}', r"bank.jsonl:2: answers: is missing"),
        ('{"id": "q", "model": "m", "answers": "1"}', r"bank.jsonl:2: answers: must be a list"),
        ('{"id": "q", "model": "m", "answers": [{}], "gold": "1"}', r"bank.jsonl:2: answers: an answer must be text"),
        ('{"id": "q", "model": "m", "answers": ["1"]}', r"bank.jsonl:2: correct: is missing"),
        ('{"id": "q", "model": "m", "answers": ["1"], "correct": []}', r"bank.jsonl:2: correct: has 0 entries"),
        ('{"id": "q", "model": "m", "answers": ["1"], "correct": ["yes"]}', r"bank.jsonl:2: correct: must be true"),
        ('{"id": "q", "model": "m", "answers": ["1"], "gold": "1", "tokens": [1, 2]}', r"bank.jsonl:2: tokens: needs"),
        ('{"id": "q", "model": "m", "answers": ["1"], "gold": "1", "tokens": ["x"]}', r"bank.jsonl:2: tokens: must"),
        ('{"id": "q", "code_of_sample": [5], "unique_codes": ["a"], "test_pass": ["1"], "correct": [1]}', "indices"),
        ('{"item": "i", "worker": "w"}', r"bank.jsonl:2: label: is missing|labels need their truth"),
    ],
)
async def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    """File, line and field."""
    (tmp_path / "bank.jsonl").write_text(json.dumps(SAMPLES) + "\n" + line + "\n")
    with pytest.raises(DataError, match=says):
        await read_bank(tmp_path / "bank.jsonl")


async def test_what_holds_no_answers_is_refused(tmp_path: Path) -> None:
    """No file, an empty one, a folder without any, a broken archive."""
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "broken.jsonl.gz").write_bytes(b"no archive")
    (tmp_path / "folder").mkdir()
    for name, says in (
        ("absent.jsonl", "cannot be read"),
        ("empty.jsonl", "holds no answers"),
        ("broken.jsonl.gz", "cannot be read"),
        ("folder", r"holds no answers.jsonl"),
    ):
        with pytest.raises(DataError, match=says):
            await read_bank(tmp_path / name)
