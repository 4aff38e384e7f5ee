"""The page: one HTML file that needs no network.

Numbers stand in the tables as HTML; charts are drawn and questions unpacked by the page's own script.
Whatever comes from outside (answers, questions, names) is either escaped by Jinja or inside a compressed
block, and the script only ever sets text, never markup. A content security policy forbids the page
every request and every script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from quorate.web import read_part

from ..measures import Comparison
from .compressed import pack
from .data import QuestionRow, ReportData
from .formatting import (
    TOGETHER,
    describe_finding,
    format_agreement,
    format_difference,
    format_interval,
    format_money,
    format_number,
    format_p,
    verdict,
)
from .systems import describe_curve, describe_system

STYLES = ("colours.css", "charts.css")
PARTS = ("draw.js", "charts.js", "plots.js")
"""Of `quorate.web`, which the server's page has, too."""
SCRIPTS = ("base.js", "list.js", "question.js", "main.js")
"""In this order they are one script, behind those parts."""
SHOWN_ANSWERS = 6
"""Classes of a question that the list knows; the question itself shows all."""
SHOWN_TEXT = 4000
"""Characters of a question that can be searched in the list."""


def render_page(data: ReportData) -> str:
    """The report as HTML; the same data give the same text."""
    style = "".join([*map(read_part, STYLES), _file("report.css")])
    script = "\n".join(['"use strict";', *map(read_part, PARTS), *map(_file, SCRIPTS)])
    html: str = _template().render(
        data=data,
        facts=[(group, list(facts)) for group, facts in groupby(data.facts, key=lambda fact: fact.group)],
        finding=describe_finding(data),
        scale=_scale(data),
        span=_span((*data.pairs, *data.equal)),
        uneven=len({s.questions for s in data.systems}) > 1,
        together=TOGETHER,
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        index=pack(_index(data)),
        charts=pack(_charts(data)),
    )
    return html


def _index(data: ReportData) -> dict[str, Any]:
    """What the list of questions needs, column by column, which compresses better than row by row."""
    return {
        "systems": [s.name for s in data.systems],
        "starts": data.details.starts,
        "clusters": data.clusters,
        "id": [row.id for row in data.rows],
        "text": [row.text[:SHOWN_TEXT] for row in data.rows],
        "gold": [row.gold for row in data.rows],
        "cluster": _places(data),
        "credit": [[_credit(row, i) for row in data.rows] for i in range(len(data.systems))],
        "classes": [
            [[c.answer[:200], c.votes, int(c.right)] for c in row.classes[:SHOWN_ANSWERS]] for row in data.rows
        ],
        "kinds": [len(row.classes) for row in data.rows],
        "samples": [row.samples for row in data.rows],
        "abstained": [row.abstained for row in data.rows],
        "right": [row.right for row in data.rows],
        "tokens": [row.tokens for row in data.rows],
        "agreement": [None if row.agreement is None else round(row.agreement, 4) for row in data.rows],
    }


def _places(data: ReportData) -> list[int]:
    place = {name: i for i, name in enumerate(data.clusters)}
    return [place.get(row.cluster, -1) for row in data.rows]


def _credit(row: QuestionRow, system: int) -> float | None:
    value = row.credit[system]
    return None if value is None else round(value, 4)


def _charts(data: ReportData) -> dict[str, Any]:
    return {
        "currency": data.currency,
        "systems": [describe_system(system) for system in data.systems],
        "curves": [describe_curve(curve) for curve in data.curves],
    }


def _scale(data: ReportData) -> tuple[float, float]:
    """The range of accuracies that the summary's bars show, rounded outwards to tenths."""
    lows, highs = [s.accuracy.low for s in data.systems], [s.accuracy.high for s in data.systems]
    if not lows:
        return 0.0, 1.0
    return int(min(lows) * 10) / 10, min(1.0, -int(-max(highs) * 10 // 1) / 10)


def _span(pairs: tuple[Comparison, ...]) -> float:
    """Half the width of the bars of differences."""
    return max((max(abs(p.low), abs(p.high)) for p in pairs), default=0.0) or 1.0


def _may_break(name: str) -> Markup:
    """A name that breaks at its separators, not inside words."""
    return Markup(re.sub(r"([/:@+_]+)", r"\1<wbr>", str(escape(name))))


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "agreement": format_agreement,
        "breakable": _may_break,
        "interval": format_interval,
        "money": format_money,
        "number": format_number,
        "p": format_p,
        "signed": format_difference,
        "percent": lambda value: f"{100 * value:.2f}",
        "verdict": verdict,
    }
    return environment.from_string(_file("report.html.jinja"))
