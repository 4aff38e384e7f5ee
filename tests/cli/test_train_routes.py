"""`quorate train cascade` and `quorate train router` as people and scripts use them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorate.aggregators.registry import build_graph
from quorate.aggregators.routing.cascade import TrainedCascade
from quorate.aggregators.routing.router import TrainedRouter
from quorate.cli import app
from quorate.evals import registry
from quorate.evals.run import EvalSpec, run_eval
from quorate.orchestrator.errors import BadInput, QuorateError
from quorate.testing import ScriptedModel
from tests.evals.fakes import Guesser, Sums, catalog

pytest.importorskip("sklearn")
pytest.importorskip("statsmodels")

COUNT = 150


def invoked(*arguments: str) -> Any:
    result = CliRunner().invoke(app, ["train", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["train", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def written(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    """Two cheap models that agree where questions are easy, and a dear one that is nearly always right."""
    rng = random.Random(1)
    rows, questions = [], []
    for number in range(COUNT):
        easy = rng.random() < 0.6
        text = f"{number} plus 4?" if easy else f"Prove case {number} of the lemma."
        said = {
            "small": "7" if easy else str(rng.randint(0, 9)),
            "other": "7" if easy else str(rng.randint(0, 9)),
            "dear": "7" if rng.random() < 0.97 else "8",
        }
        rows += [
            {"id": f"q{number}", "model": m, "answer": a, "cost": 9.0 if m == "dear" else 1.0} for m, a in said.items()
        ]
        questions.append({"id": f"q{number}", "question": text, "gold": "7"})
    written(tmp_path / "answers.jsonl", rows)
    written(tmp_path / "questions.jsonl", questions)
    return tmp_path


def test_a_cascade_is_calibrated_and_served(panel: Path) -> None:
    """The two cheap ones must agree; what is written is what the pipeline reads."""
    file = str(panel / "c.json")
    stages = ["--stage", "small,other", "--stage", "dear"]
    found = invoked("cascade", "--recorded", str(panel), *stages, "--budget", "0.4", "--out", file)
    right = {system["name"]: system["accuracy"]["value"] for system in found["systems"]}
    assert right["cascade"] > 0.95 > right["as often, at random"]
    assert found["asked"] == pytest.approx([1.0, 0.4], abs=0.06)
    assert found["verdict"].startswith("worth it where the last stage is dear")
    assert found["systems"][0]["cost"] == pytest.approx(2 + 9 * found["asked"][1])
    learned = TrainedCascade.load(file)
    assert [stage.models for stage in learned.stages] == [("small", "other"), ("dear",)]
    answers = {"small": "7", "other": "7", "dear": "8"}
    models = [ScriptedModel([f"The answer is {a}."], name=name) for name, a in answers.items()]
    graph = build_graph("cascade", models, options={"file": file})
    # Of the questions on which both agree a part goes on, so that the budget is used up.
    texts = {asyncio.run(graph.answer(f"{number} plus 4?")).text[-2:] for number in range(12)}
    assert "7." in texts
    text = printed("cascade", "--recorded", str(panel), *stages, "--risk", "0.1")
    assert "accepted from agreement" in text
    assert "every question out of fold" in text


def test_a_team_is_chosen_in_the_training_folds(panel: Path) -> None:
    """Of the other models; with the money that it may take."""
    found = invoked("cascade", "--recorded", str(panel), "--stage", "dear", "--team", "2", "--budget", "0.4")
    assert found["stages"][0]["models"] == ["other", "small"]
    with pytest.raises(BadInput, match="no team stays within"):
        invoked(
            "cascade", "--recorded", str(panel), "--stage", "dear", "--team", "2", "--budget", "0.4", "--most", "0.1"
        )


def test_a_cascade_that_would_lose_is_its_last_stage(panel: Path) -> None:
    """One small model alone always agrees with itself; nothing is accepted, and it is told."""
    found = invoked("cascade", "--recorded", str(panel), "--stage", "small", "--stage", "dear")
    assert found["stages"][0]["threshold"] is None
    assert found["asked"] == [0.0, 1.0]
    assert found["verdict"].startswith("not worth it: no answer before the last stage is sure enough")


def test_a_router_is_trained_and_served(panel: Path) -> None:
    """Within a budget the dear one is asked what looks hard."""
    file = str(panel / "r.json")
    found = invoked("router", "--recorded", str(panel), "--budget", "4.5", "--out", file)
    own = found["systems"][0]
    assert own["accuracy"]["value"] > found["systems"][1]["accuracy"]["value"] + 0.05
    assert own["cost"] < 5
    assert found["verdict"].startswith("worth it")
    learned = TrainedRouter.load(file)
    assert next(iter(learned.expect("Prove case 3 of the lemma.", list(learned.models)))) == "dear"
    text = printed("router", "--recorded", str(panel))
    assert "not worth it: not resolved to be better" in text
    assert "always the best single model, dear" in text


def test_prices_may_be_given(panel: Path) -> None:
    """For an answer where no tokens are known; one that is missing is named."""
    priced = invoked("router", "--recorded", str(panel), "--price", "small=1,other=1,dear=20", "--budget", "8")
    assert [s["cost"] for s in priced["systems"][2:]] == [20.0, 1.0, 1.0]
    with pytest.raises(BadInput, match="--price has none of dear: give --price dear=MONEY"):
        invoked("router", "--recorded", str(panel), "--price", "small=1,other=1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cascade"], "choose what to learn from"),
        (["cascade", "--stage", "small", "--stage", "lost"], "no samples of lost; there are of: dear, other, small"),
        (["cascade", "--stage", "small@4", "--stage", "dear"], "it draws 4 samples, and the questions have 1.0"),
        (["cascade", "--stage", "small", "--stage", "dear", "--budget", "x"], "--budget x"),
        (["cascade", "--stage", "small", "--stage", "dear", "--budget", ".1", "--risk", ".1"], "give one of"),
        (["cascade", "--stage", "small", "--stage", "dear", "--score", "luck"], "--score luck"),
        (["cascade"], "say who is asked first"),
        (["cascade", "--stage", "small", "--stage", "dear", "--most", ".5"], "--most bounds what the team"),
        (["router", "--model", "deer"], "'deer'.*there is: dear, other, small"),
        (["router", "--budget", "nan"], "even the cheapest model takes 1"),
        (["router", "--embedder", "http://localhost:1/v1"], "give address and model, such as"),
        (["router", "--embedder", "nowhere"], "there is no such folder"),
        (["router", "--objective", "speed=1"], "--objective speed=1: speed"),
        (["router", "--objective", "size=-1"], "knows no size of"),
        (["router", "--model", "dear"], "graded answers of dear alone"),
        (["router", "--budget", "0.5"], "even the cheapest model takes 1"),
        (["router", "--price", "dear"], "--price dear: write NAME=NUMBER"),
    ],
)
def test_what_cannot_be_trained_is_refused(panel: Path, arguments: list[str], words: str) -> None:
    """With one error that says what to do."""
    given = [] if words.startswith("choose what") else ["--recorded", str(panel)]
    with pytest.raises(QuorateError, match=words):
        printed(arguments[0], *given, *arguments[1:])


def test_a_bank_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its models' samples, or what its pipelines answered, with what they took."""
    monkeypatch.setattr(registry, "_TASKS", {**registry._TASKS, "sums": Sums()})
    bank, pipelines = str(tmp_path / "run"), ["m", "majority@3/m"]
    spec = EvalSpec("sums", out=tmp_path / "run", pipelines=pipelines, limit=24, seed=3)
    asyncio.run(run_eval(catalog(Guesser("m")), spec))
    found = invoked("router", "--bank", bank, "--pipelines", "--folds", "3")
    assert {system["name"] for system in found["systems"][2:]} == set(pipelines)
    with pytest.raises(BadInput, match="graded answers of m alone"):
        invoked("router", "--bank", bank)
    both = invoked("cascade", "--bank", bank, "--stage", "m@3", "--stage", "m", "--folds", "2", "--budget", "0.3")
    assert both["questions"] == 24
