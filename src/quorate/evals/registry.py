"""The tasks by name."""

from __future__ import annotations

from pathlib import Path

from quorate.orchestrator.errors import BadInput, UnknownName

from .task import Task
from .tasks.jsonl import JsonLines
from .tasks.word_problems import WordProblems

__all__ = ["find_task", "register", "task_names"]

_TASKS: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Makes a task known under its name.

    Raises:
        BadInput: another task has the name.
    """
    if task.name in _TASKS:
        raise BadInput(f"there is a task named {task.name!r} already")
    _TASKS[task.name] = task
    return task


for _task in (WordProblems(), JsonLines()):
    register(_task)


def task_names() -> tuple[str, ...]:
    return tuple(_TASKS)


def find_task(name: str | None, data: Path | None = None) -> Task:
    """The task of this name; with a data file and no name, the one that reads such files.

    Raises:
        UnknownName: with the names that exist.
        BadInput: neither a name nor a file.
    """
    if name is None:
        if data is None:
            raise BadInput(f"choose a task ({', '.join(_TASKS)}) or give --data FILE")
        name = JsonLines.name
    if name not in _TASKS:
        raise UnknownName("task", name, _TASKS)
    return _TASKS[name]
