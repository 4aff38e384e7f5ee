"""`quorate eval run`: some pipelines, some questions, one sample bank, one report."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, DataError, QuorateError
from quorate.orchestrator.types import SamplingParams

from . import statistics
from .bank import Bank
from .local_engine import LocalEngine, list_draws
from .outcome import Outcome
from .ray_engine import RayEngine
from .registry import find_task
from .report import EvalResult, markdown, summarize
from .runner import Engine, RunBudget, Runner
from .task import Item, Selection, Task, in_task
from .throttle import IN_FLIGHT, Drawn, PrioritySemaphore

if TYPE_CHECKING:
    from quorate.config.catalog import Catalog


@dataclass(frozen=True)
class EvalSpec:
    """What is measured, on which questions, and within which limits."""

    task: str | None = None
    """A task's name; not needed with `data`."""
    _: KW_ONLY
    pipelines: Sequence[str]
    """Names as the command line knows them, in the order of the report."""
    limit: int
    """How many questions; fewer where the task has fewer."""
    seed: int = 0
    """Chooses the questions and the sampling."""
    tier: str | None = None
    """None for the task's default."""
    split: str | None = None
    """None for the task's default, the one that results are reported on."""
    data: Path | None = None
    """A local file or folder of questions."""
    revision: str | None = None
    """Of the hub's data set; None for the newest."""
    prompt: Path | None = None
    """A file in place of the task's prompt."""
    out: Path | None = None
    """Folder for the bank, which a later run goes on with, and the results; without one nothing is kept."""
    sampling: SamplingParams | None = None
    """Settings that the questions are asked with."""
    concurrency: int = IN_FLIGHT
    """Samples in flight."""
    budget: Budget | None = None
    """Of the whole run: tokens (prompt and generated), money, seconds."""

    @property
    def selection(self) -> Selection:
        """Which questions of the task are wanted.

        Raises:
            BadInput: the limit is below 1.
        """
        return Selection(self.limit, self.seed, self.tier, self.data, self.split, self.revision, self.prompt)


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


Progress = Opened | Drawn | Answered
OnProgress = Callable[[Progress], None]


async def run_eval(
    catalog: Catalog, spec: EvalSpec, *, engine: RayEngine | None = None, on_progress: OnProgress | None = None
) -> EvalResult:
    """Evaluates pipelines on the same questions, with shared samples.

    Stopped before its end, it leaves in `spec.out` the results of the questions that are done. A budget that
    ends it is no error: the result is not `complete`, and its notes say why.

    Args:
        catalog: where the pipelines' names lead; closing it stays the caller's.
        spec: what is measured.
        engine: asks there; in this process if not given.
        on_progress: told of the beginning, of every answer and, by an engine in this process, of every sample drawn.

    Raises:
        BadInput: something asked for is impossible; nothing has been sampled.
        NoAnswer: no question could be answered, or a server is gone.
    """
    return await _evaluate(catalog, spec, RunBudget(spec.budget), engine, on_progress)


async def run_evals(
    catalog: Catalog,
    spec: EvalSpec,
    tasks: Sequence[str],
    *,
    engine: RayEngine | None = None,
    on_progress: OnProgress | None = None,
) -> list[EvalResult]:
    """`run_eval` over several tasks, one after another, with one bank and one budget.

    The results of each task lie in a folder of its name below `spec.out`. A tier or split goes for
    every task. Tasks that the budget leaves no room for are left out.

    Raises:
        BadInput, NoAnswer: as `run_eval`; also a task that is given twice.
    """
    twice = [name for name, times in Counter(tasks).items() if times > 1]
    if twice:
        raise BadInput(f"--task {twice[0]} is given twice: name each task once")
    budget = RunBudget(spec.budget)
    folders = {task: find_task(task).name for task in tasks}
    results = []
    for task, folder in folders.items():
        of_task = replace(spec, task=task)
        results.append(await _evaluate(catalog, of_task, budget, engine, on_progress, part=folder))
        if budget.over:
            break
    return results


async def _evaluate(
    catalog: Catalog,
    spec: EvalSpec,
    budget: RunBudget,
    engine: RayEngine | None,
    on_progress: OnProgress | None,
    *,
    part: str = "",
) -> EvalResult:
    """One task's result, kept in `spec.out`, with the files of results in its subfolder `part`."""
    statistics.require()
    selection = spec.selection
    task, names = find_task(spec.task, spec.data), _check_pipelines(catalog, spec.pipelines)
    places = PrioritySemaphore(spec.concurrency)
    with in_task(task, "its questions cannot be made"):
        items = _check_ids(await asyncio.to_thread(task.items, selection), spec.data)
    await task.prepare()
    with _RunFolder(spec.out, part) as folder:
        draws = list_draws(map(catalog.resolve, names), items[0].ask(spec.sampling))
        number = _note_run(folder.bank, task, spec, items, names, draws)
        progress = _RunProgress(task, spec, tuple(names), len(items), folder, number, on_progress)
        async with _open_engine(engine, catalog, task, names, folder.bank, spec, places) as opened:
            runner = Runner(opened, names, on_outcome=progress.note, budget=budget)
            progress.open()
            places.on_draw = progress.tell
            try:
                await runner.run(items)
            except (asyncio.CancelledError, QuorateError):
                progress.finish_early()
                raise
        return progress.finish(budget.over)


@asynccontextmanager
async def _open_engine(
    engine: RayEngine | None,
    catalog: Catalog,
    task: Task,
    names: Sequence[str],
    bank: Bank,
    spec: EvalSpec,
    places: PrioritySemaphore,
) -> AsyncIterator[Engine]:
    if engine is None:
        yield LocalEngine.over_bank(task, catalog, names, bank, seed=spec.seed, sampling=spec.sampling, places=places)
        return
    try:
        yield await engine.open(task, names, bank.path, seed=spec.seed, sampling=spec.sampling, places=places.capacity)
    finally:
        await engine.aclose()


def _note_run(
    bank: Bank,
    task: Task,
    spec: EvalSpec,
    items: Sequence[Item],
    names: Sequence[str],
    models: Mapping[str, str],
) -> int:
    """Takes note in the bank of the questions and that a run begins; the run's number."""
    selection = spec.selection
    source, split, template = task.source(selection), task.split(spec.split), task.prompt(selection)
    prompt = None if template is None else template.version
    settings: dict[str, Any] = {
        "tier": task.tier(spec.tier),
        "split": split,
        "seed": spec.seed,
        "limit": spec.limit,
        "data": None if spec.data is None else str(spec.data),
        "source": source.name,
        "prompt": prompt,
        "sampling": (spec.sampling or SamplingParams()).model_dump(mode="json", exclude_defaults=True),
        "models": models,
    }
    content = bank.note_items(task.name, items, revision=source.revision, split=split, prompt=prompt or "")
    return bank.start_run(
        task.name,
        pipelines=names,
        questions=len(items),
        revision=source.revision,
        content=content,
        settings=settings,
    )


class _RunFolder:
    """What one evaluation leaves: its bank, with the run in it, `results.json` and `results.md`.

    The bank grows from run to run and may be shared with other runs; the results are those of the
    one that ended last.

    Args:
        path: where the bank lies; with none, nothing is kept.
        part: subfolder for the results, where several tasks share the bank.

    Raises:
        BadInput: the folder cannot be written.
        DataError: its bank is broken; says what saves the rest.
    """

    def __init__(self, path: Path | None, part: str) -> None:
        try:
            if path is not None:
                (path / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"--out {path}: cannot be made a folder: {error.strerror}") from error
        self._path = None if path is None else path / part
        self.bank = Bank(path)

    def write(self, result: EvalResult) -> None:
        """Writes the results."""
        if self._path is None:
            return
        text = json.dumps(result.as_json(), indent=2, ensure_ascii=False) + "\n"
        for name, content in (("results.json", text), ("results.md", markdown(result))):
            try:
                (self._path / name).write_text(content, encoding="utf-8")
            except OSError as error:
                raise BadInput(f"{self._path / name}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bank.close()


@dataclass
class _RunProgress:
    """What the run has found so far, told on and kept."""

    task: Task
    spec: EvalSpec
    names: tuple[str, ...]
    questions: int
    folder: _RunFolder
    number: int
    """Of the run in the bank."""
    on_progress: OnProgress | None
    outcomes: list[Outcome] = field(default_factory=list)

    def open(self) -> None:
        bank = self.folder.bank
        self.tell(Opened(self.task.name, self.questions, self.names, len(bank), bank.notes))

    def note(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.folder.bank.add_outcome(self.number, outcome)
        self.tell(Answered(len(self.outcomes), self.questions * len(self.names), outcome))

    def finish(self, ended: str | None = None) -> EvalResult:
        """The result, written.

        Raises:
            BadInput: the budget ended before any question was through.
        """
        why = (f"{ended}; what was sampled is kept, and a run with more goes on from it",) if ended else ()
        if not self._has_whole_question():
            raise BadInput(f"{ended or 'nothing was asked'}, before a single question was through: give the run more")
        result = summarize(
            self.outcomes,
            self.names,
            task=self.task.name,
            tier=self.task.tier(self.spec.tier),
            seed=self.spec.seed,
            expected=self.questions,
            notes=(*self.folder.bank.notes, *why),
        )
        if result.complete:
            self.folder.bank.finish_run(self.number)
        self.folder.write(result)
        return result

    def finish_early(self) -> None:
        """The results of the questions that every pipeline was asked, if there are any."""
        if self._has_whole_question():
            self.finish()

    def _has_whole_question(self) -> bool:
        """Whether some question was answered by every pipeline."""
        return len(self.names) in Counter(outcome.item for outcome in self.outcomes).values()

    def tell(self, progress: Progress) -> None:
        if self.on_progress is not None:
            self.on_progress(progress)


def _check_pipelines(catalog: Catalog, pipelines: Sequence[str]) -> list[str]:
    """The pipelines' names, each of which leads somewhere, with slashes: samples are found again by them."""
    names = [catalog.normalize(name) for name in pipelines]
    if not names:
        raise BadInput("choose at least one --pipeline to evaluate, for example majority@16/MODEL")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadInput(f"--pipeline {twice[0]} is given twice: name each pipeline once")
    for name in names:
        catalog.resolve(name)
    return names


def _check_ids(items: list[Item], data: Path | None) -> list[Item]:
    """The items, which must differ by id, since their seeds and their answers go by it."""
    if not items:
        raise DataError("the task has no questions", file=data)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise DataError(f"two questions have the id {item.id!r}: ids must be distinct", file=data)
        seen.add(item.id)
    return items
