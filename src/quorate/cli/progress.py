"""How an evaluation is going: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from quorate.evals.throttle import Drawn

from .console import SafeConsole

if TYPE_CHECKING:
    from quorate.evals.run import Answered, Opened
    from quorate.evals.run import Progress as Event

LINES = 10
"""Plain lines of a run, beside one every `SILENCE` seconds."""
SILENCE = 60.0
Clock = Callable[[], float]


@dataclass
class EvalProgress:
    """What the draws and outcomes so far amount to.

    Time goes by samples, not by questions: those of the bank cost none, and of many questions in one batch all end
    together.
    """

    since: float
    """When the first sample began to be drawn; until then the latest event."""
    questions: int = 0
    pipelines: int = 1
    done: int = 0
    total: int = 0
    live: Drawn = field(default_factory=Drawn)
    """What the engine tells of samples; nothing where it runs elsewhere."""
    answered: Drawn = field(default_factory=Drawn)
    """What the outcomes tell."""
    cost: float | None = None
    """Money spent in this run, None without prices."""
    right: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    by_item: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Samples drawn for each pipeline that is through with a question."""

    @property
    def drawn(self) -> Drawn:
        return max(self.live, self.answered, key=lambda drawn: drawn.ended)

    def note_draws(self, live: Drawn, now: float) -> None:
        if not self.drawn.wanted:
            self.since = now
        self.live = live

    def note(self, progress: Answered, now: float) -> None:
        outcome = progress.outcome
        name = outcome.pipeline
        # A model that the engine cannot count has drawn at least one.
        samples = max(outcome.drawn, int(outcome.spent > 0))
        if not samples and not self.drawn.wanted:
            self.since = now
        self.done, self.total = progress.done, progress.total
        self.asked[name] += 1
        self.right[name] += outcome.correct
        self.by_item[outcome.item].append(samples)
        self.answered += Drawn(samples, samples, outcome.spent)
        if outcome.spent_cost is not None:
            self.cost = (self.cost or 0.0) + outcome.spent_cost

    def pace(self, now: float) -> str:
        """Samples, tokens a second, time left and money, as far as they can be told."""
        drawn, passed = self.drawn, max(now - self.since, 1e-9)
        parts = []
        if drawn.wanted:
            parts = [f"{drawn.ended:,} of {drawn.wanted:,} samples so far", f"{drawn.tokens / passed:,.0f} tokens/s"]
        elif self.done:
            parts = ["all from the bank"]
        if (left := self._left()) and drawn.ended:
            parts.append(f"{_format_span(passed * left / drawn.ended)} left")
        if self.cost is not None:
            parts.append(f"cost {self.cost:.4g}")
        return ", ".join(parts)

    def _left(self) -> float | None:
        """Samples still to be drawn; None before a question has shown how many it takes."""
        whole = [sum(samples) for samples in self.by_item.values() if len(samples) == self.pipelines]
        drew = [samples for samples in whole if samples]
        if not drew:
            return None
        expected = fmean(drew) * (self.questions - len(whole) + len(drew))
        return max(expected, self.drawn.wanted) - self.drawn.ended

    def accuracy(self, name: str) -> str:
        """The share of right answers so far with its 95 % interval."""
        from quorate.evals.statistics import wilson

        found = wilson(self.right[name], self.asked[name])
        return f"{found.value:.3f} ({found.low:.2f} to {found.high:.2f})"


class EvalWatcher:
    """Takes in an evaluation's progress and shows it on standard error.

    Args:
        quiet: shows nothing.
        console: where to, for tests.
        clock: seconds, for tests.
    """

    def __init__(self, *, quiet: bool, console: Console | None = None, clock: Clock = time.monotonic) -> None:
        self._console = console or SafeConsole(stderr=True, quiet=quiet)
        self._clock = clock
        self._progress = EvalProgress(clock())
        self._last_line = clock()
        columns = (TextColumn("questions"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
        self._bar = Progress(*columns, console=self._console)
        self._row = self._bar.add_task("", total=None, pace="")
        shown = not quiet and self._console.is_terminal
        self._live = (
            Live(get_renderable=self._render, console=self._console, transient=True, refresh_per_second=4)
            if shown
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def note(self, progress: Event) -> None:
        """Takes in one event of the evaluation."""
        from quorate.evals.run import Answered, Opened

        match progress:
            case Opened():
                self._begin(progress)
                return
            case Answered():
                self._progress.note(progress, self._clock())
            case Drawn():
                self._progress.note_draws(progress, self._clock())
        if self._live is None:
            self._print_line(at_tenth=isinstance(progress, Answered))

    def _begin(self, opened: Opened) -> None:
        total = opened.questions * len(opened.pipelines)
        self._progress = EvalProgress(self._clock(), opened.questions, len(opened.pipelines), total=total)
        self._last_line = self._clock()
        for line in opened.notes:
            self._console.print(f"! {line}", markup=False)
        kept = f", {opened.recorded:,} samples in the bank" if opened.recorded else ""
        counts = f"{opened.questions} questions, {len(opened.pipelines)} pipelines{kept}"
        self._console.print(f"{opened.task}: {counts}", markup=False, highlight=False)

    def _print_line(self, *, at_tenth: bool) -> None:
        """A plain line at every tenth of the run, and after a long silence."""
        now, so_far = self._clock(), self._progress
        is_tenth = at_tenth and so_far.done % max(1, so_far.total // LINES) == 0
        if not is_tenth and now - self._last_line < SILENCE:
            return
        self._last_line = now
        accuracy = "; ".join(f"{name} {so_far.accuracy(name)}" for name in so_far.asked)
        parts = (f"{so_far.done}/{so_far.total}", so_far.pace(now), accuracy)
        self._console.print("  ".join(filter(None, parts)), markup=False, soft_wrap=True, highlight=False)

    def _render(self) -> Group:
        so_far = self._progress
        pace = so_far.pace(self._clock())
        self._bar.update(self._row, completed=so_far.done, total=so_far.total or None, pace=pace)
        table = Table(box=None, pad_edge=False, show_header=False)
        for name in so_far.asked:
            table.add_row(name, f"{so_far.right[name]}/{so_far.asked[name]}", so_far.accuracy(name))
        return Group(self._bar, table)


def _format_span(seconds: float) -> str:
    """A time in words, no more exact than a guess is."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
