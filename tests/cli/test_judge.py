"""`quorate eval judge` and `quorate eval rubric` as people and scripts use them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.config.catalog import Catalog
from quorate.evals.bank import Bank, BankedAgent, BankedItem
from quorate.evals.bank.ingest import Incoming, ingest
from quorate.evals.outcome import Outcome
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.types import Candidate, Question
from quorate.testing import ScriptedModel
from tests.evals.judging.judges import TasteJudge, length, truth

pytest.importorskip("statsmodels")

PIPELINES = ("good/m", "long/m")
QUESTIONS = 30


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges in place of the embedded models; `m-2` has the family of the writer."""
    judges = (TasteJudge(truth, name="true"), TasteJudge(length, name="long"), TasteJudge(truth, name="m-2"))

    async def open_catalog(*_: Any) -> Catalog:
        return Catalog({model.name: model for model in (*judges, ScriptedModel(["hm"], name="mute"))})

    monkeypatch.setattr("quorate.cli.judge.open_catalog", open_catalog)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right and a wrong answer to each question; one pipeline is right, the other writes more."""
    folder = tmp_path_factory.mktemp("bank")
    with Bank(folder) as made:
        run = made.start_run("t", pipelines=(*PIPELINES, "alone/m"), questions=QUESTIONS)
        for n in range(QUESTIONS):
            texts = [f"right {n}" + " words" * (n % 5), f"wrong {n}" + " words" * 3]
            item = BankedItem(task="t", item=f"q{n}", question=Question.of(f"What is {n}?"), gold="right")
            ingest(made, [incoming(item, i, text) for i, text in enumerate(texts)])
            for pipeline, text in zip(PIPELINES, texts, strict=True):
                made.add_outcome(run, Outcome(pipeline=pipeline, item=item.item, gold="right", text=text))
        made.finish_run(run)
    return folder


def incoming(item: BankedItem, index: int, text: str) -> Incoming:
    candidate = Candidate(index=index, model="m", agent="m", text=text, finish_reason="stop")
    return Incoming(BankedAgent.of("m~1"), candidate, item, seed=0, graded=True, correct=text.startswith("right"))


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["eval", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_table_of_a_judge(bank: Path) -> None:
    lines = printed("judge", "true", str(bank)).splitlines()
    assert lines[0] == "true: 30 questions, each with a right and a wrong answer, 0 left out"
    rows = {line[: line.index("  ")]: line.split() for line in lines if "  " in line}
    assert "1.000" in rows["accuracy"]
    assert "0.500" in rows["for the longer"]


def test_json_of_a_judge_of_length(bank: Path) -> None:
    found = json.loads(printed("judge", "long", str(bank), "--limit", "20", "--json"))
    assert (found["judge"], found["questions"]) == ("long", 20)
    assert found["longer"]["value"] == 1
    assert json.loads(printed("judge", "long", str(bank), "--limit", "20", "--json")) == found


def test_two_pipelines_by_a_rubric(bank: Path, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("It is right.\n", encoding="utf-8")
    told = printed("rubric", "true", str(bank), *PIPELINES, "--rubric", str(rubric))
    assert "true on 30 questions: good/m against long/m, both orders" in told
    assert "for good/m" in told
    found = json.loads(printed("rubric", "true", str(bank), *PIPELINES, "--rubric", str(rubric), "--json"))
    assert (found["preferred"]["value"], found["rubric"], found["first"]) == (1, "It is right.", 0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("rubric", "m-2", "{bank}", *PIPELINES), BadInput, "m-2 is of the family of m, which wrote for good/m"),
        (("rubric", "true", "{bank}", "good/m", "good/m"), BadInput, "name two pipelines"),
        (("rubric", "true", "{bank}", "good/m", "other"), UnknownName, "other"),
        (("rubric", "true", "{bank}", "good/m", "alone/m"), BadInput, "no question was answered by both"),
        (("rubric", "true", "{bank}", *PIPELINES, "--rubric", "{bank}/none"), BadInput, "cannot be read"),
        (("judge", "nobody", "{bank}"), UnknownName, "nobody"),
        (("judge", "true", "{bank}/none"), BadInput, "none"),
        (("judge", "true", "{bank}", "--task", "s"), UnknownName, "task"),
        (("judge", "mute", "{bank}", "--limit", "2"), Exception, "none of 10 verdicts"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    bank: Path, arguments: tuple[str, ...], error: type[Exception], words: str
) -> None:
    given = [one.replace("{bank}", str(bank)) for one in arguments]
    with pytest.raises(error, match=words):
        CliRunner().invoke(app, ["eval", *given], catch_exceptions=False)


def test_a_judge_of_the_writers_family_reads_where_it_is_allowed(bank: Path) -> None:
    found = json.loads(printed("rubric", "m-2", str(bank), *PIPELINES, "--same-family", "--json"))
    assert found["preferred"]["value"] == 1


def test_an_empty_rubric_is_refused(bank: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    with pytest.raises(BadInput, match="is empty"):
        printed("judge", "true", str(bank), "--rubric", str(tmp_path / "empty"))
