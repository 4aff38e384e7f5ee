"""Nothing that a model says acts on the terminal of who reads it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table

import quorate.cli
from quorate.aggregators.markup import CONTROLS
from quorate.cli.console import SafeConsole, echo, print_json
from quorate.cli.show import print_answer
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation

HOSTILE = "a\x1b[2Jb\x1b]0;owned\x07c\x9b31md\x7f\u202eevil\u2066\r\x08"
HARMLESS = "a[2Jb]0;ownedc31mdevil"
OWN = re.compile(r"\x1b\[[0-9;]*m")
"""Rich's own styles."""


def shown(console: SafeConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return OWN.sub("", console.file.getvalue())


@pytest.mark.parametrize("terminal", [True, False])
def test_only_the_consoles_own_styles_are_left(terminal: bool) -> None:
    """In lines and in tables, on a terminal and in a pipe, from where it may go to a terminal."""
    console = SafeConsole(file=io.StringIO(), force_terminal=terminal, width=80)
    console.print(HOSTILE, markup=False)
    table = Table("[bold]one[/]", "two")
    table.add_row(escape(HOSTILE), "|")
    console.print(table)
    assert shown(console).count(HARMLESS) == 2
    assert CONTROLS.search(shown(console)) is None
    [row] = [line for line in shown(console).splitlines() if line.count(HARMLESS) and "|" in line]
    assert len({len(line) for line in shown(console).splitlines()[1:]}) == 1, "nothing is displaced"
    assert HARMLESS in row


@given(st.text())
def test_no_text_gets_a_control_through(text: str) -> None:
    """Whatever it is."""
    console = SafeConsole(file=io.StringIO(), force_terminal=True)
    console.print(text, markup=False)
    assert CONTROLS.search(shown(console)) is None


def test_plain_lines_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors repeat what servers said; JSON keeps every character, escaped."""
    echo(f"error: {HOSTILE}")
    assert capsys.readouterr().out == f"error: {HARMLESS}\n"
    print_json({"text": HOSTILE})
    out = capsys.readouterr().out
    assert CONTROLS.search(out) is None
    assert json.loads(out) == {"text": HOSTILE}


def test_an_answer_is_shown_without_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Its text, its tally, its samples and what was degraded."""
    candidate = Candidate(index=0, model=HOSTILE, agent="m", text=HOSTILE, answer=HOSTILE, finish_reason="stop")
    tally = (Cluster(answer=HOSTILE, votes=1, weight=1.0, voters=(0,)),)
    note = Degradation(code="unsure", where=HOSTILE, detail=HOSTILE)
    print_answer(Answer.of(candidate, tally=tally, candidates=(candidate,), degraded=(note,)))
    out = capsys.readouterr().out
    assert "ownedc31md" in out
    assert CONTROLS.search(out) is None


def test_the_command_line_prints_in_no_other_way() -> None:
    """Consoles and plain lines come from the one module."""
    for path in Path(quorate.cli.__file__).parent.rglob("*.py"):
        if path.name != "console.py":
            found = re.findall(r"(?<!Safe)\bConsole\(|\btyper\.echo\(|(?<![\w.])print\(", path.read_text("utf-8"))
            assert found == [], path
