"""`quorate eval compare` and `quorate eval plan` on banks and recorded answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.evals.bank import Bank, BankedAgent, BankedItem, BankedSample, SampleRequest
from quorate.evals.outcome import Outcome
from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.usage import Usage

from .replay.banks import written

RUNNER = CliRunner()


def told(*arguments: str) -> Any:
    """What a command prints as JSON."""
    found = RUNNER.invoke(app, ["eval", *arguments, "--json"], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def banked(folder: Path, task: str = "sums", right: int = 6, questions: int = 8) -> Path:
    """A run of two pipelines over four samples a question of which the last is wrong, ten tokens each."""
    items = [
        BankedItem(task=task, item=str(i), question=Question.of(f"{task} {i}"), gold=str(i)) for i in range(questions)
    ]
    with Bank(folder) as bank:
        bank.note_items(task, items)
        run = bank.start_run(task, pipelines=("usc@2/m", "majority@4/m"))
        for item in items:
            request = SampleRequest("m~1", item.question.key, int(item.item))
            bank.note_request(request, item.question, BankedAgent.of("m~1"))
            for index in range(4):
                said = item.gold if index < 3 else "99"
                candidate = Candidate(
                    index=index, model="m", text=f"#### {said}", answer=said, usage=Usage(completion_tokens=10)
                )
                bank.add(
                    BankedSample(
                        agent="m~1", question=item.question.key, seed=int(item.item), index=index, candidate=candidate
                    )
                )
            for name, tokens, correct in (("usc@2/m", 20, int(item.item) < right), ("majority@4/m", 40, True)):
                bank.add_outcome(
                    run, Outcome(pipeline=name, item=item.item, gold=item.gold or "", correct=correct, tokens=tokens)
                )
        bank.finish_run(run)
    return folder


def test_compare_brings_systems_to_equal_tokens(tmp_path: Path) -> None:
    """The vote at the twenty tokens that the other took, from its scaling curve."""
    [task] = told("compare", str(banked(tmp_path / "run")))["tasks"]
    assert task["task"] == "sums"
    [pair] = task["pairs"]
    assert (pair["a"], pair["b"], pair["budget"], pair["scaled"]) == ("majority@4/m", "usc@2/m", 20.0, "majority@4/m")
    assert pair["accuracy_a"] == pytest.approx(0.75)
    assert told("compare", str(tmp_path / "run"), "--as-run")["tasks"][0]["pairs"][0]["budget"] is None


def test_compare_goes_by_what_is_asked_for(tmp_path: Path) -> None:
    """Without prices there is nothing to compare by money, which is told; another unit is a mistake."""
    [task] = told("compare", str(banked(tmp_path / "run")), "--by", "money")["tasks"]
    assert (task["pairs"][0]["by"], task["pairs"][0]["budget"]) == ("money", None)
    assert "not every answer has a price" in task["pairs"][0]["note"]
    assert [s["cost"] for s in task["systems"]] == [None, None]
    wrong = RUNNER.invoke(app, ["eval", "compare", str(tmp_path / "run"), "--by", "calls"])
    assert "--by calls: there is: tokens, money, seconds" in str(wrong.exception or wrong.output)


def test_compare_prints_tables_twice_the_same(tmp_path: Path) -> None:
    """For people, with what was scaled."""
    folder = str(banked(tmp_path / "run"))
    first = RUNNER.invoke(app, ["eval", "compare", folder]).stdout
    assert "majority@4/m, from its scaling curve, has the samples: 2.0 against usc@2/m" in first
    assert "McNemar" in first or "exchange" in first
    assert first == RUNNER.invoke(app, ["eval", "compare", folder]).stdout


def test_compare_shows_the_best_against_the_others_first(tmp_path: Path) -> None:
    """A row for each of them and each reason once; every pair where it is asked for, with the same correction."""
    rows = [
        {"id": str(i), "model": m, "answer": str(i % n), "gold": "0"}
        for i in range(6)
        for n, m in ((3, "c"), (2, "b"), (1, "a"))
    ]
    compare = ["eval", "compare", str(written(tmp_path / "answers.jsonl", rows))]
    few, every = (RUNNER.invoke(app, [*compare, *more]).stdout for more in ([], ["--all-pairs"]))
    assert few.count(" - ") < every.count(" - ")
    assert [pair in few for pair in ("a - b", "a - c", "b - c")] == [True, True, False]
    assert [pair in every for pair in ("a - b", "a - c", "b - c")] == [True, True, True]
    assert next(line for line in few.splitlines() if line.startswith("a - b")) in every
    assert few.count("no tokens were recorded") == 1
    assert "counts 3 more pairs, which --all-pairs prints" in few


def test_several_folders_and_tasks_are_ranked(tmp_path: Path) -> None:
    """Systems of one name on one task are told apart by their folder; several tasks give rankings."""
    folders = [str(banked(tmp_path / "a")), str(banked(tmp_path / "b", "dates", right=3))]
    found = told("compare", *folders)
    assert [task["task"] for task in found["tasks"]] == ["sums", "dates"]
    assert [r["method"] for r in found["rankings"]] == ["mean", "borda", "copeland", "plackett-luce"]
    assert {r["systems"][0]["system"] for r in found["rankings"]} == {"majority@4/m"}
    again = told("compare", folders[0], str(banked(tmp_path / "c")))
    assert {s["name"] for s in again["tasks"][0]["systems"]} == {
        "usc@2/m [a]", "usc@2/m [c]", "majority@4/m [a]", "majority@4/m [c]"
    }  # fmt: skip


def test_compare_reads_recorded_answers(tmp_path: Path) -> None:
    """A panel: each model and their vote."""
    rows = [
        {"id": str(i), "model": m, "answer": str(i % n), "gold": "0"} for i in range(6) for n, m in ((1, "u"), (2, "v"))
    ]
    [task] = told("compare", str(written(tmp_path / "answers.jsonl", rows)))["tasks"]
    assert {s["name"] for s in task["systems"]} == {"u", "v", "plurality of all"}
    assert task["systems"][0]["name"] == "u"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compare", "nowhere"), "there is no such folder"),
        (("compare", "RUN", "--system", "x"), "no system is named x"),
        (("compare", "RUN", "--baseline", "x"), "x"),
        (("compare", "RUN", "--task", "x"), "no task 'x'"),
        (("plan", "nowhere"), "there is no such folder"),
        (("plan", "RUN", "--model", "x"), "no model named 'x'"),
        (("plan", "RUN", "--price", "1"), "--price and --point together"),
        (("plan", "RUN", "--price", "1", "--point", "1", "--epsilon", "1"), "not both"),
        (("plan", "RUN", "--price", "0", "--point", "1"), "must be above 0"),
    ],
)
def test_bad_input_is_one_error(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    """That names what is wrong."""
    folder = str(banked(tmp_path / "run", questions=2))
    with pytest.raises((BadInput, UnknownName), match=says):
        RUNNER.invoke(app, ["eval", *(a.replace("RUN", folder) for a in arguments)], catch_exceptions=False)


def test_plan_says_how_many_samples_to_buy(tmp_path: Path) -> None:
    """From the samples of a bank; a dearer token buys fewer."""
    folder = str(banked(tmp_path / "run"))
    [plan] = told("plan", folder, "--most", "16")["plans"]
    assert (plan["model"], plan["pilot"], plan["questions"]) == ("m", 4, 8)
    assert plan["curve"][0]["accuracy"]["value"] == pytest.approx(0.75)
    assert plan["vote"]["samples"] >= 3
    [dear] = told("plan", folder, "--most", "16", "--price", "1000", "--point", "0.1")["plans"]
    assert dear["epsilon"] == pytest.approx(1000 * 10 * 1000 / 1e6 / (100 * 0.1))
    assert dear["vote"]["samples"] == 1
    text = RUNNER.invoke(app, ["eval", "plan", folder, "--most", "16"]).stdout
    assert "vote: buy" in text
    assert "with a verifier: buy" in text


def test_plan_needs_more_than_one_sample(tmp_path: Path) -> None:
    """Of a panel there is nothing to plan."""
    rows = [{"id": str(i), "model": "m", "answer": "0", "gold": "0"} for i in range(3)]
    file = written(tmp_path / "answers.jsonl", rows)
    with pytest.raises(BadInput, match="one sample a question"):
        RUNNER.invoke(app, ["eval", "plan", str(file)], catch_exceptions=False)
