"""Measuring pipelines: tasks, the sample bank, runs, statistics and reports.

    from quorate.evals import EvalSpec, run_eval

    result = await run_eval(catalog, EvalSpec("stories", tier="hard", pipelines=["majority@16/m", "m"], limit=100))
    print(result.as_json())

The names load when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bank import Bank as Bank
    from .banked_sampler import BankedSampler as BankedSampler
    from .registry import find_task as find_task
    from .registry import register as register
    from .registry import task_names as task_names
    from .report import EvalResult as EvalResult
    from .report import markdown as markdown
    from .report import tables as tables
    from .run import Answered as Answered
    from .run import EvalSpec as EvalSpec
    from .run import Opened as Opened
    from .run import Progress as Progress
    from .run import run_eval as run_eval
    from .task import Item as Item
    from .task import Selection as Selection
    from .task import Source as Source
    from .task import Task as Task

_HOME = {
    "Answered": "run",
    "Bank": "bank",
    "BankedSampler": "banked_sampler",
    "EvalResult": "report",
    "EvalSpec": "run",
    "Item": "task",
    "Opened": "run",
    "Progress": "run",
    "Selection": "task",
    "Source": "task",
    "Task": "task",
    "find_task": "registry",
    "markdown": "report",
    "register": "registry",
    "run_eval": "run",
    "tables": "report",
    "task_names": "registry",
}

__all__ = [
    "Answered",
    "Bank",
    "BankedSampler",
    "EvalResult",
    "EvalSpec",
    "Item",
    "Opened",
    "Progress",
    "Selection",
    "Source",
    "Task",
    "find_task",
    "markdown",
    "register",
    "run_eval",
    "tables",
    "task_names",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
