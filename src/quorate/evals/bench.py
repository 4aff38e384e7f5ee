"""A sample bank behind the server's page: evaluations while they run, and preferences as labels.

A preference is a question of the task `preferences` with two samples, one of each pipeline that answered, graded right
where that answer was good. So `Bank.sets("preferences")` gives them as labelled sets, which selectors are trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quorate.orchestrator.context import derive_seed
from quorate.orchestrator.errors import UnknownName
from quorate.orchestrator.types import Answer, Candidate
from quorate.storage.traces import Trace

from .bank import Bank
from .bank.ingest import Incoming, ingest
from .bank.values import BankedAgent, BankedItem, RunRecord
from .measures import SystemResult
from .outcome import Outcome
from .report.systems import pipeline_results

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
        if not self._path.exists():
            raise UnknownName("run", str(number), [])
        with Bank(self._path, create=False) as bank:
            runs = {run.id: run for run in bank.runs() if run.pipelines}
            if number not in runs:
                raise UnknownName("run", str(number), [str(known) for known in runs])
            run, outcomes = runs[number], list(bank.outcomes(number))
            about = _describe_run(bank, run)
        answered = [name for name in run.pipelines if any(o.pipeline == name for o in outcomes)]
        systems = pipeline_results(outcomes, answered) if answered else ()
        return {**about, "systems": [_describe_system(system) for system in systems], **_matrix(outcomes, answered)}


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
    accuracy = system.accuracy
    spent = {name: getattr(system, name) for name in ("tokens", "cost", "seconds", "samples", "questions", "errors")}
    return {"name": system.name, "accuracy": [accuracy.value, accuracy.low, accuracy.high], **spent}


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
