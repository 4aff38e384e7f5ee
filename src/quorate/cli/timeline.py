"""A trace as people read it: what began when, took how long, cost what and led to what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quorate.orchestrator.types import Candidate
from quorate.orchestrator.usage import Usage
from quorate.storage.traces import Moment, Trace, TracedCall, TracedChoice

BAR = 32
"""Columns of the time line."""
SHOWN = 60
"""Characters of a text in the time line."""
WORTH_TELLING = 0.01
"""Seconds that a call waits before it is sent."""
ENDS = ("candidate_finished", "candidate_failed", "candidate_cancelled")


class Row(NamedTuple):
    """One line: a node, a candidate, a call or a remark."""

    depth: int
    label: str
    start: float
    end: float | None
    """None for what takes no time."""
    tokens: str = ""
    note: str = ""
    style: str = ""


def print_trace(console: Console, trace: Trace) -> None:
    """The request's facts, its time line, and what came of it."""
    began = datetime.fromtimestamp(trace.began, UTC)
    asked = f"{trace.model or 'no model'}{f' for {trace.key}' if trace.key else ''}"
    console.print(f"[bold]{escape(trace.id)}[/]  {escape(asked)}  {began:%Y-%m-%d %H:%M:%S} UTC")
    first = "" if trace.first_byte is None else f", first byte after {trace.first_byte:.3f} s"
    queued = f", of which queued {trace.queued:.3f} s" if trace.queued and trace.queued >= 0.0005 else ""
    took, spent = f"{trace.seconds:.3f} s{queued}{first}", _describe_usage(trace.usage)
    console.print(f"{trace.route}  {_status(trace)}  {took}  {spent}")
    if trace.question is not None:
        console.print(f"question: {escape(_short(trace.question.text, 4 * SHOWN))}")
    table = Table("", "from", "", "seconds", "tokens", "", box=None, pad_edge=False, header_style="dim")
    for place, choice in enumerate(trace.choices):
        if len(trace.choices) > 1:
            table.add_row(f"[bold]choice {place}[/]")
        for row in _ChoiceLine(trace, choice).rows():
            table.add_row(*_cells(row, trace.seconds))
    console.print(table)
    for choice in trace.choices:
        _print_end(console, choice)
    console.print()


def _print_end(console: Console, choice: TracedChoice) -> None:
    if choice.error is not None:
        console.print(f"[red]error: {escape(choice.error.code)}[/] {escape(choice.error.message)}")
    answer = choice.answer
    if answer is None:
        return
    votes = ", ".join(f"{cluster.answer} x{cluster.votes}" for cluster in answer.tally)
    told = [f"votes: {votes}"] if votes else []
    told += [f"stopped: {answer.stopped}", *([f"route: {answer.route}"] if answer.route else [])]
    console.print(escape("; ".join(told)))
    for each in answer.degraded:
        detail = f": {each.detail}" if each.detail else ""
        console.print(f"[yellow]! {escape(f'{each.code}: {each.where}{detail}')}[/]")
    if answer.text or answer.answer:
        said = answer.text.strip() if answer.answer is None else answer.answer
        console.print(f"[bold]answer: {escape(_short(said, 4 * SHOWN))}[/]")


@dataclass
class _ChoiceLine:
    """The time line of one choice."""

    trace: Trace
    choice: TracedChoice
    calls: dict[tuple[str, str], list[TracedCall]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for call in self.choice.calls:
            self.calls.setdefault((call.thread, call.node), []).append(call)
        sampled = [m.node for m in self.choice.moments if m.what in ENDS]
        self.last = sampled[-1] if sampled else ""
        """The node whose candidates the answer has."""

    def rows(self) -> Iterator[Row]:
        yield from self._thread("", 0)

    def _thread(self, thread: str, depth: int) -> Iterator[Row]:
        """The nodes of one pipeline, one after another, with what lies inside them."""
        for node in (m for m in self.choice.moments if m.what == "node" and m.thread == thread):
            end = self._end(node)
            yield Row(depth, node.text, node.at, end, style="bold")
            yield from self._inside(node, end, depth + 1)

    def _inside(self, node: Moment, end: float, depth: int) -> Iterator[Row]:
        calls = [c for c in self.calls.get((node.thread, node.text), ()) if node.at <= c.started <= end]
        threads = self._threads_in(node, end)
        if not node.thread:
            for index in self._indices(node, end):
                own = [call for call in calls if call.indices == (index,)]
                calls = [call for call in calls if call not in own]
                yield self._candidate(node, end, index, depth)
                yield from (_call(call, depth + 1) for call in own if len(own) > 1 or _tells_more(call))
                for thread in [each for each in threads if _purpose(each) == str(index)]:
                    threads.remove(thread)
                    yield from self._thread(thread, depth + 1)
            yield from self._remarks(node, end, depth)
        yield from (_call(call, depth) for call in calls)
        for thread in threads:
            yield Row(depth, _purpose(thread), *self._span(thread))
            yield from self._thread(thread, depth + 1)

    def _during(self, node: Moment, end: float) -> list[Moment]:
        """What is told of a node's own candidates while it ran."""
        return [m for m in self.choice.moments if m.node == node.text and node.at <= m.at <= end]

    def _indices(self, node: Moment, end: float) -> list[int]:
        return sorted({m.index for m in self._during(node, end) if m.index is not None})

    def _threads_in(self, node: Moment, end: float) -> list[str]:
        """Threads that begin in a node, in order."""
        prefix = f"{node.thread}/{node.text}."
        begun = [
            m.thread
            for m in self.choice.moments
            if m.what == "node" and m.thread.startswith(prefix) and node.at <= m.at <= end
        ]
        return [each for each in dict.fromkeys(begun) if "/" not in each[len(prefix) :]]

    def _span(self, thread: str) -> tuple[float, float]:
        begins = [m.at for m in self.choice.moments if m.thread == thread]
        ends = [c.ended for c in self.choice.calls if c.thread == thread or c.thread.startswith(f"{thread}/")]
        return min(begins), max([*ends, *begins])

    def _end(self, node: Moment) -> float:
        """When a node ended, else with the last that we saw of it."""
        place = next(number for number, moment in enumerate(self.choice.moments) if moment is node)
        for m in self.choice.moments[place:]:
            if m.what == "node_ended" and (m.thread, m.text) == (node.thread, node.text):
                return m.at
        inside = [c.ended for c in self.choice.calls if c.thread.startswith(f"{node.thread}/{node.text}.")]
        inside += [c.ended for c in self.calls.get((node.thread, node.text), ())]
        if not node.thread:
            inside += [m.at for m in self.choice.moments if m.what == "done" or m.node == node.text]
        return max([node.at, *inside])

    def _candidate(self, node: Moment, end: float, index: int, depth: int) -> Row:
        own = [m for m in self._during(node, end) if m.index == index]
        start = next((m.at for m in own if m.what == "candidate_started"), node.at)
        ended = next((m.at for m in own if m.what in ENDS), end)
        first = next((f"first token {m.at:.3f}" for m in own if m.what == "first_token"), "")
        candidate = next((c for c in self.choice.candidates if c.index == index and node.text == self.last), None)
        if candidate is None:
            what = next((m.what.removeprefix("candidate_") for m in own if m.what in ENDS), "")
            told, style = ("" if what == "finished" else what), ""
            return Row(depth, f"#{index} {next((m.text for m in own if m.text), '')}", start, ended, "", told, style)
        name = candidate.agent or candidate.model
        note, style = _outcome(candidate)
        told = "; ".join(filter(None, (note, first)))
        return Row(depth, f"#{index} {name}", start, ended, _tokens(candidate.usage), told, style)

    def _remarks(self, node: Moment, end: float, depth: int) -> Iterator[Row]:
        during = self._during(node, end)
        tallies = [m for m in during if m.what == "tally"]
        # Not every change of a tally of hundreds is worth a line.
        for moment in [*tallies[-1:], *(m for m in during if m.what == "stopped")]:
            yield Row(depth, moment.what, moment.at, None, note=moment.text, style="dim")


def _purpose(thread: str) -> str:
    """What a thread was asked for: the index of a candidate, or a word."""
    return thread.rpartition(".")[2].rpartition("~")[2]


def _call(call: TracedCall, depth: int) -> Row:
    tries = "; ".join(f"try at {at:.3f}: {code} {status}" for at, code, status in call.failures)
    answered = "" if call.answered is None else f"reply began {call.answered:.3f}"
    waited = f"waited {_waited(call):.3f} s" if _waited(call) >= WORTH_TELLING else ""
    note = "; ".join(filter(None, ("" if call.outcome == "ok" else call.outcome, waited, tries, answered)))
    style = "" if call.outcome == "ok" else "yellow"
    return Row(depth, f"call {call.agent}", call.started, call.ended, _tokens(call.usage), note, style or "dim")


def _tells_more(call: TracedCall) -> bool:
    """Than its candidate does."""
    return bool(call.failures) or _waited(call) >= WORTH_TELLING


def _waited(call: TracedCall) -> float:
    """Seconds until it was sent: for a place at its server, for the rate, or because of a Retry-After."""
    return (call.sent[0] if call.sent else call.ended) - call.started


def _outcome(candidate: Candidate) -> tuple[str, str]:
    if candidate.error is not None:
        return f"{candidate.error.code} {candidate.error.message}".strip(), "red"
    if not candidate.ok:
        return "cancelled", "yellow"
    said = candidate.answer if candidate.answer is not None else candidate.text
    return f"-> {said}" if said else (candidate.finish_reason or ""), ""


def _cells(row: Row, whole: float) -> Sequence[str]:
    span = "" if row.end is None else f"{max(0.0, row.end - row.start):.3f}"
    bar = _bar(row.start, row.start if row.end is None else row.end, whole, point=row.end is None)
    style = row.style or "none"
    label = f"{'  ' * row.depth}{row.label}"
    texts = (escape(label), f"{row.start:.3f}", bar, span, row.tokens, escape(_short(row.note, 2 * SHOWN)))
    return [f"[{style}]{text}[/]" if text else "" for text in texts]


def _bar(start: float, end: float, whole: float, *, point: bool) -> str:
    scale = BAR / max(whole, 1e-9)
    left = min(BAR - 1, int(start * scale))
    width = max(1, min(BAR - left, round((end - start) * scale)))
    return f"{' ' * left}{'·' if point else '━' * width}"


def _status(trace: Trace) -> str:
    failed = trace.status >= 400
    why = f" {trace.error.code}" if trace.error is not None else " the client left" if trace.status == 499 else ""
    return f"[{'red' if failed else 'green'}]{trace.status}{why}[/]"


def _describe_usage(usage: Usage) -> str:
    cost = "" if usage.cost is None else f", cost {usage.cost:.6g}"
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    return f"{usage.prompt_tokens:,}{cached} + {usage.completion_tokens:,} tokens in {usage.requests} calls{cost}"


def _tokens(usage: Usage) -> str:
    return f"{usage.prompt_tokens}+{usage.completion_tokens}" if usage.total_tokens else ""


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
