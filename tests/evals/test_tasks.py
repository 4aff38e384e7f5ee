"""Where questions come from, and when an answer is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quorate.evals import registry
from quorate.evals.registry import find_task, register, task_names
from quorate.evals.task import Selection
from quorate.orchestrator.errors import BadInput, DataError, UnknownName

from .fakes import Sums


def rows(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


GOOD = [{"id": i, "question": f"What is {i} + {i}?", "gold": 2 * i, "source": "mine"} for i in range(20)]


@pytest.mark.parametrize("tier", ["easy", "medium", "hard"])
def test_stories_are_fresh_problems_of_the_tier_that_a_larger_limit_extends(tier: str) -> None:
    """Chosen by the seed; with ids, numbers as gold answers and the template as cluster."""
    task = find_task("stories")
    items = task.items(Selection(12, seed=5, tier=tier))
    assert items == task.items(Selection(20, seed=5, tier=tier))[:12]
    assert items != task.items(Selection(12, seed=6, tier=tier))
    assert len({item.id for item in items}) == 12
    assert all(item.gold.isdecimal() and item.cluster and item.question.text for item in items)


def test_stories_default_to_the_hard_tier() -> None:
    """Where votes have something to gain."""
    task = find_task("stories")
    assert task.items(Selection(3)) == task.items(Selection(3, tier="hard"))


@pytest.mark.parametrize(
    ("selection", "error", "words"),
    [
        (Selection(3, tier="extreme"), UnknownName, "no tier named 'extreme'; there is: easy, hard, long, medium"),
        (Selection(3, data=Path("x.jsonl")), BadInput, "--task jsonl"),
    ],
)
def test_stories_refuse_what_they_do_not_have(selection: Selection, error: type[Exception], words: str) -> None:
    """Naming what there is."""
    with pytest.raises(error, match=words):
        find_task("stories").items(selection)


def test_a_limit_below_one_is_refused() -> None:
    """Before anything is read."""
    with pytest.raises(BadInput, match="limit=0: an evaluation needs at least 1 question"):
        Selection(0)


def test_a_local_file_gives_questions_chosen_by_the_seed(tmp_path: Path) -> None:
    """Numbers serve as ids and gold answers, further fields are left alone, a larger limit extends."""
    task, data = find_task(None, rows(tmp_path / "q.jsonl", *GOOD)), tmp_path / "q.jsonl"
    some = task.items(Selection(5, seed=1, data=data))
    assert some == task.items(Selection(10, seed=1, data=data))[:5]
    assert some != task.items(Selection(5, seed=2, data=data))
    everything = task.items(Selection(1000, seed=1, data=data))
    assert sorted((i.id, i.question.text, i.gold) for i in everything) == sorted(
        (str(g["id"]), g["question"], str(g["gold"])) for g in GOOD
    )


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        ({"id": 1, "question": "Why?"}, "gold", "there must be a field gold; the row has id, question"),
        ({"id": 1, "question": "", "gold": 1}, "question", "is empty"),
        ({"id": 1, "question": ["Why?"], "gold": 1}, "question", "must be text, not list"),
        ({"id": 1, "question": "Why?", "gold": True}, "gold", "must be text, not bool"),
        ({"id": 1, "question": "Why?", "gold": None}, "gold", "there must be a field gold; the row has id, question"),
        ({"id": 1, "question": "Why \ud83d?", "gold": 1}, "question", "holds half a character"),
        ({"question": "Why?", "gold": 1}, "id", "there must be a field id"),
        (["id", "question"], None, "must be a JSON object, not list"),
        ({"id": 3, "question": "Why?", "gold": 1}, "id", "'3' stands in line 4 too"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, bad: Any, field: str | None, words: str) -> None:
    """File, line and field; blank lines count but are no rows."""
    data = rows(tmp_path / "q.jsonl", *GOOD, bad)
    data.write_text("\n" + data.read_text().replace("\n", "\n", 1))
    bad_line = len(GOOD) + 2
    if words.startswith("'3'"):
        words = words.replace("line 4", "line 5")
    with pytest.raises(DataError, match=words) as raised:
        find_task("jsonl").items(Selection(3, data=data))
    assert (raised.value.file, raised.value.line, raised.value.field) == (data, bad_line, field)


def test_a_torn_row_an_empty_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    """What is wrong, and where."""
    (tmp_path / "torn.jsonl").write_text(json.dumps(GOOD[0]) + '\n{"id": 2, "ques')
    (tmp_path / "empty.jsonl").write_text("\n")
    (tmp_path / "table.csv").write_text("id,question,gold\n")
    for name, words in [
        ("torn.jsonl", r"torn.jsonl:2: is no JSON"),
        ("empty.jsonl", "empty.jsonl: holds no questions"),
        ("missing.jsonl", "missing.jsonl: cannot be read: No such file"),
        ("table.csv", "table.csv: has no known ending: give .jsonl, .json, .parquet or a folder"),
    ]:
        with pytest.raises(DataError, match=words):
            find_task("jsonl").items(Selection(3, data=tmp_path / name))


def test_a_local_task_needs_its_file_and_has_no_tiers(tmp_path: Path) -> None:
    """Said in one line."""
    with pytest.raises(
        BadInput, match="task 'jsonl' needs a file: --data FILE with id, question and gold on each line"
    ):
        find_task("jsonl").items(Selection(3))
    with pytest.raises(BadInput, match="has no tiers"):
        find_task("jsonl").items(Selection(3, tier="hard", data=rows(tmp_path / "q.jsonl", *GOOD)))


def test_an_unknown_task_is_told_the_nearest_and_a_missing_one_which_there_are() -> None:
    """And what lists all."""
    with pytest.raises(UnknownName, match=r"no task named 'gsm9k'; nearest of [0-9]+: gsm8k; `quorate eval"):
        find_task("gsm9k")
    with pytest.raises(BadInput, match=r"choose a task \(.*gsm8k.*\) or give --data FILE"):
        find_task(None)


def test_a_task_of_ones_own_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; a second one of the name is refused."""
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    register(Sums())
    assert "sums" in task_names()
    assert len(find_task("sums").items(Selection(4))) == 4
    with pytest.raises(BadInput, match="already"):
        register(Sums())


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [
        ("12 + 5 = 17\nAnswer: 17", "17", True),
        ("So it is \\boxed{17}.", "17", True),
        ("#### 17.0", "17", True),
        ("The answer is 1,700 apples.", "1700", True),
        ("Answer: 1/2", "0.5", True),
        ("Answer: \\frac{1}{2}", "0.5", True),
        ("Answer: 50%", "0.5", True),
        ("<think>maybe 17</think>Answer: 18", "17", False),
        ("Answer: 171", "17", False),
        ("Answer: -17", "17", False),
        ("I do not know.", "17", False),
        ("", "17", False),
        ("The answer is Paris.", "paris", True),
        ("Answer: (B)", "B", True),
        ("Answer: (B)", "C", False),
    ],
)
async def test_grading(text: str, gold: str, right: bool) -> None:
    """What the extractor finds, up to equivalence; what says nothing is wrong."""
    task = find_task("jsonl")
    assert await task.correct(task.extractor.extract(text), gold) is right
