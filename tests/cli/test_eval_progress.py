"""An evaluation's progress: plain lines off a terminal, a table on one, and figures that are right."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from quorate.cli.progress import EvalWatcher
from quorate.evals.outcome import Outcome
from quorate.evals.run import Answered, Opened
from quorate.evals.throttle import Drawn


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answers(total: int, cost: float | None = None) -> Iterator[Answered]:
    """Three of four right, four samples with 40 tokens each."""
    for done in range(1, total + 1):
        outcome = Outcome(
            pipeline="majority@4/m", item=str(done), gold="1", correct=done % 4 > 0, drawn=4, spent=40, spent_cost=cost
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
    pace = "32 of 32 samples so far, 20 tokens/s, 64 s left, cost 2"
    assert lines[3] == f"8/40  {pace}  majority@4/m 0.750 (0.41 to 0.93)"
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


class Watched:
    """A watcher of some questions, each over 4 samples, whose lines can be read."""

    def __init__(self, questions: int) -> None:
        self.clock, self._told = Clock(), io.StringIO()
        self.watch = EvalWatcher(quiet=False, console=Console(file=self._told, width=200), clock=self.clock)
        self.watch.note(opened(questions))
        self._outcomes = answers(questions)

    def draw(self, seconds: float, wanted: int, ended: int) -> None:
        self.clock.now += seconds
        self.watch.note(Drawn(wanted, ended, tokens=10 * ended))

    def answer(self, seconds: float, *, banked: bool = False) -> str:
        """The latest line after one more question."""
        self.clock.now += seconds
        answered = next(self._outcomes)
        drawn = {"drawn": 0, "spent": 0} if banked else {}
        outcome = answered.outcome.model_copy(update=drawn)
        self.watch.note(Answered(answered.done, answered.total, outcome))
        return self.line

    @property
    def line(self) -> str:
        return self._told.getvalue().splitlines()[-1]


def test_one_batch_tells_its_samples_and_is_nearly_done_when_they_are() -> None:
    """Though no question has ended for an hour, and then all do: time goes by samples."""
    watched = Watched(10)
    watched.draw(0, 40, 0)
    watched.draw(1800, 40, 20)
    assert watched.line == "0/10  20 of 40 samples so far, 0 tokens/s"
    watched.draw(1320, 40, 39)
    assert (
        watched.answer(0) == "1/10  39 of 40 samples so far, 0 tokens/s, 80 s left  majority@4/m 1.000 (0.21 to 1.00)"
    )


def test_what_the_bank_gives_says_nothing_of_the_time_that_samples_take() -> None:
    """Half of the questions come at once, and the clock starts with the first draw; no time is told before."""
    watched = Watched(20)
    for _ in range(10):
        line = watched.answer(0.01, banked=True)
    assert line.startswith("10/20  all from the bank  ")
    watched.draw(5, 8, 0)
    watched.draw(10, 8, 8)
    watched.answer(0)
    assert watched.answer(10).startswith("12/20  8 of 8 samples so far, 4 tokens/s, 80 s left")


def test_an_engine_elsewhere_is_measured_by_its_outcomes() -> None:
    """It tells of no samples before; the time after the last free question counts."""
    watched = Watched(10)
    for _ in range(4):
        watched.answer(100, banked=True)
    assert "4 of 4 samples so far, 4 tokens/s, 50 s left" in watched.answer(10)
