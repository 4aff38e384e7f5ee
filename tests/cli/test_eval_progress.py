"""An evaluation's progress: plain lines off a terminal, a table on one, and figures that are right."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from quorate.cli.progress import EvalWatcher
from quorate.evals.outcome import Outcome
from quorate.evals.run import Answered, Opened


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answers(total: int, cost: float | None = None) -> Iterator[Answered]:
    """Three of four right, 40 tokens each."""
    for done in range(1, total + 1):
        outcome = Outcome(
            pipeline="majority@4/m", item=str(done), gold="1", correct=done % 4 > 0, spent=40, spent_cost=cost
        )
        yield Answered(done, total, outcome)


def opened(questions: int, notes: tuple[str, ...] = ()) -> Opened:
    return Opened("sums", questions, ("majority@4/m",), 12, notes)


def watched(*, terminal: bool, cost: float | None = None) -> str:
    """What forty questions in 80 seconds show, but for the last ten of them."""
    clock, told = Clock(), io.StringIO()
    console = Console(file=told, force_terminal=terminal, width=200)
    with EvalWatcher(quiet=False, console=console, clock=clock) as watch:
        watch.note(opened(40, ("a question changed",)))
        for answered in list(answers(40, cost))[:30]:
            clock.now += 2
            watch.note(answered)
    return told.getvalue()


def test_plain_lines_tell_accuracy_with_interval_pace_time_and_cost() -> None:
    """A line every tenth, and no control characters."""
    lines = watched(terminal=False, cost=0.25).splitlines()
    assert lines[0] == "! a question changed"
    assert lines[1] == "sums: 40 questions, 1 pipelines, 12 samples in the bank"
    assert [line.split()[0] for line in lines[2:]] == [f"{n}/40" for n in range(4, 31, 4)]
    assert lines[3] == "8/40  20 tokens/s, 64 s left, cost 2  majority@4/m 0.750 (0.41 to 0.93)"
    assert "\x1b" not in "".join(lines)


def test_without_prices_no_cost_is_shown() -> None:
    """None is not zero."""
    assert "cost" not in watched(terminal=False)


def test_a_terminal_shows_a_table() -> None:
    """With the same figures."""
    shown = watched(terminal=True)
    assert "30/40" in shown
    assert "majority@4/m" in shown
    assert "left" in shown


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """For --json."""
    with EvalWatcher(quiet=True) as watch:
        watch.note(opened(8))
        for answered in answers(8):
            watch.note(answered)
    assert capsys.readouterr() == ("", "")


def test_long_silences_are_broken() -> None:
    """A slow run tells of every question."""
    clock, told = Clock(), io.StringIO()
    with EvalWatcher(quiet=False, console=Console(file=told, width=200), clock=clock) as watch:
        watch.note(opened(1000))
        for answered in list(answers(1000))[:3]:
            clock.now += 70
            watch.note(answered)
    assert len(told.getvalue().splitlines()) == 4
    assert "19.4 h left" in told.getvalue()
