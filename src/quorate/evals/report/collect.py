"""From a bank to a report's data: one pass over its questions.

What a report is of: the latest run that answered something, or the one asked for, with every sample
that the bank holds of its questions. A bank without runs (an import) is reported as recorded samples,
with one sample and plurality as its systems.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from quorate.orchestrator.errors import BadInput, DataError, UnknownName
from quorate.orchestrator.reading import Equivalence

from ..bank import Bank, BankedAgent, BankedItem, RunRecord
from ..bank.queries import SampleGroup, sample_groups
from ..measures.results import explain_cuts
from ..outcome import Outcome
from ..records import AnswerRecord
from ..registry import find_task
from .compressed import BlockPacker
from .data import Fact, QuestionRow, ReportData
from .questions import report_question
from .systems import (
    PANEL,
    compare_all,
    compare_at_equal_tokens,
    pipeline_results,
    recorded_results,
    sample_pools,
    scaling_curves,
)

TITLED = 3
"""Models that the title names."""


@dataclass
class _Collected:
    """What the pass over the questions brings."""

    rows: list[QuestionRow] = field(default_factory=list)
    details: BlockPacker = field(default_factory=BlockPacker)
    records: dict[str, list[AnswerRecord]] = field(default_factory=lambda: defaultdict(list))
    groups: dict[str, SampleGroup] = field(default_factory=dict)
    """One of each group of records."""
    first: BankedItem | None = None


async def collect(bank: Bank, *, run: int | None = None, task: str | None = None) -> ReportData:
    """The data of one report.

    Args:
        run: the number of a run; the latest one that answered something if not given.
        task: which task to report, where the bank has several and no run says so.

    Raises:
        BadInput: there is no such run, or the bank has several tasks and none was chosen.
        DataError: the bank holds nothing to report.
    """
    record = _run(bank, run, task)
    name = record.task if record else _task(bank, task)
    outcomes = _outcomes(bank, record)
    pipelines = _pipelines(record, outcomes)
    names = _group_names(bank, name)
    found = await _collect_questions(bank, name, names, outcomes, pipelines, _equivalence(name))
    if not found.rows:
        raise DataError(f"holds no samples and no answers of task {name!r}", file=bank.path)
    records = {group: tuple(records) for group, records in found.records.items() if records}
    panel = _panel(records)
    rows, flat = tuple(found.rows), [o for by in outcomes.values() for o in by.values()]
    if pipelines:
        systems = pipeline_results(flat, pipelines)
    else:
        systems, rows = recorded_results({**panel, **records} if panel else records, rows)
    pairs, test = compare_all(systems, rows)
    everything = {**panel, **records}
    return ReportData(
        title=_title(name, record, names.values()),
        systems=systems,
        pairs=pairs,
        curves=scaling_curves(panel or records),
        pools=sample_pools(everything),
        equal=compare_at_equal_tokens(flat, _own(found, record), [s.name for s in systems if s.accuracy.value > 0])
        if pipelines
        else (),
        rows=rows,
        details=found.details.blocks(),
        facts=_facts(name, record, found.first, _count_by_group(bank, name, names), METHODS),
        notes=(*explain_cuts(systems), *_notes(bank, rows, record, pipelines)),
        complete=record is None or not pipelines or _complete(record, rows),
        test=test,
        interval=FAMILIES if any(row.cluster for row in rows) else INDEPENDENT,
    )


INDEPENDENT = "Wilson score intervals, level 0.95"
FAMILIES = f"{INDEPENDENT}, at the effective number of questions, since those of one family are alike"
METHODS = (
    ("accuracies", "Wilson score intervals; with question families, at their effective number of questions"),
    ("differences", "Tango's interval and exact McNemar test; with families, cluster-robust t and exchange test"),
    ("several pairs", "Holm's correction"),
    ("pass@k, majority@k", "unbiased, over all subsets of k samples; ties share the credit"),
)


def _run(bank: Bank, number: int | None, task: str | None) -> RunRecord | None:
    runs = [r for r in bank.runs() if task is None or r.task == task]
    if number is None:
        return next((r for r in reversed(runs) if r.pipelines and any(True for _ in bank.outcomes(r.id))), None)
    found = next((r for r in runs if r.id == number), None)
    if found is None:
        raise UnknownName("run", str(number), [str(r.id) for r in runs])
    return found


def _task(bank: Bank, wanted: str | None) -> str:
    tasks = bank.tasks()
    if wanted is not None and wanted not in tasks:
        raise UnknownName("task", wanted, tasks)
    if not tasks:
        raise DataError(
            "is empty: `quorate eval run --out DIR` or `quorate eval bank import` fills a bank", file=bank.path
        )
    if wanted is None and len(tasks) > 1:
        raise BadInput(f"the bank has several tasks and no run to report: choose one by --task: {', '.join(tasks)}")
    return wanted or tasks[0]


def _outcomes(bank: Bank, run: RunRecord | None) -> dict[str, dict[str, Outcome]]:
    """By question and pipeline."""
    found: dict[str, dict[str, Outcome]] = {}
    for outcome in bank.outcomes(run.id) if run else ():
        found.setdefault(outcome.item, {})[outcome.pipeline] = outcome
    return found


def _pipelines(run: RunRecord | None, outcomes: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    """Those that answered anything, in the order of the run."""
    answered = {name for by_pipeline in outcomes.values() for name in by_pipeline}
    return [name for name in (run.pipelines if run else ()) if name in answered]


def _own(found: _Collected, run: RunRecord | None) -> dict[str, tuple[AnswerRecord, ...]]:
    """The records of samples with the run's own settings, by the model alone, as its pipelines name it."""
    models = run.models if run else {}
    own = {name: group for name, group in found.groups.items() if group.drawn_by(models)}
    alone = Counter(group.name for group in own.values())
    return {group.name if alone[group.name] == 1 else name: tuple(found.records[name]) for name, group in own.items()}


def _equivalence(task: str) -> Equivalence | None:
    """The task's own, where this installation knows the task."""
    try:
        return find_task(task, None).equivalence
    except (BadInput, DataError, UnknownName):
        return None


async def _collect_questions(
    bank: Bank,
    task: str,
    names: Mapping[tuple[str, str], str],
    outcomes: Mapping[str, Mapping[str, Outcome]],
    pipelines: Sequence[str],
    equivalence: Equivalence | None,
) -> _Collected:
    found = _Collected()
    for item, drawn in _join_samples(bank, task):
        answers = outcomes.get(item.item, {})
        if not (answers or drawn) or (outcomes and not answers):
            continue
        named = {names[group.agent, group.sampling]: group for group in drawn}
        one = await report_question(item, named, [answers.get(name) for name in pipelines], equivalence)
        found.first = found.first or item
        found.rows.append(one.row)
        found.details.add(one.detail)
        for group, recorded in one.records.items():
            found.records[group].append(recorded)
            found.groups.setdefault(group, named[group])
    return found


def _join_samples(bank: Bank, task: str) -> Iterator[tuple[BankedItem, list[SampleGroup]]]:
    """Every question with its samples; both come in the same order, and some questions have none."""
    sampled = groupby(sample_groups(bank.store, task, None), key=lambda group: group.candidates.item)
    ahead = next(sampled, None)
    for item in bank.items(task):
        if ahead is not None and ahead[0] == item.item:
            yield item, list(ahead[1])
            ahead = next(sampled, None)
        else:
            yield item, []


def _group_names(bank: Bank, task: str) -> dict[tuple[str, str], str]:
    """What each agent with its settings is called: no longer than tells them apart."""
    asked_as = list(_count_samples(bank, task))
    agents = {agent.id: agent for agent in bank.agents()}
    names: dict[tuple[str, str], str] = {}
    for by, sampling, _ in asked_as:
        name = agents[by].name
        several = len({other for other, _, _ in asked_as if agents[other].name == name}) > 1
        settings = len({s for other, s, _ in asked_as if other == by}) > 1
        names[by, sampling] = (by if several else name) + (_format_sampling(sampling) if settings else "")
    return names


def _format_sampling(sampling: str) -> str:
    """Sampling settings in brackets; nothing for an agent's own."""
    settings = json.loads(sampling)
    return f" ({', '.join(f'{name} {value}' for name, value in settings.items())})" if settings else ""


def _count_samples(bank: Bank, task: str) -> Iterator[tuple[str, str, int]]:
    """Agent, settings and how many samples the bank has of them for the task."""
    for row in bank.store.rows(
        "SELECT r.agent, ifnull(r.sampling, '{}') AS sampling, count(*) AS held FROM requests r "
        "JOIN samples s ON s.request = r.id "
        "WHERE r.question IN (SELECT question FROM items WHERE task = ? AND current) "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        (task,),
    ):
        yield row["agent"], row["sampling"], row["held"]


def _count_by_group(
    bank: Bank, task: str, names: Mapping[tuple[str, str], str]
) -> dict[str, tuple[BankedAgent, str, int]]:
    agents = {agent.id: agent for agent in bank.agents()}
    return {names[by, s]: (agents[by], s, count) for by, s, count in _count_samples(bank, task)}


def _panel(records: Mapping[str, Sequence[AnswerRecord]]) -> dict[str, tuple[AnswerRecord, ...]]:
    """The models' answers as one group, where each of several models gave one answer a question."""
    if len(records) < 2 or any(len(r) > 1 for group in records.values() for r in group):
        return {}
    by_question: dict[str, list[AnswerRecord]] = defaultdict(list)
    for group in records.values():
        for record in group:
            by_question[record.id].append(record)
    return {PANEL: tuple(_pool(together) for together in by_question.values())}


def _pool(records: Sequence[AnswerRecord]) -> AnswerRecord:
    shared = set.intersection(*(set(r.columns) for r in records))
    return AnswerRecord(
        id=records[0].id,
        voters=tuple(v for r in records for v in r.voters),
        answers=tuple(a for r in records for a in r.answers),
        classes=tuple(c for r in records for c in r.classes),
        right=tuple(mark for r in records for mark in r.right),
        columns={name: tuple(v for r in records for v in r.columns[name]) for name in shared},
        facts=records[0].facts,
    )


def _title(task: str, run: RunRecord | None, models: Iterable[str]) -> str:
    """Task and tier, whose samples, and the day."""
    tier = run.settings.get("tier") if run else None
    shown = list(dict.fromkeys(models))
    more = f" and {len(shown) - TITLED} more" if len(shown) > TITLED else ""
    whose = f": {', '.join(shown[:TITLED])}{more}" if shown else ""
    day = f", {run.started[:10]}" if run else ""
    return f"{task}{f', {tier}' if tier else ''}{whose}{day}"


def _complete(run: RunRecord, rows: Sequence[QuestionRow]) -> bool:
    whole = all(credit is not None for row in rows for credit in row.credit)
    return run.finished is not None and whole and len(rows) >= run.questions


def _notes(bank: Bank, rows: Sequence[QuestionRow], run: RunRecord | None, pipelines: Sequence[str]) -> tuple[str, ...]:
    notes = list(bank.caveats)
    silent = [name for name in (run.pipelines if run else ()) if name not in pipelines]
    if silent:
        notes.append(f"Asked for, but without a single answer: {', '.join(silent)}.")
    ungraded = sum(row.right is None for row in rows)
    if ungraded:
        notes.append(f"{ungraded:,} questions have samples that nobody graded and no right answer to grade them by.")
    return tuple(notes)


def _facts(
    task: str,
    run: RunRecord | None,
    item: BankedItem | None,
    groups: Mapping[str, tuple[BankedAgent, str, int]],
    methods: Sequence[tuple[str, str]],
) -> tuple[Fact, ...]:
    """All lines, by group.

    Args:
        item: any question of the report, for its split and revision.
        groups: agent, sampling settings and number of samples, by the group's name.
        methods: name and words of each statistic.
    """
    lines = [*_task_facts(task, run, item), *_run_facts(run), *_model_facts(groups)]
    lines += [Fact("Statistics", name, words) for name, words in methods]
    lines += [Fact("Versions", name, value) for name, value in (run.versions if run else {}).items()]
    return tuple(line for line in lines if line.value)


def _task_facts(task: str, run: RunRecord | None, item: BankedItem | None) -> Iterator[Fact]:
    yield Fact("Task", "task", task)
    yield Fact("Task", "split", item.split if item else "")
    yield Fact("Task", "revision", (run.revision if run else "") or (item.revision if item else ""))
    yield Fact("Task", "content hash", run.content if run else "")


def _run_facts(run: RunRecord | None) -> Iterator[Fact]:
    if run is None:
        return
    yield Fact("Run", "number in its bank", str(run.id))
    yield Fact("Run", "started", run.started)
    yield Fact("Run", "finished", run.finished or "no: it runs, or was cut short")
    yield Fact("Run", "questions", f"{run.questions:,}" if run.questions else "")
    for name, value in _flatten(run.settings):
        yield Fact("Run", name, value)


def _model_facts(groups: Mapping[str, tuple[BankedAgent, str, int]]) -> Iterator[Fact]:
    for name, (agent, sampling, count) in groups.items():
        about = [agent.kind, agent.model if agent.model != name else "", sampling if sampling != "{}" else ""]
        about.append(f"weights {agent.fingerprint}" if agent.fingerprint else "")
        yield Fact("Samples", name, ", ".join([f"{count:,} samples", *filter(None, about)]))


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings line by line; those that say nothing are left out."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        elif value is not None and value not in ("", [], ()):
            yield prefix + name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
