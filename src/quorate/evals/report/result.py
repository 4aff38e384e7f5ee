"""What an evaluation found, as values, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from ..measures.results import Comparison, SystemResult, compare_pairs, explain_cuts, measure_pipeline
from ..outcome import Outcome
from ..statistics import Result
from .formatting import TOGETHER, format_agreement, format_money, format_number

_NOT_OF_A_RUN = {"questions", "replayed", "fronts"}
"""Of a system, told of the whole run or of no run."""


class EvalResult(Result):
    """Everything that one evaluation found."""

    task: str
    tier: str | None
    questions: int
    """Questions that every pipeline was asked."""
    seed: int
    complete: bool
    """False where the run ended before its last question."""
    pipelines: tuple[SystemResult, ...]
    comparisons: tuple[Comparison, ...]
    """All pairs, in the given order."""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `quorate eval run --json` prints; numbers to six significant digits."""
        left_out = {"pipelines": {"__all__": _NOT_OF_A_RUN}, "comparisons": {"__all__": {"note"}}}
        rounded: dict[str, Any] = _round(self.model_dump(mode="json", by_alias=True, exclude=left_out))
        return rounded


def summarize(
    outcomes: Sequence[Outcome],
    pipelines: Sequence[str],
    *,
    task: str,
    tier: str | None,
    seed: int,
    expected: int,
    notes: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] | None = None,
) -> EvalResult:
    """The result of the questions that every pipeline was asked; there must be one at least.

    Args:
        pairs: which pipelines to compare; all with each other if not given.
    """
    asked: dict[str, dict[str, Outcome]] = {}
    for outcome in outcomes:
        asked.setdefault(outcome.item, {})[outcome.pipeline] = outcome
    done = [by_pipeline for by_pipeline in asked.values() if len(by_pipeline) == len(pipelines)]
    systems = tuple(measure_pipeline(name, [q[name] for q in done]) for name in pipelines)
    return EvalResult(
        task=task,
        tier=tier,
        questions=len(done),
        seed=seed,
        complete=len(done) == expected,
        pipelines=systems,
        comparisons=compare_pairs(
            {name: [float(q[name].correct) for q in done] for name in pipelines},
            [next(iter(q.values())).cluster for q in done],
            list(combinations(pipelines, 2)) if pairs is None else pairs,
        ),
        notes=(*explain_cuts(systems), *notes),
    )


MOST_PAIRED = 4
"""Pipelines of which every pair is shown; of more, the best one against the others."""


def tables(result: EvalResult) -> list[tuple[list[str], list[list[str]]]]:
    """The result for people: heads and rows of one table of pipelines and, for several, one of pairs."""
    together = has_ensembles(result)
    more = ["tokens/s", "ensembled", "agreement"] if together else []
    cut, priced = any(p.cut for p in result.pipelines), any(p.cost is not None for p in result.pipelines)
    head = ["pipeline", "accuracy", "95 % interval", "pass@1", "pass@k", *(["cut"] if cut else [])]
    head += ["tokens", "spent", *(["cost"] if priced else []), "seconds", *more, "errors"]
    rows = [
        [
            p.name,
            f"{p.accuracy.value:.3f}",
            f"{p.accuracy.low:.3f} to {p.accuracy.high:.3f}",
            "" if p.pass_1 is None else f"{p.pass_1.value:.3f}",
            "" if p.pass_k is None else f"{p.pass_k.value:.3f} (k={p.k})",
            *([f"{100 * p.cut:.0f} %"] if cut else []),
            format_number(p.tokens),
            format_number(p.spent),
            *([format_money(p.cost)] if priced else []),
            format_number(p.seconds, 2),
            *(_together(p) if together else ()),
            str(p.errors),
        ]
        for p in result.pipelines
    ]
    shown, first = result.comparisons, "difference"
    if len(result.pipelines) > MOST_PAIRED:
        best = max(result.pipelines, key=lambda p: p.accuracy.value).name
        shown, first = tuple(c for c in shown if best in (c.a, c.b)), "difference (p, Holm: of all pairs)"
    pairs = [
        [f"{c.a} - {c.b}", f"{c.difference:+.3f}", f"{c.low:+.3f} to {c.high:+.3f}", f"{c.p:.2g}", f"{c.adjusted:.2g}"]
        for c in shown
    ]
    both = [(head, rows), ([first, "accuracy", "95 % interval", "p", "p, Holm"], pairs)]
    return both if pairs else both[:1]


def has_ensembles(result: EvalResult) -> bool:
    """Whether models of some pipeline write together, token by token, so that there is more to tell."""
    return any(p.ensembling is not None for p in result.pipelines)


def _together(found: SystemResult) -> Sequence[str]:
    speed = "" if found.tokens_per_second is None else f"{found.tokens_per_second:,.1f}"
    told = found.ensembling
    return (speed, "", "") if told is None else (speed, f"{told.share:.3f}", format_agreement(told.agreement))


def markdown(result: EvalResult) -> str:
    """The tables as a Markdown page."""
    tier = f", tier {result.tier}" if result.tier else ""
    cut = "" if result.complete else " (ended before the last question)"
    lines = [f"# {result.task}{tier}: {result.questions} questions, seed {result.seed}{cut}", ""]
    for head, rows in tables(result):
        ruled = [head, ["---"] * len(head), *rows]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in ruled] + [""]
    lines.append(
        "Tokens are generated ones, mean per question, as if each pipeline ran alone; spent is what was drawn."
    )
    if has_ensembles(result):
        lines.append(f"\n{TOGETHER}")
    return "\n".join([*lines, *(f"\n{note}" for note in result.notes)]) + "\n"


def _round(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.6g}")
        case dict():
            return {key: _round(item) for key, item in value.items()}
        case list():
            return [_round(item) for item in value]
    return value
