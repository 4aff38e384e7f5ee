"""`quorate eval tasks`: which questions there are to evaluate on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .console import print_json, wide_console
from .options import Json

__all__ = ["tasks"]


def tasks(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="All tasks if none is named.")] = None,
    as_json: Json = False,
) -> None:
    """List the tasks: where their questions come from, splits, tiers, and what they need."""
    from quorate.evals.registry import find_task, task_names

    found = [_describe(find_task(name)) for name in (names or sorted(task_names()))]
    if as_json:
        print_json({"tasks": found})
        return
    table = Table("name", "source", "splits", "tiers", "needs", box=None, pad_edge=False, header_style="dim")
    for task in found:
        tiers = task["tiers"] if names else _few(task["tiers"])
        cells = (task["source"], ", ".join(task["splits"]), ", ".join(tiers), ", ".join(task["needs"]))
        table.add_row(escape(task["name"]), *map(escape, cells))
    console = wide_console()
    console.print(table)
    for task in found if names else ():
        console.print(f"\n{task['name']}: {task['about']} {task['cite']}", markup=False)
    console.print(
        "\nof your own: --data FILE, or --task path/to/file.py:NAME (docs/tasks.md)", style="dim", markup=False
    )


def _describe(task: Any) -> dict[str, Any]:
    hub = getattr(task, "hub", None)
    needs = list(task.needs)
    if hub is not None:
        needs = ["the hub or --data", *(["a login, or --data"] if hub.gated else []), *needs]
        if find_spec("datasets") is None:
            needs.append("quorate[eval] for the hub")
    elif task.home not in ("", "generated", "shipped"):
        needs = ["--data", *needs]
    return {
        "name": task.name,
        "source": hub.name if hub else task.home,
        "about": " ".join((type(task).__doc__ or "").split()),
        "cite": task.cite,
        "splits": list(task.splits),
        "tiers": list(task.tiers),
        "needs": needs,
    }


def _few(tiers: list[str], most: int = 4) -> list[str]:
    return tiers if len(tiers) <= most else [*tiers[:most], f"{len(tiers) - most} more"]
