"""`quorate train selector` as people and scripts use it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorate.aggregators.learned.selector import TrainedSelector
from quorate.cli import app
from quorate.evals import registry
from quorate.evals.bank import Bank
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.errors import BadInput, DataError
from tests.evals.fakes import Guesser, Sums, catalog

pytest.importorskip("sklearn")
pytest.importorskip("statsmodels")


def invoked(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["train", "selector", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    """Three models' recorded answers to 60 questions: one is able, two err together."""
    rng = random.Random(1)
    answers, samples = [], []
    for number in range(60):
        lot = "7" if rng.random() < 0.5 else "8"
        said = {"able": "7" if rng.random() < 0.9 else "9", "weak": lot, "weaker": lot}
        answers += [{"id": f"q{number}", "model": m, "answer": a, "correct": a == "7"} for m, a in said.items()]
        samples += [{"id": f"q{number}", "model": m, "text": f"I think: {a}"} for m, a in said.items()]
    written(tmp_path / "answers.jsonl", answers)
    written(tmp_path / "samples.jsonl", samples)
    written(tmp_path / "questions.jsonl", [{"id": f"q{n}", "question": "3 + 4?", "gold": "7"} for n in range(60)])
    return tmp_path


def test_a_panel_teaches_whom_to_trust(panel: Path) -> None:
    """Out of fold beside the vote and weights without labels; the file is there and is used as a selector."""
    found = json.loads(invoked("--recorded", str(panel), "--folds", "3", "--out", str(panel / "s.json"), "--json"))
    right = {system["name"]: system["accuracy"]["value"] for system in found["systems"]}
    assert list(right) == [
        "plurality",
        "dawid-skene",
        "label-free",
        "best single, of the training folds",
        "selector",
    ]
    assert right["selector"] > right["plurality"] + 0.1
    assert found["systems"][0]["gain"]["p"] < 0.01
    assert (found["questions"], found["sets"], found["seed"]) == (60, 60, 0)
    assert "models" in TrainedSelector.load(panel / "s.json").families
    assert "text" in TrainedSelector.load(panel / "s.json").families


def test_the_table_is_for_people(panel: Path) -> None:
    """With what was learned, and how abstaining went."""
    text = invoked("--recorded", str(panel), "--folds", "2", "--risk", "0.2", "--features", "votes,models")
    assert "60 questions, 60 sets; every question out of fold" in text
    assert "selector over it" in text
    assert "strongest: model:able" in text
    assert "abstaining at risk 0.2" in text


def test_repeated_samples_are_cut_and_stay_together(tmp_path: Path) -> None:
    """Sets of four of one model's twelve answers, variants of the prompt told apart, scores read."""
    rng = random.Random(2)
    rows = []
    for number in range(20):
        answers = [rng.choice("778") for _ in range(12)]
        rows.append({"id": f"q{number}", "model": "m", "answers": answers, "gold": "7"})
    written(tmp_path / "answers.jsonl", rows)
    texts = [{"id": r["id"], "model": "m", "variant": "short", "samples": r["answers"]} for r in rows]
    written(tmp_path / "samples.jsonl", texts)
    path = str(tmp_path)
    found = json.loads(invoked("--recorded", path, "--candidates", "4", "--folds", "2", "--model", "m", "--json"))
    assert (found["questions"], found["sets"]) == (20, 60)
    assert found["systems"][0]["gain"]["test"] == "exchange"
    with pytest.raises(BadInput, match=r"--model x: .* it has: m"):
        invoked("--recorded", path, "--model", "x")
    with pytest.raises(BadInput, match="candidates=13"):
        invoked("--recorded", path, "--candidates", "13")


def test_recorded_scores_are_features(tmp_path: Path) -> None:
    """And best-of-n by them is a rival."""
    rng = random.Random(3)
    rows = []
    for number in range(30):
        answers = [rng.choice("789") for _ in range(4)]
        scores = [2.0 * (a == "7") + rng.random() for a in answers]
        rows.append({"id": f"q{number}", "model": "m", "answers": answers, "gold": "7", "rm_score": scores})
    written(tmp_path / "answers.jsonl", rows)
    found = json.loads(invoked("--recorded", str(tmp_path), "--folds", "2", "--json"))
    right = {system["name"]: system["accuracy"]["value"] for system in found["systems"]}
    assert right["selector"] > right["plurality"]
    assert right["highest reward"] > right["plurality"]
    with pytest.raises(BadInput, match="recorded scores"):
        invoked("--recorded", str(tmp_path), "--candidates", "2")


async def made(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bank of two guessers' samples."""
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})
    pipelines = ["majority@4/m", "majority@4/n"]
    spec = EvalSpec("sums", out=path, pipelines=pipelines, limit=24, seed=3)
    await run_eval(catalog(Guesser("m"), Guesser("n")), spec)
    return path


async def test_a_bank_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates of several agents stand together, questions of one cluster too."""
    from quorate.cli.train.material import bank_examples

    bank = await made(tmp_path / "bank", monkeypatch)
    examples = await bank_examples(bank, task=None, agent=None, size=None, seed=0)
    assert len(examples) == 24
    assert {len(example.view.candidates) for example in examples} == {8}
    assert {example.group for example in examples} == {"sums/mod 0", "sums/mod 1", "sums/mod 2"}
    assert {source for example in examples for source in example.view.sources} == {"m", "n"}
    alone = await bank_examples(bank, task="sums", agent="m", size=2, seed=0)
    assert {len(example.view.candidates) for example in alone} == {2}
    for wanted, says in (({"task": "stories", "agent": None}, "stories"), ({"task": None, "agent": "x"}, "'x'")):
        with pytest.raises(BadInput, match=f"holds no samples of .*{says}.*its tasks: sums"):
            await bank_examples(bank, size=None, seed=0, **wanted)


async def test_a_bank_trains_a_selector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By cluster: three of them are too few for five folds."""
    bank = await made(tmp_path / "bank", monkeypatch)
    text = await asyncio.to_thread(invoked, "--bank", str(bank), "--folds", "3", "--features", "votes,length")
    assert "24 questions in 3 clusters, 24 sets" in text
    with pytest.raises(BadInput, match="folds=5, but there are 3 questions"):
        await asyncio.to_thread(invoked, "--bank", str(bank))


def test_a_bank_without_labels_is_refused(tmp_path: Path) -> None:
    """So is one with no samples, and none at all."""
    with Bank(tmp_path / "empty"):
        pass
    with pytest.raises(BadInput, match="holds no samples; its tasks: none"):
        invoked("--bank", str(tmp_path / "empty"))
    with pytest.raises(BadInput):
        invoked("--bank", str(tmp_path / "absent"))
    with pytest.raises(DataError, match=r"cannot be read|holds no answers"):
        invoked("--recorded", str(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--bank DIR or --recorded FILE"),
        (("--bank", "a", "--recorded", "b"), "one of them"),
        (("--bank", "a", "--without", "m"), "--without goes with --recorded"),
        (("--recorded", "a", "--task", "t"), "--task goes with --bank"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: tuple[str, ...], says: str) -> None:
    """With what to give instead."""
    with pytest.raises(BadInput, match=says):
        invoked(*arguments)


def test_the_features_are_listed() -> None:
    """With what each needs."""
    assert "reward_share" in invoked("--list")
    listed = json.loads(invoked("--list", "--json"))["features"]
    assert {"family", "name", "summary", "needs", "default"} == set(listed[0])
    assert "model:NAME" in {feature["name"] for feature in listed}
