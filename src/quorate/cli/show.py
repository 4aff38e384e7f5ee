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
    NodeStarted,
    StoppedEarly,
    TallyChanged,
)
from quorate.orchestrator.state import END
from quorate.orchestrator.types import Answer, Candidate, Cluster, NodeUsage, NodeVisit, Usage

__all__ = ["RunWatcher", "answer_json", "print_answer", "wide_console"]

WIDTH = 150
"""Columns of a table that goes into a file or a pipe."""


class RunWatcher:
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
        self._name = name
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
        """Takes in one event of the run."""
        match event:
            case CandidateStarted():
                self._started += 1
                self._bar.update(self._task, total=self._started)
            case CandidateFinished() | CandidateFailed() | CandidateCancelled():
                self._ended += 1
                self._bar.update(self._task, completed=self._ended)
            case TallyChanged(tally=tally):
                self._bar.update(self._task, tally=escape(list_votes(tally)))
                self._print_line(f"{self._ended} sampled: {list_votes(tally)}")
            case StoppedEarly(reason=reason):
                self._print_line(f"stopped: {reason}")
            case NodeStarted(thread="", node=node):
                self._bar.update(self._task, description=escape(f"{self._name}: {node}"))

    def _print_line(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def list_votes(tally: tuple[Cluster, ...], most: int = 4) -> str:
    """`42 x12, 41 x3, 2 more`."""
    listed = [f"{cluster.answer} x{cluster.votes}" for cluster in tally[:most]]
    return ", ".join([*listed, f"{len(tally) - most} more"] if len(tally) > most else listed)


def _usage_json(usage: Usage) -> dict[str, Any]:
    return {**usage.model_dump(), "total_tokens": usage.total_tokens}


def answer_json(answer: Answer) -> dict[str, Any]:
    """What `quorate ask --json` prints."""
    return {
        "answer": answer.answer,
        "text": answer.text,
        "model": answer.model,
        "tally": [cluster.model_dump(mode="json") for cluster in answer.tally],
        "candidates": [_candidate_json(candidate) for candidate in answer.candidates],
        "usage": {**_usage_json(answer.usage), "nodes": [_node_json(s) for s in answer.nodes]},
        "path": [_visit_json(visit) for visit in answer.path],
        "stopped": answer.stopped,
        **({"route": answer.route} if answer.route else {}),
        "degraded": [degradation.model_dump() for degradation in answer.degraded],
    }


def _node_json(spent: NodeUsage) -> dict[str, Any]:
    return {"node": spent.node, "model": spent.model, **spent.usage.model_dump()}


def _visit_json(visit: NodeVisit) -> dict[str, Any]:
    """What a node did; without its time, so that the same seed prints the same."""
    return {"node": visit.node, "outcome": visit.outcome, "to": {_end(to): why for to, why in visit.edges.items()}}


def _end(node: str) -> str:
    return "end" if node == END else node


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "index": candidate.index,
        "text": candidate.text,
        "answer": candidate.answer,
        "model": candidate.model,
        "finish_reason": candidate.finish_reason,
        "seed": candidate.seed,
        "usage": _usage_json(candidate.usage),
        "error": candidate.error.model_dump() if candidate.error else None,
    }


def wide_console() -> Console:
    """Standard output: as wide as the terminal, and wide enough for a table where there is none."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=WIDTH)


def print_answer(answer: Answer) -> None:
    """The votes as a table, the winning text, what each node did, and the answer on the last line."""
    console = wide_console()
    if answer.tally:
        console.print(_tally_table(answer))
    console.print(answer.text.strip(), markup=False)
    for degradation in answer.degraded:
        console.print(f"! {degradation.code}: {degradation.where}: {degradation.detail}", markup=False, style="yellow")
    if answer.path:
        console.print(_path_table(answer))
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


def _path_table(answer: Answer) -> Table:
    table = Table("node", box=None, pad_edge=False, header_style="dim", style="dim")
    table.add_column("seconds", justify="right")
    table.add_column("tokens", justify="right")
    table.add_column("what came of it")
    table.add_column("leads to")
    told: set[str] = set()
    for visit in answer.path:
        # A node that has run several times tells what it spent in all of them, once.
        spent = [s for s in answer.nodes if s.node == visit.node and visit.node not in told]
        told.add(visit.node)
        tokens = [f"{s.usage.prompt_tokens:,} + {s.usage.completion_tokens:,} {s.model}" for s in spent]
        ways = [f"{_end(to)}: {why}" if why else _end(to) for to, why in visit.edges.items()]
        cells = (visit.node, "\n".join(tokens), " ".join(visit.outcome.split()), "\n".join(ways))
        name, used, outcome, leads = map(escape, cells)
        table.add_row(name, f"{visit.seconds:.3f}", used, outcome, leads)
    return table


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
