"""A journal that was cut at any byte goes on from its last whole line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quorate.evals.journal import Journal
from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.types import Frozen


class Line(Frozen):
    number: int
    text: str = ""


LINES = [Line(number=1, text="one"), Line(number=22, text="zwei – äöü"), Line(number=3)]


def written(path: Path) -> bytes:
    with Journal(path, Line) as journal:
        for line in LINES:
            journal.append(line)
    return path.read_bytes()


def read(path: Path) -> tuple[list[Line], list[str]]:
    with Journal(path, Line) as journal:
        return list(journal.rows()), journal.notes


def test_rows_come_back_as_they_were_appended(tmp_path: Path) -> None:
    """In order, over several openings."""
    written(tmp_path / "j")
    with Journal(tmp_path / "j", Line) as journal:
        assert list(journal.rows()) == LINES
        journal.append(Line(number=4))
    assert read(tmp_path / "j") == ([*LINES, Line(number=4)], [])


def test_a_journal_cut_at_any_byte_keeps_its_whole_lines_and_goes_on(tmp_path: Path) -> None:
    """The torn line is dropped with a note, one that lacks only its end is kept, and appending works."""
    path = tmp_path / "j"
    whole = written(path)
    ends = [position + 1 for position, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = LINES[: sum(cut >= end - 1 for end in ends)]
        with Journal(path, Line) as journal:
            assert list(journal.rows()) == kept
            assert len(journal.notes) == (cut not in {0, *ends, *(end - 1 for end in ends)})
            journal.append(Line(number=9))
        assert read(path) == ([*kept, Line(number=9)], [])


@pytest.mark.parametrize(
    ("broken", "field"),
    [('{"number": "many"}', "number"), ('{"number": 1, "extra": 2}', "extra"), ("{", None), ("[]", None), ("", None)],
)
def test_a_broken_line_in_the_middle_is_named_and_nothing_is_touched(
    tmp_path: Path, broken: str, field: str | None
) -> None:
    """File, line and field; the file stays as it is."""
    path = tmp_path / "j"
    path.write_text(f'{{"number": 1}}\n{broken}\n{{"number": 2}}\n')
    before = path.read_bytes()
    with Journal(path, Line) as journal, pytest.raises(DataError, match=r"j:2") as raised:
        list(journal.rows())
    assert (raised.value.line, raised.value.field) == (2, field)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A folder in place of the file."""
    with pytest.raises(BadInput, match="cannot be written"):
        Journal(tmp_path, Line)


def test_a_full_disk_is_an_error_that_leaves_no_part_of_a_line(tmp_path: Path) -> None:
    """With a limit on the file's size in place of a full disk."""
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from tests.evals.test_journal import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "journal = Journal(Path(sys.argv[1]), Line)\n"
        "try:\n"
        "    for number in range(100): journal.append(Line(number=number))\n"
        "except DataError as error: print(error)\n"
    )
    path = tmp_path / "j"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, env=environment, check=True
    )
    assert "j: cannot be written" in done.stdout
    rows, notes = read(path)
    assert [row.number for row in rows] == list(range(len(rows)))
    assert rows
    assert not notes


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    """The second is told, and the first goes on."""
    with Journal(tmp_path / "j", Line) as first:
        with pytest.raises(BadInput, match="another run"):
            Journal(tmp_path / "j", Line)
        first.append(LINES[0])
    assert read(tmp_path / "j")[0] == LINES[:1]
