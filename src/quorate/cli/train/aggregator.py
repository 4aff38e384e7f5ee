"""`quorate train aggregator`: from a sample bank to a model that aggregates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from quorate.orchestrator.errors import BadInput

from ..console import echo

if TYPE_CHECKING:
    from quorate.aggregators.learned.dataset import DataSet
    from quorate.aggregators.learned.measuring import Grade
    from quorate.aggregators.learned.settings import TrainingSettings
    from quorate.evals.task import Task
    from quorate.orchestrator.types import CandidateSet


def aggregator(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Data set, checkpoints and, in DIR/model, the result.")],
    bank: Annotated[
        list[Path] | None,
        typer.Option(metavar="BANK", help="A folder with bank.sqlite, as eval run --out keeps it; several are joined."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Candidate sets that an earlier run made, instead of a bank.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="What to begin with: an embedded model, a folder, or a name on the hub.")
    ] = "quorate-tiny-base",
    settings: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="laptop, qwen3-1.7b-80gb, or a YAML file of your own.")
    ] = "laptop",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One setting changed, such as cut.m=4; several times."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Only this task's questions of the bank.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this proposer's samples of the bank.")] = None,
    only_data: Annotated[bool, typer.Option("--only-data", help="Cut the sets, write them, and stop.")] = False,
) -> None:
    """Train a model to turn candidates into one answer (AggLM, arXiv 2509.06870).

    Run again with the same --out, it goes on where it was.
    """
    from quorate.aggregators.learned.settings import read_settings

    chosen = read_settings(settings, **_changes(change or []))
    found, grade = asyncio.run(_data(bank or [], data, chosen, task, agent))
    facts = found.facts
    echo(
        f"{facts['train']['sets']:,} sets to learn from ({facts['train']['hard']:,} hard), "
        f"{facts['validation']['sets']:,} held out, of {facts['sets_cut']:,} cut ({facts['hard_cut']:,} hard)",
        err=True,
    )
    if data is None:
        found.write(out / "data")
    if only_data:
        echo(str(out / "data"))
        return
    from quorate.aggregators.learned.training import train

    folder = train(found, chosen, _source(model), out, name=model, grade=grade, tell=lambda s: echo(s, err=True))
    echo(how_to_use(folder, chosen.form, chosen.cut.m), err=True)
    echo(str(folder))


async def _data(
    banks: list[Path], data: Path | None, settings: TrainingSettings, task: str | None, agent: str | None
) -> tuple[DataSet, Grade]:
    from quorate.aggregators.learned.dataset import build_dataset, read_dataset

    if (data is None) == (not banks):
        raise BadInput("give --bank BANK (as quorate eval run --out keeps it), or --data DIR of an earlier run")
    if data is not None:
        found = read_dataset(data)
    else:
        found = await build_dataset(_sets(banks, task, agent), settings)
    return found, _grade(found.facts["tasks"])


def _sets(banks: list[Path], task: str | None, agent: str | None) -> Iterator[CandidateSet]:
    from quorate.evals.bank import Bank

    for path in banks:
        with Bank(path, create=False) as bank:
            yield from bank.sets(task, agent)


def _grade(tasks: list[str]) -> Grade:
    """The task's own way to grade, where all sets are of one known task."""
    from quorate.aggregators.learned.measuring import same_answer
    from quorate.evals.registry import find_task, task_names

    if len(tasks) != 1 or tasks[0] not in task_names():
        return same_answer
    task: Task = find_task(tasks[0])

    async def grade(text: str, gold: str) -> bool:
        return await task.correct(task.extractor.extract(text), gold)

    return grade


def _source(model: str) -> str | Path:
    """An embedded model's folder; anything else is transformers' to find."""
    from quorate.agents.embedded import list_embedded_models, locate

    return locate(model) if model in list_embedded_models() else model


def _changes(given: list[str]) -> dict[str, Any]:
    changes = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise BadInput(f"--set {one}: write NAME=VALUE, such as --set cut.m=4")
        try:
            changes[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadInput(f"--set {one}: the value is not YAML") from None
    return changes


def how_to_use(folder: Path, form: str, m: int) -> str:
    """Lines for quorate.yaml that use the result, and a line before them."""
    return (
        f"to use it, in quorate.yaml (see docs/learned-aggregation.md):\n"
        f"  models:\n    learned: {{type: embedded, model: {folder}}}\n"
        f"  pipelines:\n    mine: {{pipeline: agglm, n: {m}, models: [PROPOSER], aggregator_model: learned, "
        f"options: {{form: {form}}}}}"
    )
