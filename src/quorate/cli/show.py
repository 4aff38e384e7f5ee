"""Answers and progress as people and scripts read them."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from quorate.orchestrator.events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateStarted,
    Event,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.types import Answer, Candidate, Cluster, Usage

__all__ = ["Watcher", "answer_json", "print_answer", "wide_console"]

WIDTH = 150
"""Columns of a table that goes into a file or a pipe."""


class Watcher:
    """Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing if quiet."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[tally]}"),
            console=self._console,
            transient=True,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task(escape(name), total=None, tally="")
        self._started = self._ended = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def note(self, event: Event) -> None:
        match event:
            case CandidateStarted():
                self._started += 1
                self._bar.update(self._task, total=self._started)
            case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                self._ended += 1
                self._bar.update(self._task, completed=self._ended)
            case TallyChanged(tally=tally):
                self._bar.update(self._task, tally=escape(votes(tally)))
                self._plain(f"{self._ended} sampled: {votes(tally)}")
            case StoppedEarly(reason=reason):
                self._plain(f"stopped: {reason}")

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def votes(tally: tuple[Cluster, ...], most: int = 4) -> str:
    """`42 x12, 41 x3, 2 more`."""
    listed = [f"{cluster.answer} x{cluster.votes}" for cluster in tally[:most]]
    return ", ".join([*listed, f"{len(tally) - most} more"] if len(tally) > most else listed)


def usage_json(usage: Usage) -> dict[str, Any]:
    return {**usage.model_dump(), "total_tokens": usage.total_tokens}


def answer_json(answer: Answer) -> dict[str, Any]:
    """What `quorate ask --json` prints."""
    return {
        "answer": answer.answer,
        "text": answer.text,
        "model": answer.model,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "candidates": [_candidate_json(candidate) for candidate in answer.candidates],
        "usage": {**usage_json(answer.usage), "stages": [_stage_json(s.model_dump()) for s in answer.nodes]},
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [degradation.model_dump() for degradation in answer.degraded],
    }


def _stage_json(stage: dict[str, Any]) -> dict[str, Any]:
    return {"stage": stage["stage"], "model": stage["model"], **stage["usage"]}


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "index": candidate.index,
        "text": candidate.text,
        "answer": candidate.answer,
        "model": candidate.model,
        "finish_reason": candidate.finish_reason,
        "seed": candidate.seed,
        "usage": usage_json(candidate.usage),
        "error": candidate.error.model_dump() if candidate.error else None,
    }


def wide_console() -> Console:
    """Standard output: as wide as the terminal, and wide enough for a table where there is none."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=WIDTH)


def print_answer(answer: Answer) -> None:
    """The votes as a table, the winning text, and the answer on the last line."""
    console = wide_console()
    if answer.tally:
        console.print(_tally_table(answer))
    console.print(answer.text.strip(), markup=False)
    for degradation in answer.degraded:
        console.print(f"! {degradation.code}: {degradation.where}: {degradation.detail}", markup=False, style="yellow")
    if answer.route:
        console.print(f"route: {answer.route}", markup=False, style="dim")
    usage = answer.usage
    console.print(
        f"{answer.model}: {usage.completion_tokens:,} tokens generated from {usage.prompt_tokens:,} of prompt "
        f"in {len(answer.candidates)} samples; stopped: {answer.stopped}",
        markup=False,
        style="dim",
    )
    console.print(
        f"answer: {answer.text.strip() if answer.answer is None else answer.answer}", markup=False, style="bold"
    )


def _tally_table(answer: Answer) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("votes", justify="right")
    table.add_column("")
    table.add_column("answer")
    table.add_column("one of its samples", overflow="ellipsis", no_wrap=True, style="dim")
    most = max(cluster.votes for cluster in answer.tally)
    texts = {candidate.index: candidate.text for candidate in answer.candidates}
    for cluster in answer.tally:
        bar = "█" * max(1, round(12 * cluster.votes / most))
        sample = " ".join(texts.get(cluster.voters[0], "").split())
        table.add_row(str(cluster.votes), bar, escape(cluster.answer), escape(sample))
    silent = len(answer.candidates) - sum(cluster.votes for cluster in answer.tally)
    if silent:
        table.add_row(str(silent), "", "(none)", "gave no answer")
    return table
