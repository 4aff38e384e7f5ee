"""Measuring pipelines: tasks, the sample bank, runs, statistics and reports.

    from quorate.evals import EvalSpec, run_eval

    result = await run_eval(catalog, EvalSpec("stories", tier="hard", pipelines=["majority@16/m", "m"], limit=100))
    print(result.as_json())

The names load when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.orchestrator.lazy import lazy_names

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
    from .throttle import Drawn as Drawn

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".bank": "Bank",
        ".banked_sampler": "BankedSampler",
        ".registry": "find_task register task_names",
        ".report": "EvalResult markdown tables",
        ".run": "Answered EvalSpec Opened Progress run_eval",
        ".throttle": "Drawn",
        ".task": "Item Selection Source Task",
    },
)
__all__ = __dir__()  # noqa: PLE0605 - a list of strings
