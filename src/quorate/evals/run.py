"""`quorate eval run`: some pipelines, some questions, one sample bank, one report."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, DataError, QuorateError
from quorate.orchestrator.types import SamplingParams

from . import statistics
from .allowance import Allowance
from .engines import SAMPLES, Asker, Cluster, Slots
from .folder import Folder
from .outcome import Outcome
from .registry import find_task
from .report import EvalResult, summarize
from .runner import Engine, Runner
from .task import Item, Selection, Task, in_task

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog

__all__ = ["Answered", "Opened", "Progress", "run_eval", "run_evals"]


@dataclass(frozen=True)
class Opened:
    """Everything is checked and the first question is about to be asked."""

    task: str
    questions: int
    pipelines: tuple[str, ...]
    recorded: int
    """Samples that the bank holds already."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """One pipeline is through with one question."""

    done: int
    total: int
    """Questions times pipelines."""
    outcome: Outcome


Progress = Opened | Answered
OnProgress = Callable[[Progress], None]


async def run_eval(
    catalog: Catalog,
    *,
    task: str | None,
    pipelines: Sequence[str],
    limit: int,
    seed: int = 0,
    tier: str | None = None,
    split: str | None = None,
    data: Path | None = None,
    revision: str | None = None,
    prompt: Path | None = None,
    out: Path | None = None,
    sampling: SamplingParams | None = None,
    concurrency: int | None = None,
    budget: Budget | None = None,
    cluster: Cluster | None = None,
    on_progress: OnProgress | None = None,
) -> EvalResult:
    """Evaluates pipelines on the same questions, with shared samples.

    Stopped before its end, it leaves in `out` the results of the questions that are done. A budget that
    ends it is no error: the result is not `complete`, and its notes say why.

    Args:
        catalog: where the pipelines' names lead; closing it stays the caller's.
        task: a task's name; not needed with `data`.
        pipelines: names as the command line knows them, in the order of the report.
        limit: how many questions; fewer where the task has fewer.
        seed: chooses the questions and the sampling.
        tier: the task's default if not given.
        split: the task's default, the one that results are reported on, if not given.
        data: a local file or folder of questions.
        revision: of the hub's data set; the newest if not given.
        prompt: a file in place of the task's prompt.
        out: folder for the bank, which a later run goes on with, and the results; without one nothing
            is kept.
        sampling: settings that the questions are asked with.
        concurrency: samples in flight.
        budget: of the whole run: tokens (prompt and generated), money, seconds.
        cluster: asks there; in this process if not given.
        on_progress: told of the beginning and of every answer.

    Raises:
        BadInput: something asked for is impossible; nothing has been sampled.
        NoAnswer: no question could be answered, or a server is gone.
    """
    asked = Selection(limit, seed, tier, data, split, revision, prompt)
    session = _Session(catalog, tuple(pipelines), sampling, concurrency, Allowance(budget), cluster, on_progress)
    return await session.evaluated(task, asked, out)


async def run_evals(
    catalog: Catalog,
    *,
    tasks: Sequence[str],
    pipelines: Sequence[str],
    limit: int,
    seed: int = 0,
    tier: str | None = None,
    split: str | None = None,
    out: Path | None = None,
    sampling: SamplingParams | None = None,
    concurrency: int | None = None,
    budget: Budget | None = None,
    cluster: Cluster | None = None,
    on_progress: OnProgress | None = None,
) -> list[EvalResult]:
    """`run_eval` over several tasks, one after another, with one bank and one budget.

    The results of each task lie in a folder of its name below `out`. A tier or split given goes for
    every task. Tasks that the budget leaves no room for are left out.

    Raises:
        BadInput, NoAnswer: as `run_eval`; also a task that is given twice.
    """
    twice = [name for name, times in Counter(tasks).items() if times > 1]
    if twice:
        raise BadInput(f"--task {twice[0]} is given twice: name each task once")
    asked = Selection(limit, seed, tier, None, split)
    session = _Session(catalog, tuple(pipelines), sampling, concurrency, Allowance(budget), cluster, on_progress)
    results = []
    for task in tasks:
        find_task(task)
    for task in tasks:
        results.append(await session.evaluated(task, asked, out, part=find_task(task).name))
        if session.allowance.over:
            break
    return results


@dataclass
class _Session:
    """What the tasks of one command have in common."""

    catalog: Catalog
    pipelines: tuple[str, ...]
    sampling: SamplingParams | None
    concurrency: int | None
    allowance: Allowance
    cluster: Cluster | None
    on_progress: OnProgress | None

    async def evaluated(self, task: str | None, asked: Selection, out: Path | None, part: str = "") -> EvalResult:
        """One task's result, kept in `out`, with the files of results in its subfolder `part`."""
        statistics.require()
        chosen, names = find_task(task, asked.data), _checked(self.catalog, self.pipelines)
        slots = Slots(SAMPLES if self.concurrency is None else self.concurrency)
        with in_task(chosen, "its questions cannot be made"):
            items = _distinct(await asyncio.to_thread(chosen.items, asked), asked.data)
        await chosen.prepare()
        with Folder(out, part) as folder:
            folder.run = _noted(folder, chosen, asked, items, names, self.sampling)
            report = _Report(chosen, asked, tuple(names), len(items), folder, self.on_progress)
            async with self._engine(chosen, names, folder, asked.seed, slots) as engine:
                runner = Runner(engine, names, on_outcome=report.note, allowance=self.allowance)
                report.open()
                try:
                    await runner.run(items)
                except (asyncio.CancelledError, QuorateError):
                    report.finish_early()
                    raise
            return report.finish(self.allowance.over)

    @asynccontextmanager
    async def _engine(
        self, task: Task, names: Sequence[str], folder: Folder, seed: int, slots: Slots
    ) -> AsyncIterator[Engine]:
        if self.cluster is None:
            yield Asker.here(task, self.catalog, names, folder.bank, seed=seed, sampling=self.sampling, slots=slots)
            return
        try:
            yield await self.cluster.open(
                task, names, folder.bank.path, seed=seed, sampling=self.sampling, slots=slots.capacity
            )
        finally:
            await self.cluster.aclose()


def _noted(
    folder: Folder, task: Task, asked: Selection, items: Sequence[Item], names: Sequence[str], sampling: SamplingParams | None
) -> int:
    """Takes note in the bank of the questions and that a run begins."""
    source, split, template = task.source(asked), task.split(asked.split), task.prompt(asked)
    prompt = None if template is None else template.version
    settings: dict[str, Any] = {
        "tier": task.tier(asked.tier),
        "split": split,
        "seed": asked.seed,
        "limit": asked.limit,
        "data": None if asked.data is None else str(asked.data),
        "source": source.name,
        "prompt": prompt,
        "sampling": (sampling or SamplingParams()).model_dump(mode="json", exclude_defaults=True),
    }
    content = folder.bank.note_items(task.name, items, revision=source.revision, split=split, prompt=prompt or "")
    return folder.bank.start_run(
        task.name,
        pipelines=names,
        questions=len(items),
        revision=source.revision,
        content=content,
        settings=settings,
    )


@dataclass
class _Report:
    """What has been found so far, told on and kept."""

    task: Task
    asked: Selection
    names: tuple[str, ...]
    questions: int
    folder: Folder
    on_progress: OnProgress | None
    outcomes: list[Outcome] = field(default_factory=list)

    def open(self) -> None:
        bank = self.folder.bank
        self._tell(Opened(self.task.name, self.questions, self.names, len(bank), bank.notes))

    def note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.folder.keep(outcome)
        self._tell(Answered(len(self.outcomes), self.questions * len(self.names), outcome))

    def finish(self, ended: str | None = None) -> EvalResult:
        """The result, written.

        Raises:
            BadInput: the budget ended before any question was through.
        """
        why = (f"{ended}; what was sampled is kept, and a run with more goes on from it",) if ended else ()
        if not self._whole():
            raise BadInput(f"{ended or 'nothing was asked'}, before a single question was through: give the run more")
        result = summarize(
            self.outcomes,
            self.names,
            task=self.task.name,
            tier=self.task.tier(self.asked.tier),
            seed=self.asked.seed,
            expected=self.questions,
            notes=(*self.folder.bank.notes, *why),
        )
        self.folder.finish(result)
        return result

    def finish_early(self) -> None:
        """The results of the questions that every pipeline was asked, if there are any."""
        if self._whole():
            self.finish()

    def _whole(self) -> bool:
        """Whether some question was answered by every pipeline."""
        return len(self.names) in Counter(outcome.item for outcome in self.outcomes).values()

    def _tell(self, progress: Progress) -> None:
        if self.on_progress is not None:
            self.on_progress(progress)


def _checked(catalog: Catalog, pipelines: Sequence[str]) -> list[str]:
    """The pipelines' names, each of which leads somewhere."""
    names = [name.strip() for name in pipelines]
    if not names:
        raise BadInput("choose at least one --pipeline to evaluate, for example majority@16/MODEL")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"--pipeline {twice[0]} is given twice: name each pipeline once")
    for name in names:
        catalog.resolve(name)
    return names


def _distinct(items: list[Item], data: Path | None) -> list[Item]:
    """The items, which must differ by id, since their seeds and their answers go by it."""
    if not items:
        raise DataError("the task has no questions", file=data)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(f"two questions have the id {item.id!r}: ids must be distinct", file=data)
        seen.add(item.id)
    return items
