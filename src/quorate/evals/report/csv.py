"""The report's figures as CSV, numbers unrounded, for anybody's own analysis."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from ..measures import SystemResult
from ..statistics import Estimate
from .data import QuestionRow, ReportData
from .systems import name_curve

__all__ = ["csv_files"]

ENDS = ("accuracy", "low", "high")
SYSTEMS = (
    *("system", *ENDS, "pass@1", "pass@k", "k", "samples", "tokens", "prompt_tokens", "cost", "seconds"),
    *("tokens_per_second", "ensembled", "agreement"),
)
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""With what a cell begins that a spreadsheet runs (OWASP, CSV injection)."""
BLANK = " \u00a0\u3000\ufeff"
"""What some drop before they look."""
QUESTIONS = ("id", "family", "gold", "samples", "right", "abstained", "classes", "agreement", "tokens", "top_answer")


def csv_files(data: ReportData) -> dict[str, str]:
    """CSV by file name."""
    asked = [f"right: {s.name}" for s in data.systems]
    return {
        "summary.csv": _csv((*SYSTEMS, "errors", "degraded", "replayed", "pareto"), map(_system, data.systems)),
        "pairs.csv": _csv(
            ("tokens", "a", "b", "difference", "low", "high", "p", "p_holm", "note"),
            (
                (tokens, c.a, c.b, c.difference, c.low, c.high, c.p, c.adjusted, c.note)
                for tokens, pairs in (("equal", data.equal), ("as run", data.pairs))
                for c in pairs
            ),
        ),
        "curves.csv": _csv(
            ("group", "aggregator", "k", "tokens", *ENDS),
            ((c.group, name_curve(c), p.k, p.tokens, *_ends(p.accuracy)) for c in data.curves for p in c.points),
        ),
        "questions.csv": _csv((*QUESTIONS, *asked), map(_question, data.rows)),
    }


def _system(s: SystemResult) -> Sequence[Any]:
    single, oracle = (None if e is None else e.value for e in (s.pass_1, s.pass_k))
    spent = (s.samples, s.tokens, s.prompt_tokens, s.cost, s.seconds)
    told = s.ensembling
    agreement = "; ".join(f"{model} {value}" for model, value in told.agreement.items()) if told else None
    together = (s.tokens_per_second, told.share if told else None, agreement)
    return (
        s.name,
        *_ends(s.accuracy),
        single,
        oracle,
        s.k,
        *spent,
        *together,
        s.errors,
        s.degraded,
        s.replayed,
        " ".join(s.fronts),
    )


def _question(row: QuestionRow) -> Sequence[Any]:
    counts = (row.samples, row.right, row.abstained, len(row.classes), row.agreement, row.tokens)
    return row.id, row.cluster, row.gold, *counts, row.classes[0].answer if row.classes else None, *row.credit


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(map(_cell, head))
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """The value; text that a spreadsheet would run as a formula is quoted as text."""
    if isinstance(value, str) and value.lstrip(BLANK)[:1] in FORMULA and not _is_number(value):
        return "'" + value
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
