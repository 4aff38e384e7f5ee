"""Logs that the tools themselves wrote (`logs/record.sh`): what they hold is in the bank, what is not is counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.evals.bank import Bank
from quorate.evals.bank.importers import ImportReport, import_path
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import CandidateSet

LOGS = Path(__file__).parent / "logs"
NO_TEXT = "were answered by comparing likelihoods, without a text"


def imported(name: str | Path, **options: str) -> tuple[list[CandidateSet], ImportReport]:
    """The sets of a bank that was given the source twice."""
    with Bank() as bank:
        done = import_path(bank, LOGS / name, **options)
        assert import_path(bank, LOGS / name, **options).new == 0
        assert done.new == done.read == len(bank)
        return list(bank.sets()), done


@pytest.mark.parametrize(
    ("name", "samples", "left_out", "ungraded"),
    [
        ("inspect/facts.eval", 6, {}, 0),
        ("inspect/facts-second.eval", 3, {}, 0),
        ("inspect/unscored.eval", 3, {}, 3),
        ("lm-eval/chat", 12, {}, 9),
        ("lm-eval/dummy", 9, {NO_TEXT: 3}, 9),
        ("lm-eval/nulls", 3, {}, 0),
        ("promptfoo/out.json", 12, {"the provider failed": 12}, 4),
        ("promptfoo/out.jsonl", 12, {"the provider failed": 12}, 4),
        ("batch/output.jsonl", 3, {"failed: HTTP 404 NotFoundError": 1, "failed: HTTP 400 BadRequestError": 1}, 3),
        ("evalplus", 8, {}, 0),
        ("human-eval", 6, {}, 0),
        ("lighteval", 12, {NO_TEXT: 3}, 9),
    ],
)
def test_counts_agree(name: str, samples: int, left_out: dict[str, int], ungraded: int) -> None:
    """Samples taken and samples left out are all that the source holds."""
    with Bank() as bank:
        done = import_path(bank, LOGS / name)
        assert (done.read, done.new, done.left_out, done.ungraded) == (samples, samples, left_out, ungraded)
        assert len(bank) == samples
        assert import_path(bank, LOGS / name).new == 0


def test_a_folder_of_many_logs() -> None:
    """Each by who wrote it; recordings, requests and results of whole tasks are passed over."""
    with Bank() as bank:
        done = import_path(bank, LOGS)
        assert done.read == len(bank) == 101
        assert sum(done.left_out.values()) == 32
        agents = {candidate.agent for found in bank.sets() for candidate in found.candidates}
    assert {"mockllm/model", "mockllm/model+look_again", "org/tiny", "tiny", "samples"} <= agents


def test_inspect_counts_all_calls_and_keeps_solvers_apart() -> None:
    """A second call costs, too, and the same model behind it is another agent; any of several targets is right."""
    first, done = imported("inspect/facts.eval")
    second, _ = imported("inspect/facts-second.eval")
    assert {(s.candidates[0].agent, s.candidates[0].usage.total_tokens) for s in first} == {
        ("mockllm/model", tokens) for tokens in (15, 17, 19)
    }
    assert {(s.candidates[0].agent, s.candidates[0].usage.total_tokens) for s in second} == {
        ("mockllm/model+look_again", tokens) for tokens in (32, 40, 48)
    }
    assert all(s.candidates[0].usage.requests == 2 for s in second)
    assert [s.gold for s in first] == ["white and red | red and white"] * 2 + ["4"]
    assert [s.correct for s in first] == [(True, True), (False, False), (True, True)]
    assert done.notes == ["facts.eval: graded by includes; there is also length (--scorer chooses)"]


def test_inspect_scorers_are_chosen() -> None:
    """A measure grades nothing right but by chance; one that is not there is named with those that are."""
    measured, _ = imported("inspect/facts.eval", scorer="length")
    assert not any(any(s.correct[:2]) for s in measured[:2])
    with pytest.raises(BadInput, match="no scorer 'match'; there is: length, includes"):
        imported("inspect/facts.eval", scorer="match")


def test_lm_eval_filters_are_chosen() -> None:
    """The first of several is taken, and said; repeats that are copies are told."""
    name = "lm-eval/chat"
    _, strict = imported(name)
    assert imported(name, answer_filter="loose")[1].read == strict.read
    [told, copies] = strict.notes
    assert "filter strict; there is also loose (--filter chooses)" in told
    assert "the samples of 1 of 3 questions are copies of each other: lm-eval sends the same seed" in copies
    [file] = (LOGS / name).glob("samples_sums_*")
    with pytest.raises(BadInput, match="no filter 'odd'; there is: strict, loose"):
        imported(file, answer_filter="odd")
    _, loose = imported(file, answer_filter="loose")
    assert not any("filter" in note for note in loose.notes)


def test_lm_eval_targets_and_nulls() -> None:
    """A list that was written as text is a list; what the harness writes for a null is a wrong answer."""
    sets, _ = imported("lm-eval/nulls")
    assert [(s.gold, s.correct) for s in sets] == [
        ("5 | five", (False,)),
        ("6 | six", (False,)),
        ("8 | eight", (True,)),
    ]
    assert sets[1].candidates[0].text == ""


def test_promptfoo() -> None:
    """Repeats are samples of one test; all assertions have to hold; without any there is no grade."""
    sets, _ = imported("promptfoo/out.json")
    graded = {s.item: (s.gold, s.correct, s.question.text) for s in sets}
    assert graded["test-1/prompt-1"] == ("5", (True, True), "What is 2 + 3?")
    assert graded["test-2/prompt-2"] == ("42", (False, False), "Only the number: 30 + 12")
    assert graded["test-3/prompt-1"] == (None, (None, None), "What is 1 + 1?")
    assert {s.candidates[0].usage.total_tokens for s in sets} == {12}
    assert {s.question.sampling.temperature for s in sets} == {0.7}


def test_a_batch(tmp_path: Path) -> None:
    """Choices share the tokens of their request; the questions are those of the input beside it, or told as unknown."""
    sets, done = imported("batch/output.jsonl")
    assert [(s.item, len(s.candidates)) for s in sets] == [("q1", 2), ("q2", 1)]
    assert sets[0].question.text.startswith("Tom has 3 apples")
    assert sum(c.usage.total_tokens for c in sets[0].candidates) == 55
    assert sets[1].candidates[0].finish_reason == "length"
    assert done.notes == []
    shutil.copy(LOGS / "batch" / "output.jsonl", tmp_path)
    alone, told = imported(tmp_path / "output.jsonl")
    assert [len(s.candidates) for s in alone] == [2, 1]
    assert told.notes == ["output.jsonl: the questions of 2 replies are unknown: put the batch's input file beside it"]


def test_programs() -> None:
    """Passing the further tests alone is no pass, nor is an empty list of failed ones; the name says who wrote them."""
    sets, _ = imported("evalplus")
    assert [s.correct for s in sets] == [(True, False, False, False), (True, True, False, False)]
    assert {c.agent for s in sets for c in s.candidates} == {"org/tiny"}
    assert sets[0].question.sampling.temperature == 0.8
    sets, _ = imported("human-eval")
    assert [s.correct for s in sets] == [(True, False, False), (True, True, False)]


def test_lighteval() -> None:
    """Several texts of a question are ungraded samples, kept apart from the one of another task."""
    sets, _ = imported("lighteval")
    found = {(s.task, s.item, len(s.candidates)): s.correct for s in sets}
    assert found["sums", "2", 1] == (True,)
    assert found["sums", "0", 1] == (False,)
    assert found["repeated", "0", 3] == (None,) * 3
    assert {c.model for s in sets for c in s.candidates} == {"org/tiny"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '{"any": {"eval": {"task": "t"}}}', "is nothing that can be imported. What is read: a bank"),
        ("notes.txt", "hello", "is nothing that can be imported"),
        ("a.jsonl", '{"prompt": "x"}\n', "is nothing that can be imported"),
        (
            "r.json",
            '{"results": {}, "configs": {}}',
            "results of whole tasks, and no samples: import lm-eval's samples_",
        ),
        ("s.jsonl", '{"task_id": "HumanEval/0", "solution": "x"}\n', "holds solutions and no results: run evalplus"),
        ("e.json", '{"hash": "x", "eval": {"t": [{"base": []}]}}', r"e.json: eval.t\[0\]: holds no solution"),
        ("e.json", '{"hash": "x", "eval": {"t": [{"solution": "", "base_status": 1}]}}', "base_status must be one of"),
        (
            "p.json",
            '{"evalId": "x", "results": {"results": [{"provider": 1}]}}',
            r"results\[0\]: is no result of promptfoo",
        ),
        ("b.jsonl", '{"custom_id": 1, "response": {"status_code": 500}}\n', r"no sample .* \(1 failed: HTTP 500"),
    ],
)
def test_what_cannot_be_read_says_what_can(tmp_path: Path, name: str, content: str, says: str) -> None:
    """In one line, with the place."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        imported(tmp_path / name)


def test_the_command_says_what_was_left_out(tmp_path: Path) -> None:
    """With its reason, and the remarks."""
    arguments = ["eval", "bank", "import", str(LOGS / "promptfoo" / "out.json"), "--bank", str(tmp_path / "bank")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "12 samples of 6 questions added" in result.output
    assert "12 of the source are left out: the provider failed" in result.output
    result = CliRunner().invoke(app, [*arguments, "--json"])
    [report] = json.loads(result.output).values()
    assert (report["new"], report["left_out"]) == (0, {"the provider failed": 12})
