"""Answers and progress as people and scripts read them."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

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
from quorate.orchestrator.types import Answer, Candidate, Cluster, NodeVisit
from quorate.orchestrator.usage import NodeUsage, Usage

from .console import SafeConsole, wide_console

BAR = 12
"""Columns for a share of one."""
COLUMNS = 5
SHORTEST = 12
"""Columns of an answer, and of a sample, on however narrow a terminal."""
LOW = 0.5
"""Share of the samples below which agreement is called low."""


class RunWatcher:
    """Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing if quiet."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._console = SafeConsole(stderr=True, quiet=quiet)
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


def print_answer(answer: Answer) -> None:
    """The votes as a table, the winning text, what each node did, and the answer on the last line."""
    console = wide_console()
    if answer.tally:
        console.print(_tally_table(answer, console.width))
    for remark in _remarks(answer):
        console.print(f"! {remark}", markup=False, style="yellow")
    console.print(answer.text.strip(), markup=False)
    for degradation in answer.degraded:
        console.print(f"! {degradation.code}: {degradation.where}: {degradation.detail}", markup=False, style="yellow")
    if answer.path:
        console.print(_path_table(answer))
    usage = answer.usage
    ended = "" if answer.stopped == "complete" else f"; stopped: {answer.stopped}"
    console.print(
        f"{answer.model}: {usage.completion_tokens:,} tokens generated from {usage.prompt_tokens:,} of prompt "
        f"{_where_spent(answer)}{ended}",
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


def _where_spent(answer: Answer) -> str:
    """In the samples that were voted on; judges, and models asked before, take tokens of their own."""
    drawn = Usage.total(candidate.usage for candidate in answer.candidates).completion_tokens
    samples = f"{len(answer.candidates)} sample{'s' * (len(answer.candidates) != 1)}"
    if drawn == answer.usage.completion_tokens:
        return f"in {samples}"
    return f"in all, {drawn:,} of them in the {samples} that the answer comes from"


def _tally_table(answer: Answer, width: int) -> Table:
    """Votes, their share of all samples that ended, and answers; what room is left has the beginning of a sample."""
    cast = sum(cluster.votes for cluster in answer.tally)
    drawn = max(len(answer.candidates) - _count_stopped(answer), cast)
    texts = {candidate.index: candidate.text for candidate in answer.candidates}
    rows = [(c.votes, c.answer, texts.get(c.voters[0], "")) for c in answer.tally]
    if drawn > cast:
        rows.append((drawn - cast, "(none)", "gave no answer"))
    lines = [(votes, " ".join(said.split()), " ".join(sample.split())) for votes, said, sample in rows]
    room = max(2 * SHORTEST, width - sum((len("votes"), len("share"), BAR)) - 2 * COLUMNS)
    longest = max(len("answer"), *(cell_len(said) for _, said, _ in lines))
    answers = min(longest, max(SHORTEST, room // 2))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("votes", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("answer", no_wrap=True)
    table.add_column("a sample", no_wrap=True, style="dim")
    for votes, said, sample in lines:
        bar = "█" * round(BAR * votes / drawn) or "▏"
        shown = Text(said), Text(sample)
        shown[0].truncate(answers, overflow="ellipsis")
        shown[1].truncate(room - answers, overflow="ellipsis")
        table.add_row(str(votes), f"{votes / drawn:.0%}", bar, *shown)
    return table


def _count_stopped(answer: Answer) -> int:
    """The samples that nobody waited for, since enough had been said."""
    return sum(candidate.finish_reason == "cancelled" for candidate in answer.candidates)


def _remarks(answer: Answer) -> Iterator[str]:
    """What the votes say of themselves in words; ties and lone votes are in `degraded`."""
    texts = [candidate.text for candidate in answer.candidates if candidate.ok]
    if len(texts) > 1 and len(set(texts)) == 1:
        yield (
            f"all {len(texts)} samples are the same text, so the vote says no more than one of them: does the model "
            "answer greedily (temperature 0)?"
        )
    cut = sum(candidate.finish_reason == "length" for candidate in answer.candidates)
    if cut:
        yield f"cut off before their end: {cut} of {len(answer.candidates)} samples; a larger --max-tokens may help"
    stopped = _count_stopped(answer)
    if stopped:
        yield f"samples that were not waited for, and have no vote: {stopped}"
    votes, drawn = answer.tally[0].votes if answer.tally else 0, len(answer.candidates) - stopped
    if drawn > 1 and 0 < votes < LOW * drawn:
        yield f"low agreement: {votes} of {drawn} samples gave this answer"
