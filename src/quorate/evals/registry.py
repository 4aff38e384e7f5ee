"""The tasks by name: built-in ones, installed ones (entry points `quorate.tasks`), and files of one's own.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib.util
import sys
from hashlib import sha256
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from quorate.orchestrator.errors import BadInput, UnknownName
from quorate.orchestrator.reading import Equivalence, Extractor

from .task import Task

ENTRY_POINTS = "quorate.tasks"

_BUILT_IN = {
    "stories": "word_problems:WordProblems",
    "jsonl": "jsonl:JsonLines",
    "aime-2024": "numeric:AIME2024",
    "aime-2025": "numeric:AIME2025",
    "aiw": "aiw:AIW",
    "amc": "numeric:AMC",
    "aqua": "options:AQuA",
    "arc": "options:ARC",
    "bbh": "bbh:BBH",
    "cruxeval-input": "programs:CRUXEvalInput",
    "cruxeval-output": "programs:CRUXEvalOutput",
    "dates": "generated:Dates",
    "everyday": "everyday:Everyday",
    "gpqa-diamond": "options:GPQADiamond",
    "gsm8k": "numeric:GSM8K",
    "humaneval": "programs:HumanEval",
    "last-letters": "generated:LastLetters",
    "math-500": "numeric:MATH500",
    "mmlu": "options:MMLU",
    "mmlu-pro": "options:MMLUPro",
    "modular": "generated:Modular",
    "relations": "generated:Relations",
    "svamp": "numeric:SVAMP",
}
_TASKS: dict[str, Task] = {}
"""Those that were registered or asked for."""


def register(task: Task) -> Task:
    """Makes a task known under its name.

    Raises:
        BadInput: another task has the name.
    """
    if task.name in task_names():
        raise BadInput(f"there is a task named {task.name!r} already")
    _TASKS[task.name] = task
    return task


def task_names() -> tuple[str, ...]:
    """Every name that `find_task` takes, beside those of files."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_TASKS, *_list_installed())))


def find_task(name: str | None, data: Path | None = None) -> Task:
    """The task of this name; with a data file and no name, the one that reads such files.

    Args:
        name: a task's name, or `path/to/file.py:NAME` for a class or a task in a file of one's own.

    Raises:
        UnknownName: with the names that exist.
        BadInput: neither a name nor a file, or a file that holds no such task.
    """
    if name is None:
        if data is None:
            raise BadInput(f"choose a task ({', '.join(sorted(task_names()))}) or give --data FILE")
        name = "jsonl"
    file, _, attribute = name.rpartition(":")
    if file.endswith(".py"):
        return _from_file(Path(file), attribute)
    if name not in _TASKS:
        _TASKS[name] = _find_installed(name)
    return _TASKS[name]


def reader_of(name: str) -> tuple[Extractor, Equivalence]:
    """How a task's answers are found and told apart, for samples that were recorded; the general way if unknown."""
    from quorate.aggregators.votes.majority import default_reader

    try:
        task = find_task(name)
    except BadInput:
        return default_reader().extractor, default_reader().equivalence
    return task.extractor, task.equivalence


def _find_installed(name: str) -> Task:
    if place := _BUILT_IN.get(name):
        module, _, attribute = place.partition(":")
        return _instantiate(getattr(import_module(f".tasks.{module}", __package__), attribute), name)
    if (point := _list_installed().get(name)) is None:
        raise UnknownName("task", name, task_names(), listed_by="`quorate eval tasks`")
    try:
        return _instantiate(point.load(), f"{point.value} (entry point {name!r})")
    except (ImportError, AttributeError) as error:
        raise BadInput(f"task {name!r} of {point.value} cannot be loaded: {error}") from error


def _from_file(path: Path, attribute: str) -> Task:
    """A class or a task that a Python file defines; the file runs, with all that it does."""
    if not path.is_file():
        raise BadInput(f"--task {path}:{attribute}: there is no such file")
    try:
        module = _import_file(path)
    except (Exception, SystemExit) as error:
        raise BadInput(f"--task {path}: cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        tasks = [key for key, value in vars(module).items() if _is_task(value) and value.__module__ == module.__name__]
        raise BadInput(f"--task {path}: has no {attribute!r}; its tasks: {', '.join(tasks) or 'none'}")
    return _instantiate(getattr(module, attribute), f"{path}:{attribute}")


def _import_file(path: Path) -> ModuleType:
    """The file as a module, once for each content."""
    name = f"quorate_task_{sha256(path.read_bytes() + bytes(path.resolve())).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _is_task(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Task)


def _instantiate(value: Any, place: str) -> Task:
    """The task itself, of a class or an instance."""
    if _is_task(value):
        try:
            value = value()
        except TypeError as error:
            raise BadInput(f"task {place}: cannot be made: {error}") from error
    if not isinstance(value, Task):
        raise BadInput(f"task {place}: must be a Task or a class of one, not {type(value).__name__}")
    if not getattr(value, "name", ""):
        raise BadInput(f"task {place}: needs a name")
    return value


def _list_installed() -> dict[str, EntryPoint]:
    """Entry points of installed packages; a built-in name is never taken over."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in _BUILT_IN}
