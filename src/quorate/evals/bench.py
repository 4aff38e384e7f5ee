"""A sample bank behind the server's page: evaluations while they run, and preferences as labels.

A preference is a question of the task `preferences` with two samples, one of each pipeline that answered, graded right
where that answer was good. So `Bank.sets("preferences")` gives them as labelled sets, which selectors are trained on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import UnknownName
from quorate.orchestrator.types import Answer, Candidate
from quorate.storage.traces import Trace

from .bank import Bank
from .bank.ingest import Incoming, ingest
from .bank.values import BankedAgent, BankedItem, RunRecord
from .measures import SystemPair, SystemResult, best_first, compare_systems, list_systems
from .outcome import Outcome
from .records import POOLED, RecordedBank, Unit
from .report.systems import describe_curve, describe_system, pipeline_results, scaling_curves

__all__ = ["PREFERENCES", "BankWorkbench"]

PREFERENCES = "preferences"
"""The task of what people preferred."""


class BankWorkbench:
    """A bank by its file or folder, opened anew for each question: another process may be writing it.

    Args:
        path: of the bank; it is made with the first preference.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()
        """Held by the thread that compares: who waits for it finds what was made."""
        self._compared: tuple[tuple[int, int, Unit], dict[str, Any]] | None = None

    def keep_preference(self, traces: tuple[Trace, Trace], labels: tuple[bool, bool], *, blind: bool) -> None:
        """Keeps both answers; what was said of them before stays.

        Raises:
            DataError: the bank cannot be written.
        """
        first, second = traces
        assert first.question is not None
        item = BankedItem(task=PREFERENCES, item=f"{first.question_key}", question=first.question)
        against = (second.model, first.model)
        with Bank(self._path) as bank:
            ingest(
                bank,
                [
                    _label(trace, item, good=good, facts={"against": other, "blind": blind, "key": trace.key})
                    for trace, good, other in zip(traces, labels, against, strict=True)
                ],
            )

    def list_runs(self) -> list[dict[str, Any]]:
        """Runs of pipelines, the latest first; none where there is no bank yet."""
        if not self._path.exists():
            return []
        with Bank(self._path, create=False) as bank:
            return [_describe_run(bank, run) for run in reversed(bank.runs()) if run.pipelines]

    def read_run(self, number: int) -> dict[str, Any]:
        """One run, as far as it has come.

        Raises:
            UnknownName: with the runs that there are.
        """
        with self._open(number) as (bank, run):
            outcomes, about = list(bank.outcomes(number)), _describe_run(bank, run)
        answered = [name for name in run.pipelines if any(o.pipeline == name for o in outcomes)]
        systems = pipeline_results(outcomes, answered) if answered else ()
        return {**about, "systems": [_describe_system(system) for system in systems], **_matrix(outcomes, answered)}

    def compare_run(self, number: int, by: Unit) -> dict[str, Any]:
        """What `quorate eval compare` finds in one run, as far as it has come, and how its models' samples scale.

        Raises:
            UnknownName: with the runs that there are.
        """
        with self._turn, self._open(number) as (bank, run):
            outcomes = list(bank.outcomes(number))
            key = (number, len(outcomes), by)
            if self._compared is None or self._compared[0] != key:
                self._compared = (
                    key,
                    _compare(outcomes, asyncio.run(bank.records(run.task, models=run.models)), by) if outcomes else {},
                )
            return self._compared[1]

    @contextmanager
    def _open(self, number: int) -> Iterator[tuple[Bank, RunRecord]]:
        """The bank and one of its runs of pipelines."""
        if not self._path.exists():
            raise UnknownName("run", str(number), [])
        with Bank(self._path, create=False) as bank:
            runs = {run.id: run for run in bank.runs() if run.pipelines}
            if number not in runs:
                raise UnknownName("run", str(number), [str(known) for known in runs])
            yield bank, runs[number]


def _compare(outcomes: list[Outcome], records: RecordedBank, by: Unit) -> dict[str, Any]:
    found = compare_systems(best_first(list_systems(outcomes, records), by), by=by)
    groups = {name: group for name, group in records.groups.items() if name != POOLED}
    return {
        "by": by,
        "pairs": [_describe_pair(pair) for pair in found.pairs],
        "notes": list(found.notes),
        "curves": [describe_curve(curve) for curve in scaling_curves(groups)],
    }


def _describe_pair(pair: SystemPair) -> dict[str, Any]:
    paired = pair.paired
    return {
        "a": pair.a,
        "b": pair.b,
        "difference": [paired.difference, paired.low, paired.high],
        "p": paired.p,
        "p_holm": pair.p_holm,
        "test": paired.test,
        "detectable": pair.detectable.gain,
        "as_run": pair.as_run,
        "budget": pair.budget,
        "scaled": pair.scaled,
        "samples": pair.samples,
        "note": pair.note,
    }


def _label(trace: Trace, item: BankedItem, *, good: bool, facts: dict[str, Any]) -> Incoming:
    answer = next(choice.answer for choice in trace.choices if choice.answer is not None)
    agent = BankedAgent(id=f"{trace.model}~{PREFERENCES}", name=trace.model, kind="pipeline", model=trace.model)
    return Incoming(
        agent,
        _as_candidate(answer, trace),
        item=item,
        sampling=item.question.sampling,
        seed=derive_seed(0, PREFERENCES, trace.id),
        graded=True,
        extracted=answer.answer,
        correct=good,
        facts={"request": trace.id, **facts},
    )


def _as_candidate(answer: Answer, trace: Trace) -> Candidate:
    return Candidate(
        index=0,
        model=trace.model,
        agent=trace.model,
        text=answer.text,
        reasoning=answer.reasoning,
        answer=answer.answer,
        finish_reason=answer.finish_reason,
        usage=trace.usage,
        latency=trace.seconds,
    )


def _describe_run(bank: Bank, run: RunRecord) -> dict[str, Any]:
    return {
        "id": run.id,
        "task": run.task,
        "started": run.started,
        "finished": run.finished,
        "questions": run.questions,
        "pipelines": list(run.pipelines),
        "answers": bank.count_outcomes(run.id),
    }


def _describe_system(system: SystemResult) -> dict[str, Any]:
    return {**describe_system(system), "questions": system.questions, "errors": system.errors}


def _matrix(outcomes: list[Outcome], pipelines: list[str]) -> dict[str, Any]:
    """Every question with what each pipeline made of it: right, wrong, or null where it has not answered yet."""
    items = dict.fromkeys(outcome.item for outcome in outcomes)
    right = {(outcome.pipeline, outcome.item): outcome.correct for outcome in outcomes}
    said = {(outcome.pipeline, outcome.item): outcome.answer for outcome in outcomes}
    gold = {outcome.item: outcome.gold for outcome in outcomes}
    return {
        "rows": [
            {
                "item": item,
                "gold": gold[item],
                "right": [right.get((name, item)) for name in pipelines],
                "answers": [said.get((name, item)) for name in pipelines],
            }
            for item in items
        ]
    }
