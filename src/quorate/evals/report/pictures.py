"""PNG files for papers and slides, drawn by matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from quorate.orchestrator.errors import MissingExtra

from ..measures import Curve, SystemResult
from .data import ReportData
from .systems import is_ceiling, name_curve

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#6a5acd", "#e69f00", "#56b4e9", "#4d5560")
"""Those of the page: after Okabe and Ito, apart for every kind of colour vision."""
MARKERS = "osD^vP*X"
DPI = 160


def draw_pictures(data: ReportData) -> dict[str, bytes]:
    """PNG by file name: `accuracy.png`, `scaling.png`, `cost.png`, as far as there is something to draw.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise MissingExtra("eval", "the pictures of a report (--no-pictures leaves them out)") from error
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True}
    with rc_context({**look, "grid.color": "#dde2e8", "axes.axisbelow": True, "text.parse_math": False}):
        drawn = {"accuracy.png": _draw_accuracy(data.systems), "scaling.png": _draw_scaling(data.curves)}
        drawn["cost.png"] = _draw_cost(data.systems)
        return {name: content for name, content in drawn.items() if content is not None}


def _draw_accuracy(systems: Sequence[SystemResult]) -> bytes | None:
    if not systems:
        return None
    figure, axes = _figure(0.6 + 0.34 * len(systems))
    for i, s in enumerate(reversed(systems)):
        error = [[s.accuracy.value - s.accuracy.low], [s.accuracy.high - s.accuracy.value]]
        axes.errorbar(s.accuracy.value, i, xerr=error, fmt="o", color=COLOURS[0], capsize=3)
    axes.set_yticks(range(len(systems)), [_brief(s.name) for s in reversed(systems)])
    axes.set_xlabel("accuracy, 95 % interval")
    return _png(figure)


def _draw_scaling(curves: Sequence[Curve]) -> bytes | None:
    groups = list(dict.fromkeys(curve.group for curve in curves))[: len(COLOURS)]
    if not groups:
        return None
    figure, axes = _figure(3.4)
    for curve in curves:
        if curve.group not in groups:
            continue
        colour = COLOURS[groups.index(curve.group)]
        ks, marks = [p.k for p in curve.points], [p.accuracy for p in curve.points]
        label = f"{_brief(curve.group)}: {name_curve(curve)}" if len(groups) > 1 else name_curve(curve)
        style = (
            {"linestyle": "--", "marker": "", "alpha": 0.7} if is_ceiling(curve) else {"marker": "o", "markersize": 4}
        )
        axes.plot(ks, [m.value for m in marks], color=colour, label=label, **style)
        axes.fill_between(ks, [m.low for m in marks], [m.high for m in marks], color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    ticks = sorted({p.k for curve in curves for p in curve.points})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set(xlabel="samples a question (k)", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _draw_cost(systems: Sequence[SystemResult]) -> bytes | None:
    known = [s for s in systems if s.tokens]
    if not known:
        return None
    figure, axes = _figure(3.4)
    front = sorted((s.tokens or 0.0, s.accuracy.value) for s in known if "tokens" in s.fronts)
    axes.plot(*zip(*front, strict=True), color="#8b95a1", linestyle=":", zorder=1) if len(front) > 1 else None
    for i, s in enumerate(known):
        error = [[s.accuracy.value - s.accuracy.low], [s.accuracy.high - s.accuracy.value]]
        look = {"fmt": MARKERS[i % len(MARKERS)], "color": COLOURS[i % len(COLOURS)], "capsize": 2}
        axes.errorbar(s.tokens, s.accuracy.value, yerr=error, label=_brief(s.name), **look)
    spread = max(s.tokens or 0.0 for s in known) / min(s.tokens or 1.0 for s in known)
    axes.set_xscale("log" if spread > 3 else "linear")
    axes.set(xlabel="generated tokens a question", ylabel="accuracy")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _brief(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:28]}…{name[-15:]}"


def _figure(height: float) -> tuple[Any, Any]:
    # Not pyplot, which keeps every figure and needs a display's backend.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.add_subplot()


def _png(figure: Any) -> bytes:
    """Without the drawing library's name in it, so that the same figure has the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()
