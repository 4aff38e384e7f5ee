"""The files of a report: one HTML page, and the same figures as Markdown, CSV and PNG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from quorate.orchestrator.errors import BadInput

from ..measures import Comparison, SystemResult
from .csv import csv_files
from .data import ReportData
from .formatting import (
    TOGETHER,
    describe_finding,
    format_agreement,
    format_difference,
    format_interval,
    format_money,
    format_number,
    format_p,
    format_share,
    verdict,
)
from .page import render_page
from .systems import name_curve

__all__ = ["markdown_report", "write_report"]


def write_report(data: ReportData, folder: Path, *, pictures: bool = True) -> list[Path]:
    """Writes all files; returns them, the page first. The same data give the same bytes.

    Args:
        pictures: PNG files as well.

    Raises:
        BadInput: the folder cannot be written.
        MissingExtra: pictures need matplotlib.
    """
    drawn: dict[str, bytes] = {}
    if pictures:
        from .pictures import draw_pictures

        drawn = draw_pictures(data)
    texts = {"index.html": render_page(data), "report.md": markdown_report(data, tuple(drawn)), **csv_files(data)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            # Halves of surrogate pairs, which no file can hold, become question marks.
            (folder / name).write_bytes(text.encode("utf-8", "replace"))
        for name, content in drawn.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise BadInput(f"{folder}: the report cannot be written: {error.strerror}") from error
    return [folder / name for name in (*texts, *drawn)]


def markdown_report(data: ReportData, pictures: Sequence[str] = ()) -> str:
    """The tables, the curves' figures and the facts; pictures are linked by their file names."""
    parts = [f"# {_safe(data.title)}", _safe(describe_finding(data))]
    if not data.complete:
        parts.append("**Cut short:** the run ended before its last question.")
    parts += [f"> {_safe(note)}" for note in data.notes]
    parts += [_systems(data), *_pairs(data), *(f"![{name.removesuffix('.png')}]({name})" for name in pictures)]
    parts += [*_curves(data), *_facts(data)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _systems(data: ReportData) -> str:
    rows = [[*_system(s), *(_together(s) if data.has_ensembles else ()), str(s.errors)] for s in data.systems]
    more = ("tokens/s", "ensembled", "agreement") if data.has_ensembles else ()
    head = ("system", "accuracy", "95 % interval", "pass@1", "pass@k", "samples", "tokens", "cost", "seconds")
    note = (
        f"{len(data.rows):,} questions. Intervals: {data.interval}. Samples, tokens, cost, seconds: means per question."
    )
    note += f" {TOGETHER}" if data.has_ensembles else ""
    return f"{_table((*head, *more, 'errors'), rows)}\n\n{note}" if rows else note


def _system(s: SystemResult) -> Sequence[str]:
    single = format_share(s.pass_1.value) if s.pass_1 else ""
    oracle = f"{format_share(s.pass_k.value)} (k={s.k})" if s.pass_k else ""
    spent = (format_number(s.samples, 1), format_number(s.tokens), format_money(s.cost), format_number(s.seconds, 2))
    return s.name, format_share(s.accuracy.value), format_interval(s.accuracy), single, oracle, *spent


def _together(s: SystemResult) -> Sequence[str]:
    speed, told = format_number(s.tokens_per_second, 1), s.ensembling
    return (speed, format_share(told.share), format_agreement(told.agreement)) if told else (speed, "", "")


def _pairs(data: ReportData) -> list[str]:
    if not data.pairs:
        return []
    head = ("difference", "accuracy", "95 % interval", "p", "p, Holm", "verdict")
    parts = ["## Paired comparisons"]
    if data.equal:
        rows = [(*_pair(c), c.note) for c in data.equal]
        parts += ["**At equal tokens**", _table((*head, "how"), rows), "**As they ran**"]
    return [*parts, _table(head, map(_pair, data.pairs)), f"On the same questions; {data.test}."]


def _pair(c: Comparison) -> Sequence[str]:
    between = f"{format_difference(c.low)} to {format_difference(c.high)}"
    return f"{c.a} − {c.b}", format_difference(c.difference), between, format_p(c.p), format_p(c.adjusted), verdict(c)


def _curves(data: ReportData) -> list[str]:
    parts = ["## Scaling"] if data.curves else []
    for group, found in groupby(data.curves, key=lambda curve: curve.group):
        curves = list(found)
        rows = []
        for points in zip(*(curve.points for curve in curves), strict=True):
            cells = [f"{format_share(p.accuracy.value)} ({format_interval(p.accuracy)})" for p in points]
            rows.append((str(points[0].k), format_number(points[0].tokens), *cells))
        parts += [f"**{_safe(group)}**", _table(("k", "tokens", *(name_curve(c) for c in curves)), rows)]
    return parts


def _facts(data: ReportData) -> list[str]:
    return (
        ["## Run facts", _table(("", "", ""), [(f.group, f.name, f.value) for f in data.facts])] if data.facts else []
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_safe(str(cell)) for cell in line) + " |" for line in lines)


def _safe(text: str) -> str:
    """Text in which nothing is taken for a cell's end, a new line or HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
