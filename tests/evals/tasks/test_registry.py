"""Tasks are found by name, in installed packages and in files of one's own, and nothing is imported before."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from quorate.cli.tasks import tasks
from quorate.evals import registry
from quorate.evals.registry import find_task, reader_of, task_names
from quorate.evals.task import Selection
from quorate.evals.tasks.base import Executed
from quorate.orchestrator.errors import BadInput, UnknownName

from .files import lines

OWN = """
from quorate.evals import Item, Selection, Task
from quorate.orchestrator.types import Question


class Sums(Task):
    name = "sums"

    def items(self, selection: Selection) -> list[Item]:
        return [Item(f"{n}", Question.of(f"What is {n} + {n}?"), str(2 * n)) for n in range(selection.limit)]


class Nameless(Sums):
    name = ""


class Needy(Sums):
    def __init__(self, needed):
        pass


ready = Sums()
number = 3
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test finds is forgotten."""
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))


def test_the_registry_imports_nothing_heavy() -> None:
    """Neither do tasks before they load a data set."""
    code = (
        "import sys; from quorate.evals.registry import find_task, task_names; before = set(sys.modules); "
        "[find_task(name) for name in task_names()]; "
        "print(sorted({'datasets', 'pyarrow', 'numpy', 'pandas', 'torch', 'sympy'} & set(sys.modules)), "
        "any(name.startswith('quorate.evals.tasks.') for name in before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"


def test_every_benchmark_of_the_list_is_there() -> None:
    """And each generated family."""
    wanted = "gsm8k math-500 aime-2024 aime-2025 amc gpqa-diamond mmlu mmlu-pro bbh arc svamp aqua aiw cruxeval-input"
    assert set(wanted.split()) <= set(task_names())
    assert {"cruxeval-output", "humaneval", "stories", "relations", "dates", "last-letters", "modular"} <= set(
        task_names()
    )


@pytest.mark.parametrize("attribute", ["Sums", "ready"])
def test_a_file_of_ones_own_gives_a_task(attribute: str, tmp_path: Path) -> None:
    """A class or a task that is made already."""
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    task = find_task(f"{file}:{attribute}")
    assert task.name == "sums"
    assert [item.gold for item in task.items(Selection(3))] == ["0", "2", "4"]
    source = task.source(Selection(3))
    assert source.name == "sums"
    assert source.hash != task.source(Selection(4)).hash


@pytest.mark.parametrize(
    ("content", "attribute", "words"),
    [
        (OWN, "Products", r"mine.py: has no 'Products'; its tasks: Sums, Nameless, Needy"),
        (OWN, "number", "mine.py:number: must be a Task or a class of one, not int"),
        (OWN, "Nameless", "mine.py:Nameless: needs a name"),
        (OWN, "Needy", "mine.py:Needy: cannot be made: .*needed"),
        ("x = 1", "Sums", "mine.py: has no 'Sums'; its tasks: none"),
        ("import nonsense_that_is_not_there", "Sums", "cannot be imported: ModuleNotFoundError"),
        ("class (", "Sums", "cannot be imported: SyntaxError"),
        (None, "Sums", "mine.py:Sums: there is no such file"),
    ],
)
def test_a_file_without_such_a_task_is_refused(content: str | None, attribute: str, words: str, tmp_path: Path) -> None:
    """With what it does have."""
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadInput, match=words):
        find_task(f"{file}:{attribute}")


def test_a_task_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    """One line, no traceback."""
    file = tmp_path / "mine.py"
    file.write_text("from quorate.evals import Task\nclass Half(Task):\n    name = 'half'\n")
    with pytest.raises(BadInput, match=r"mine.py:Half: cannot be made: .*items"):
        find_task(f"{file}:Half")


def installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in found if p.group == group])


def test_installed_packages_bring_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the entry point group; a built-in name is not taken over."""
    installed(monkeypatch, sums="tests.evals.fakes:Sums", gsm8k="tests.evals.fakes:Sums")
    assert "sums" in task_names()
    assert len(find_task("sums").items(Selection(2))) == 2
    assert find_task("gsm8k").name == "gsm8k"


def test_an_installed_task_that_does_not_load_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With where it comes from."""
    installed(monkeypatch, lost="tests.nothing:Sums", gone="tests.evals.fakes:Gone")
    for name in ("lost", "gone"):
        with pytest.raises(BadInput, match=f"task '{name}' of tests.*cannot be loaded"):
            find_task(name)
    assert {"gone", "lost"} <= set(task_names())
    with pytest.raises(UnknownName, match=r"no task named 'losst'; nearest of [0-9]+: lost; `quorate eval"):
        find_task("losst")


def listed(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(tasks)
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def test_the_listing_tells_source_splits_tiers_and_needs() -> None:
    """As a table, with everything about those that are named, and as JSON."""
    table = listed()
    assert all(name in table for name in task_names())
    assert "openai/gsm8k" in table
    assert "Hendrycks" in listed("mmlu")
    rows = {row["name"]: row for row in json.loads(listed("--json"))["tasks"]}
    assert rows["gsm8k"]["splits"] == ["test", "train"]
    assert rows["humaneval"]["needs"] == ["the hub or --data", "isolation"]
    assert rows["aiw"]["needs"] == ["--data"]
    assert rows["relations"]["needs"] == []
    assert len(rows["bbh"]["tiers"]) == 28


async def test_recorded_samples_are_read_as_their_task_reads_them() -> None:
    """And in the general way where the task is not known here."""
    extractor, equivalence = reader_of("mmlu")
    assert extractor.extract("Answer: C) y, at 7 metres") == "C"
    assert await equivalence.classes(["C", "A", "C"]) == [0, 1, 0]
    assert reader_of("of another tool")[0].extract("so it is 7") == "7"
    assert reader_of("gone.py:Sums")[0].extract("so it is 7") == "7"


@pytest.mark.parametrize("name", sorted(task_names()))
async def test_a_task_that_was_used_travels_to_other_processes(name: str, tmp_path: Path) -> None:
    """Without rows and verdicts, and grading as before."""
    task = find_task(name)
    for part in ("extractor", "equivalence"):
        assert getattr(task, part) is not None
    if isinstance(task, Executed):
        async with task._limit():
            task._verdicts[b"seen"] = True
    if name == "gsm8k":
        data = lines(tmp_path / "g.jsonl", [{"question": "1 + 1?", "answer": "#### 2"}] * 1000)
        assert len(task.items(Selection(2000, data=data))) == 1000
    sent = pickle.dumps(task)
    assert len(sent) < 1000
    there = pickle.loads(sent)
    assert there.name == name
    assert await there.correct("7", "7") if not isinstance(there, Executed) else there._verdicts == {}
