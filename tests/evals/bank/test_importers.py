"""Recorded answers and other harnesses' logs become labelled samples; doing it twice adds nothing."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from quorate.evals.answer_files import read_bank
from quorate.evals.bank import Bank
from quorate.evals.bank.importers import ImportReport, import_path
from quorate.evals.replay import replay
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import CandidateSet, SamplingParams

LOG = Path(__file__).parent / "logs" / "sums.eval"
"""Of Inspect 0.3.285 with its own mock model: four sums, three epochs, a system message."""


def lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


async def imported(path: Path, task: str | None = None) -> tuple[list[CandidateSet], ImportReport]:
    """The sets of a bank that has been given the source twice."""
    with Bank() as bank:
        first = import_path(bank, path, task)
        again = import_path(bank, path, task)
        assert (again.read, again.new) == (first.read, 0)
        return list(bank.sets()), first


async def test_repeated_samples_with_texts_beside_them(tmp_path: Path) -> None:
    """Texts in another order and in a packed file; questions in a third; variants are prompt versions."""
    answers: list[dict[str, Any]] = [
        {"id": "q1", "model": "m", "variant": "cot", "answers": ["6", None], "correct": [True, False]},
        {"id": "q1", "model": "m", "variant": "pot", "answers": ["7"], "correct": [False], "tokens": [12]},
        {"id": "q1", "model": "n", "answers": ["6"], "correct": [True], "rm_score": [0.5]},
    ]
    lines(tmp_path / "sums" / "answers.jsonl", answers)
    texts = [
        {"id": "q1", "model": "m", "variant": "pot", "samples": ["print(7)"]},
        {"id": "q1", "model": "m", "variant": "cot", "samples": ["It is 6", "Who knows"]},
    ]
    lines(tmp_path / "sums" / "samples.jsonl.gz", texts)
    lines(tmp_path / "sums" / "questions.jsonl", [{"id": "q1", "question": "What is 3 + 3?", "gold": "6"}])
    [m, n], done = await imported(tmp_path / "sums")
    assert (done.new, done.items, done.ungraded) == (4, 1, 0)
    assert (m.task, m.item, m.gold, m.question.text) == ("sums", "q1", "6", "What is 3 + 3?")
    assert [c.text for c in m.candidates] == ["It is 6", "Who knows", "print(7)"]
    assert [c.answer for c in m.candidates] == ["6", None, "7"]
    assert [c.prompt_version for c in m.candidates] == ["cot", "cot", "pot"]
    assert m.candidates[2].usage.completion_tokens == 12
    assert (m.correct, n.correct) == ((True, False, False), (True,))


async def test_any_of_several_golds_is_right(tmp_path: Path) -> None:
    """In the line or in the file of questions."""
    lines(tmp_path / "sums" / "answers.jsonl", [{"id": "q1", "model": "m", "answers": ["6", "six", "7"]}])
    lines(tmp_path / "sums" / "questions.jsonl", [{"id": "q1", "question": "3 + 3?", "gold": ["6", "six"]}])
    [found], _ = await imported(tmp_path / "sums")
    assert (found.gold, found.correct) == ("6 | six", (True, True, False))
    own = lines(tmp_path / "own.jsonl", [{"id": "q1", "model": "m", "answer": "six", "gold": ["6", "six"]}])
    [found], _ = await imported(own)
    assert (found.gold, found.correct) == ("6 | six", (True,))


@pytest.mark.parametrize(
    "rows",
    [
        [
            {"id": "q1", "model": "m", "answers": ["1", "2", "2"], "gold": "2", "tokens": [5, 6, 7]},
            {"id": "q2", "model": "m", "answers": ["1", None, "1"], "gold": "1", "tokens": [5, 6, 7]},
        ],
        [
            {"id": f"q{i}", "model": m, "answer": a, "gold": "A"}
            for i in range(30)
            for m, a in zip("wxyz", "AABC", strict=True)
        ],
        [
            {"id": "q", "unique_codes": ["a", "b", "c"], "test_pass": ["1", "1", ""], "correct": [1, 0, 1]}
            | {"code_of_sample": [0, 1, 2, 2, 2]}
        ],
    ],
)
async def test_a_replay_of_the_bank_has_the_figures_of_the_file(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Repeated samples, a panel, and programs whose classes are their behaviour."""
    path = lines(tmp_path / "set.jsonl", rows)
    with Bank(tmp_path / "bank") as bank:
        import_path(bank, path)
    of_file, of_bank = await read_bank(path), await read_bank(tmp_path / "bank")
    assert (of_bank.panel, of_bank.questions) == (of_file.panel, of_file.questions)
    for ours, theirs in zip(replay(of_bank, ["plurality"]), replay(of_file, ["plurality"]), strict=True):
        assert (ours.k, ours.accuracy) == (theirs.k, theirs.accuracy)


async def test_crowd_labels(tmp_path: Path) -> None:
    """Each worker is an agent."""
    labels = [{"item": "1", "worker": "a", "label": "3"}, {"item": "1", "worker": "b", "label": "2"}]
    path = lines(tmp_path / "dogs.answers.jsonl", labels)
    lines(tmp_path / "dogs.truth.jsonl", [{"item": "1", "label": "3"}])
    sets, _ = await imported(path)
    assert [(s.candidates[0].agent, s.correct) for s in sets] == [("a", (True,)), ("b", (False,))]


def logged(doc: int, texts: list[str], **more: Any) -> dict[str, Any]:
    """A line of `samples_TASK_DATE.jsonl` as lm-eval 0.4 writes it."""
    return {
        "doc_id": doc,
        "doc": {"question": f"What is {doc} + {doc}?"},
        "target": f"{doc} + {doc} = <<{doc}+{doc}={2 * doc}>>{2 * doc}, which is the sum\n#### {2 * doc}",
        "arguments": {
            "gen_args_0": {
                "arg_0": f"Q: What is {doc} + {doc}?\nA:",
                "arg_1": {"until": ["Q:"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 64},
            }
        },
        "resps": [texts],
        "filtered_resps": ["4"],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
        **more,
    }


async def test_lm_eval_samples(tmp_path: Path) -> None:
    """The first of several filters; the model from the results; the answer out of a whole solution."""
    rows = [
        logged(2, ["It is 4."]),
        logged(3, ["I see 7"], exact_match=0.0, filtered_resps=["[invalid]"]),
        logged(3, ["I see 7"], filter="flexible-extract", filtered_resps=["7"], exact_match=0.0),
        logged(4, ["8", "9"], filtered_resps=["8"]),
    ]
    folder = tmp_path / "out" / "org__model"
    lines(folder / "samples_gsm8k_2026-01-01T00-00-00.000000.jsonl", rows)
    (folder / "results_2026-01-01T00-00-00.000000.json").write_text('{"model_name": "org/model"}')
    sets, done = await imported(tmp_path / "out")
    assert (done.new, done.items, done.ungraded) == (4, 3, 2)
    assert done.notes == [
        "samples_gsm8k_2026-01-01T00-00-00.000000.jsonl: answers and grades of the filter strict-match; "
        "there is also flexible-extract (--filter chooses)"
    ]
    two, three, four = sets
    assert (two.task, two.item, two.gold, two.candidates[0].agent) == ("gsm8k", "2", "4", "org/model")
    assert two.question.text == "Q: What is 2 + 2?\nA:"
    assert two.question.sampling == SamplingParams(temperature=0.0, max_tokens=64, stop=("Q:",))
    assert (two.correct, three.correct, four.correct) == ((True,), (False,), (None, None))
    assert (two.candidates[0].answer, three.candidates[0].answer) == ("4", None)


async def test_lm_eval_nulls_lists_and_targets(tmp_path: Path) -> None:
    """A text that is null is a wrong answer, each list of responses a repeat, and any of several targets is right."""
    rows = [
        logged(1, [], resps=[[None]], filtered_resps=[None], exact_match=0.0),
        logged(2, [], resps=[["It is 4."], [None]], target=["4", "four"], filtered_resps=["4", None]),
    ]
    (null, both), done = await imported(lines(tmp_path / "log.jsonl", rows))
    assert (done.read, done.ungraded) == (3, 1)
    assert ([c.text for c in null.candidates], null.correct) == ([""], (False,))
    assert ([c.text for c in both.candidates], both.gold) == (["It is 4.", ""], "4 | four")
    assert both.correct == (None, False)


async def test_lm_eval_older_arguments_chats_and_likelihoods(tmp_path: Path) -> None:
    """Prompts in lists, chat messages as JSON; lines without texts are left out, a file of them is refused."""
    chat = json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}])
    rows = [
        logged(1, ["2"], arguments=[["1 + 1 =", {"until": "\n", "temperature": 0.7}]]),
        logged(2, ["4"], arguments=[[chat, {}]]),
        {**logged(3, []), "arguments": [["3 + 3 =", " 6"]], "resps": [[[-3.0, False]], [[-4.0, True]]]},
    ]
    (plain, chatted), _ = await imported(lines(tmp_path / "likely.jsonl", rows))
    assert (plain.question.text, plain.question.sampling.temperature) == ("1 + 1 =", 0.7)
    assert [message.role for message in chatted.question.messages] == ["system", "user"]
    likely = {"arguments": {"gen_args_0": {"arg_0": "3?", "arg_1": " 6"}}}
    none = lines(tmp_path / "none.jsonl", [rows[2] | likely])
    with Bank() as bank, pytest.raises(DataError, match=r"no sample .* \(1 were answered by comparing likelihoods"):
        import_path(bank, none)


def unpacked() -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and samples of the log."""
    from quorate.evals.bank.importers.inspect_log import _open_zip

    header, samples = _open_zip(LOG)
    return dict(header), dict(samples())


def check(sets: list[CandidateSet]) -> None:
    assert [(s.item, s.gold, len(s.candidates)) for s in sets] == [(f"q{n}", str(n), 3) for n in range(4)]
    assert [sum(map(bool, s.correct)) for s in sets] == [1, 1, 1, 0]
    first = sets[0]
    assert (first.task, first.cluster, first.candidates[0].agent) == ("sums", "c", "mockllm/model+system_message")
    assert [m.role for m in first.question.messages] == ["system", "user"]
    assert first.question.text.startswith("What is 0+0? long long")
    assert first.question.sampling == SamplingParams(temperature=0.7, max_tokens=64)
    assert first.candidates[0].text.endswith("ANSWER: 0")
    assert first.candidates[0].usage.prompt_tokens == 10


async def test_an_inspect_log(tmp_path: Path) -> None:
    """As Inspect wrote it, Zstandard and attachments included."""
    sets, done = await imported(LOG)
    assert (done.new, done.items, done.ungraded) == (12, 4, 0)
    check(sets)


async def test_inspect_logs_of_other_makes(tmp_path: Path) -> None:
    """A folder with an ordinary zip of a run that has not ended, and one JSON document; both at once are two runs."""
    header, samples = unpacked()
    with zipfile.ZipFile(tmp_path / "a.eval", "w", zipfile.ZIP_DEFLATED) as log:
        log.writestr("_journal/start.json", json.dumps({k: header[k] for k in ("version", "eval", "plan")}))
        for name, sample in samples.items():
            log.writestr(name, json.dumps(sample))
    check((await imported(tmp_path))[0])
    other = {**header, "eval": {**header["eval"], "eval_id": "other"}, "samples": list(samples.values())}
    (tmp_path / "b.json").write_text(json.dumps(other))
    check((await imported(tmp_path / "b.json"))[0])
    both, _ = await imported(tmp_path)
    assert [len(s.candidates) for s in both] == [6] * 4


async def test_inspect_samples_that_failed_or_have_no_score(tmp_path: Path) -> None:
    """The first are left out and counted, the others not graded."""
    header, samples = unpacked()
    rows = list(samples.values())
    rows[0] |= {"error": {"message": "boom"}}
    rows[1] |= {"scores": {}}
    (tmp_path / "log.json").write_text(json.dumps({**header, "samples": rows}))
    _, done = await imported(tmp_path / "log.json")
    assert (done.new, done.ungraded, done.left_out) == (11, 1, {"ended in an error": 1})


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("cut.eval", LOG.read_bytes()[:9000], r"cut.eval: is no Inspect log, or cut off"),
        ("cut.json", b'{"version": 2, "eval": {', r"cut.json: is no JSON or cut off"),
        ("odd.json", b'{"eval": {"task": "t"}}', r"odd.json: is no Inspect log: it names no task and model"),
        (
            "row.json",
            b'{"eval": {"task": "t", "model": "m"}, "samples": [{"id": 1, "output": {"choices": [7]}}]}',
            "samples.0",
        ),
        ("empty.jsonl", b"", r"empty.jsonl: holds nothing"),
        ("bare.jsonl", b'{"id": "q"}\n', r"bare.jsonl:1: model: is missing"),
        ("log.jsonl", b'{"doc_id": 1, "resps": [["x"]], "target": "1"}\n', r"log.jsonl:1: arguments: holds no prompt"),
        ("bad.parquet", b"PAR1 and no more", r"bad.parquet: is no Parquet file, or cut off"),
        ("bad.sqlite", b"no bank at all, but long enough to be read as the head of a file" * 9, "is no sample bank"),
    ],
)
async def test_a_broken_source_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """File, line or sample, and what is wrong with it."""
    (tmp_path / name).write_bytes(content)
    with Bank() as bank, pytest.raises(DataError, match=says):
        import_path(bank, tmp_path / name)


async def test_what_came_before_a_broken_line_is_kept(tmp_path: Path) -> None:
    """And is not added again when the line is mended."""
    good = [{"id": f"q{i}", "model": "m", "answer": "1", "gold": "1"} for i in range(3)]
    path = lines(tmp_path / "set.jsonl", [*good, {"id": "q3"}])
    with Bank() as bank:
        with pytest.raises(DataError, match=r"set.jsonl:4: model"):
            import_path(bank, path)
        assert len(bank) == 3
        lines(path, good)
        assert import_path(bank, path).new == 0


async def test_sources_that_are_none(tmp_path: Path) -> None:
    """No such file, the bank itself."""
    with Bank(tmp_path / "bank") as bank:
        for path, says in (
            (tmp_path / "none", "there is no such file"),
            (tmp_path / "bank", "is the bank itself"),
        ):
            with pytest.raises(BadInput, match=says):
                import_path(bank, path)
