"""Markdown, CSV and PNG beside the page, and the command that writes them."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quorate.cli import app
from quorate.evals.measures import Ensembled
from quorate.evals.report.collect import collect
from quorate.evals.report.data import ReportData
from quorate.evals.report.files import markdown_report, write_report
from quorate.evals.report.page import render_page
from quorate.orchestrator.errors import BadInput
from tests.evals.report.example import EVIL, filled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")

    async def fill() -> None:
        (await filled(path)).close()

    asyncio.run(fill())
    return path


@pytest.fixture(scope="module")
def data() -> ReportData:
    async def gathered() -> ReportData:
        with await filled(None) as bank:
            return await collect(bank)

    return asyncio.run(gathered())


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", "report", *arguments])
    error = f"{result.exception}" if result.exception else ""
    return result.exit_code, f"{result.output}\n{error}"


def test_the_command_writes_page_markdown_tables_and_pictures(folder: Path) -> None:
    """Into DIR/report, every file named in its JSON."""
    code, output = said(str(folder), "--json")
    assert code == 0
    found = json.loads(output)
    names = [Path(file).name for file in found["files"]]
    assert names[0] == "index.html"
    assert {"report.md", "summary.csv", "pairs.csv", "curves.csv", "questions.csv"} < set(names)
    for picture in ("accuracy.png", "scaling.png", "cost.png"):
        assert (folder / "report" / picture).read_bytes().startswith(b"\x89PNG")
    assert (found["questions"], found["samples"], found["complete"]) == (13, 52, True)


def test_people_are_told_the_finding_and_where_the_page_is(folder: Path, tmp_path: Path) -> None:
    """And pictures can be left out."""
    code, output = said(str(folder), "--out", str(tmp_path), "--no-pictures")
    assert code == 0
    assert "majority@4/m answers 100.0 % of 13 questions right" in output
    assert "index.html" in output
    assert not list(tmp_path.glob("*.png"))


def test_the_same_data_give_the_same_files(data: ReportData, tmp_path: Path) -> None:
    """Byte for byte, pictures included."""
    first, second = write_report(data, tmp_path / "a"), write_report(data, tmp_path / "b")
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert not re.search(rb"Software|Creation Time", (tmp_path / "a" / "cost.png").read_bytes())


def test_csv_has_unrounded_numbers_and_no_formulas(data: ReportData, tmp_path: Path) -> None:
    """A spreadsheet runs nothing of what an answer says; negative numbers stay numbers."""
    from quorate.evals.report.csv import _cell

    write_report(data, tmp_path, pictures=False)
    rows = table(tmp_path / "summary.csv")
    assert float(rows[0]["accuracy"]) == data.systems[0].accuracy.value
    assert [row["tokens"] for row in table(tmp_path / "pairs.csv")] == ["as run"] * 3
    questions = table(tmp_path / "questions.csv")
    assert len(questions) == 13
    assert questions[12]["family"] == EVIL
    assert [_cell(v) for v in ("-3", "+1e5", "plain", "a=b", 7)] == ["-3", "+1e5", "plain", "a=b", 7]
    for evil in ("=1+1", "@x", "-3+cmd|' /C calc'!A0", "+x", "\t=1", "\r=1", "\n=1", " =1", "\ufeff=1", "＝1+1"):
        assert _cell(evil) == f"'{evil}"


def test_models_that_write_together_have_columns_of_their_own(data: ReportData, tmp_path: Path) -> None:
    """In Markdown, CSV and on the page; where nobody does, only the CSV has them, and empty."""
    first, *others = data.systems
    told = Ensembled(share=0.0625, agreement={"v": 0.875})
    pair = replace(data, systems=(first.model_copy(update={"ensembling": told, "tokens_per_second": 12.5}), *others))
    assert "| 12.5 | 0.062 | 0.875 |" in markdown_report(pair)
    for text in ("12.5", "0.062", "0.875", "Ensembled:"):
        assert text in render_page(pair)
    for plain in (markdown_report(data), render_page(data)):
        assert "Ensembled:" not in plain
        assert "tokens/s" not in plain
    write_report(pair, tmp_path, pictures=False)
    [row, *rest] = table(tmp_path / "summary.csv")
    assert (row["tokens_per_second"], row["ensembled"], row["agreement"]) == ("12.5", "0.0625", "v 0.875")
    assert {other["ensembled"] for other in rest} == {""}


def test_markdown_escapes_what_would_break_it(data: ReportData) -> None:
    """Tags and cell ends in names and settings are text, and every table has even rows."""
    text = markdown_report(replace(data, equal=data.pairs), ("cost.png",))
    assert "At equal tokens" in text
    assert "<img" not in text
    assert "![cost](cost.png)" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().split("\n")}) == 1


def test_wrong_folders_are_refused_with_what_to_do(tmp_path: Path) -> None:
    """No folder, an empty one, one of an earlier version, a foreign file, a cut bank."""
    assert "no such folder" in said(str(tmp_path / "none"))[1]
    assert "holds no bank.sqlite" in said(str(tmp_path))[1]
    old = tmp_path / "old"
    old.mkdir()
    (old / "samples.jsonl").write_text("{}\n")
    assert "eval bank import" in said(str(old))[1]
    (tmp_path / "bank.sqlite").write_text("hello" * 1000)
    code, output = said(str(tmp_path))
    assert code != 0
    assert "bank.sqlite" in output


def test_a_truncated_bank_is_one_line(folder: Path, tmp_path: Path) -> None:
    """It names the file and what saves the rest."""
    whole = (folder / "bank.sqlite").read_bytes()
    (tmp_path / "bank.sqlite").write_bytes(whole[: len(whole) // 2])
    code, output = said(str(tmp_path))
    assert code != 0
    assert "broken or cut off" in output


def test_a_place_that_cannot_be_written_is_told(data: ReportData, tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "report").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        write_report(data, tmp_path / "report", pictures=False)


def test_a_bank_is_not_changed_by_a_report(folder: Path, tmp_path: Path) -> None:
    """Its samples, grades and runs stay as they are."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = (copy / "bank.sqlite").read_bytes()
    assert said(str(copy), "--no-pictures")[0] == 0
    assert (copy / "bank.sqlite").read_bytes() == before
