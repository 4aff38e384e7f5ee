"""How numbers are written, and the one sentence that a report begins with."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from ..measures.results import Comparison, SystemResult
from ..statistics import Estimate

if TYPE_CHECKING:
    from .data import ReportData

TOGETHER = (
    "Tokens/s: those of one answer over the seconds from asking to its last token, beside all else that ran. "
    "Ensembled: share of its tokens that all models chose together. "
    "Agreement: share of the drafted tokens that were a verifier's first choice."
)
"""What stands below figures of models that write together."""
NBSP = "\N{NO-BREAK SPACE}"
CLEAR = 0.05
"""Adjusted p below which a difference is called one."""


def format_share(value: float) -> str:
    """An accuracy: three digits."""
    return f"{value:.3f}"


def format_interval(estimate: Estimate) -> str:
    """Its two ends."""
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def format_agreement(by_verifier: Mapping[str, float]) -> str:
    """A share, or those of several verifiers by name."""
    if len(by_verifier) == 1:
        return format_share(*by_verifier.values())
    return ", ".join(f"{name} {format_share(value)}" for name, value in by_verifier.items())


def format_difference(value: float) -> str:
    """A difference: three digits, with a true minus."""
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def format_number(value: float | None, digits: int = 0) -> str:
    """With thousands marked; a dash where there is none."""
    return "\N{EN DASH}" if value is None or not isfinite(value) else f"{value:,.{digits}f}"


def format_money(value: float | None) -> str:
    """Three significant digits, since prices per question are small."""
    if value is None:
        return "\N{EN DASH}"
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"


def format_p(value: float) -> str:
    """As papers write it."""
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def verdict(pair: Comparison) -> str:
    """Which of two is better, in words that claim no more than the test."""
    if pair.adjusted >= CLEAR:
        return "no clear difference"
    return f"{pair.a if pair.difference > 0 else pair.b} is better"


def describe_finding(data: ReportData) -> str:
    """What the best system reaches, and how surely that is more than the cheapest."""
    ranked = sorted(data.systems, key=lambda s: (-s.accuracy.value, s.tokens or 0.0))
    if not ranked:
        return ""
    best = ranked[0]
    said = f"{best.name} answers {_percent(best.accuracy.value)} of {best.questions:,} questions right"
    said += f" (95 % interval {100 * best.accuracy.low:.1f} to {100 * best.accuracy.high:.1f})"
    answering = [s for s in ranked if s.accuracy.value > 0] or ranked
    cheap = min(answering, key=lambda s: (s.samples or 0.0, s.tokens or 0.0))
    pair = next((p for p in data.pairs if {p.a, p.b} == {best.name, cheap.name}), None)
    return f"{said}{_more(best, cheap, pair)}." if pair else f"{said}."


def _more(best: SystemResult, cheap: SystemResult, pair: Comparison) -> str:
    sign = 1 if pair.a == best.name else -1
    gain = 100 * sign * pair.difference
    times = f" for {best.tokens / cheap.tokens:.1f} times the tokens" if best.tokens and cheap.tokens else ""
    clear = "" if pair.adjusted < CLEAR else ", a difference that these questions cannot tell from chance"
    p = format_p(pair.adjusted)
    p = p if p.startswith("<") else f"= {p}"
    return f", {gain:.1f} points more than {cheap.name}{times} ({f'p {p}'.replace(' ', NBSP)}){clear}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
