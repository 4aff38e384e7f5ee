"""The report as Markdown, for a repository or an issue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from .data import Pair, ReportData, System
from .words import TOGETHER, agreement, finding, interval, money, number, p_value, share, signed, verdict

__all__ = ["markdown_report"]


def markdown_report(data: ReportData, pictures: Sequence[str] = ()) -> str:
    """The tables, the curves' figures and the facts; pictures are linked by their file names."""
    parts = [f"# {_safe(data.title)}", _safe(finding(data))]
    if not data.complete:
        parts.append("**Cut short:** the run ended before its last question.")
    parts += [f"> {_safe(note)}" for note in data.notes]
    parts += [_systems(data), *_pairs(data), *(f"![{name.removesuffix('.png')}]({name})" for name in pictures)]
    parts += [*_curves(data), *_facts(data)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _systems(data: ReportData) -> str:
    rows = [[*_system(s), *(_together(s) if data.together else ()), str(s.errors)] for s in data.systems]
    more = ("tokens/s", "ensembled", "agreement") if data.together else ()
    head = ("system", "accuracy", "95 % interval", "pass@1", "pass@k", "samples", "tokens", "cost", "seconds")
    note = (
        f"{len(data.rows):,} questions. Intervals: {data.interval}. Samples, tokens, cost, seconds: means per question."
    )
    note += f" {TOGETHER}" if data.together else ""
    return f"{_table((*head, *more, 'errors'), rows)}\n\n{note}" if rows else note


def _system(s: System) -> Sequence[str]:
    single = share(s.pass_1.value) if s.pass_1 else ""
    oracle = f"{share(s.pass_k.value)} (k={s.k})" if s.pass_k else ""
    spent = (number(s.samples, 1), number(s.tokens), money(s.cost), number(s.seconds, 2))
    return s.name, share(s.accuracy.value), interval(s.accuracy), single, oracle, *spent


def _together(s: System) -> Sequence[str]:
    speed, told = number(s.tokens_per_second, 1), s.ensembling
    return (speed, share(told.share), agreement(told.agreement)) if told else (speed, "", "")


def _pairs(data: ReportData) -> list[str]:
    if not data.pairs:
        return []
    head = ("difference", "accuracy", "95 % interval", "p", "p, Holm", "verdict")
    parts = ["## Paired comparisons"]
    if data.equal:
        rows = [(*_pair(c), c.note) for c in data.equal]
        parts += ["**At equal tokens**", _table((*head, "how"), rows), "**As they ran**"]
    return [*parts, _table(head, map(_pair, data.pairs)), f"On the same questions; {data.test}."]


def _pair(c: Pair) -> Sequence[str]:
    between = f"{signed(c.low)} to {signed(c.high)}"
    return f"{c.a} − {c.b}", signed(c.difference), between, p_value(c.p), p_value(c.adjusted), verdict(c)


def _curves(data: ReportData) -> list[str]:
    parts = ["## Scaling"] if data.curves else []
    for group, found in groupby(data.curves, key=lambda curve: curve.group):
        curves = list(found)
        rows = []
        for points in zip(*(curve.points for curve in curves), strict=True):
            cells = [f"{share(p.accuracy.value)} ({interval(p.accuracy)})" for p in points]
            rows.append((str(points[0].k), number(points[0].tokens), *cells))
        parts += [f"**{_safe(group)}**", _table(("k", "tokens", *(c.name for c in curves)), rows)]
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
