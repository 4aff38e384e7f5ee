"""What an evaluation found, as values, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from pydantic import Field

from quorate.orchestrator.types import Frozen

from ..measures import Ensembled, ensembled, tokens_per_second
from ..outcome import Outcome
from ..statistics import LEVEL, Estimate, compare_paired, holm, mean_interval, pass_at_k
from .words import TOGETHER, agreement

__all__ = [
    "Comparison",
    "EvalResult",
    "PipelineResult",
    "comparisons",
    "markdown",
    "summarize",
    "tables",
    "written_together",
]


class PipelineResult(Frozen):
    """One pipeline over all questions; tokens, money and seconds are means per question."""

    name: str
    accuracy: Estimate
    """Share of right final answers; a question without an answer counts as wrong."""
    pass_1: Estimate = Field(serialization_alias="pass@1")
    """Chance that one of its candidates, taken at random, is right."""
    pass_k: Estimate = Field(serialization_alias="pass@k")
    """Chance that any of its candidates is right: the ceiling of every way to choose among them."""
    k: int
    """Candidates of the question that had most; fewer where sampling stopped early."""
    samples: float
    """Candidates, mean per question."""
    tokens: float
    """Generated tokens, as if the pipeline ran alone."""
    prompt_tokens: float
    """Prompt tokens, as if the pipeline ran alone."""
    spent: float
    """Generated tokens that this run really drew for the pipeline: less than `tokens` where samples were in the
    bank or an earlier pipeline of the run had drawn them."""
    cost: float | None
    """Money as if the pipeline ran alone, None without prices."""
    seconds: float
    """From asking to the answer under the load of the run; samples from the bank count as long as they took."""
    tokens_per_second: float | None
    """Of one answer: its tokens over the seconds from asking to the last one, over all candidates and under the load
    of the run, which writes many at once; None where times are unknown."""
    ensembling: Ensembled | None
    """What models that write together decided together; None where none do."""
    errors: int
    """Questions without an answer."""
    degraded: int
    """Questions where something did not go as configured although there was an answer."""
    error: str | None = None
    """Why the first of the failed questions has no answer."""


class Comparison(Frozen):
    """Accuracy of a minus that of b, over the same questions."""

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    """Two-sided: exact McNemar, or where questions come in families its exchange of whole families."""
    adjusted: float
    """The same after Holm's correction over all pairs."""
    test: str = "mcnemar"
    """`mcnemar` or `exchange`."""

    @property
    def at_odds(self) -> bool:
        """Whether interval and test disagree: with few families they can, and the test is the one to trust."""
        return (self.low > 0 or self.high < 0) != (self.p < 1 - LEVEL)


class EvalResult(Frozen):
    """Everything that one evaluation found."""

    task: str
    tier: str | None
    questions: int
    """Questions that every pipeline was asked."""
    seed: int
    complete: bool
    """False where the run ended before its last question."""
    pipelines: tuple[PipelineResult, ...]
    comparisons: tuple[Comparison, ...]
    """All pairs, in the given order."""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What `quorate eval run --json` prints; numbers to six significant digits."""
        rounded: dict[str, Any] = _rounded(self.model_dump(mode="json", by_alias=True))
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
    return EvalResult(
        task=task,
        tier=tier,
        questions=len(done),
        seed=seed,
        complete=len(done) == expected,
        pipelines=tuple(_summary(name, [q[name] for q in done]) for name in pipelines),
        comparisons=comparisons(
            {name: [float(q[name].correct) for q in done] for name in pipelines},
            [next(iter(q.values())).cluster for q in done],
            list(combinations(pipelines, 2)) if pairs is None else pairs,
        ),
        notes=tuple(notes),
    )


def comparisons(
    credit: Mapping[str, Sequence[float]], clusters: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[Comparison, ...]:
    """Compares pairs of systems on the same questions, with Holm's correction over these pairs.

    Args:
        credit: of each system, how right it was on each question.
        clusters: the family of each question; an empty name is a family of its own.
    """
    found = [compare_paired(credit[a], credit[b], clusters) for a, b in pairs]
    return tuple(
        Comparison(
            a=a,
            b=b,
            difference=pair.difference,
            low=pair.low,
            high=pair.high,
            p=pair.p,
            adjusted=adjusted,
            test=pair.test,
        )
        for (a, b), pair, adjusted in zip(pairs, found, holm([pair.p for pair in found]), strict=True)
    )


def _summary(name: str, outcomes: Sequence[Outcome]) -> PipelineResult:
    samples = [o.samples or (o.correct,) for o in outcomes]
    clusters = [o.cluster for o in outcomes]
    costs = [o.cost for o in outcomes if o.cost is not None]
    failures = [o.error for o in outcomes if o.error is not None]
    drawn = sum(map(len, samples))
    return PipelineResult(
        name=name,
        accuracy=mean_interval([float(o.correct) for o in outcomes], clusters=clusters),
        pass_1=mean_interval([pass_at_k(len(s), sum(s), 1) for s in samples], drawn, clusters),
        pass_k=mean_interval([pass_at_k(len(s), sum(s), len(s)) for s in samples], clusters=clusters),
        k=max(map(len, samples)),
        samples=fmean(len(o.samples) for o in outcomes),
        tokens=fmean(o.tokens for o in outcomes),
        prompt_tokens=fmean(o.prompt_tokens for o in outcomes),
        spent=fmean(o.spent for o in outcomes),
        cost=sum(costs) / len(outcomes) if costs else None,
        seconds=fmean(o.seconds for o in outcomes),
        tokens_per_second=tokens_per_second(outcomes),
        ensembling=ensembled(outcomes),
        errors=len(failures),
        degraded=sum(bool(o.degraded) for o in outcomes),
        error=failures[0].message if failures else None,
    )


def tables(result: EvalResult) -> list[tuple[list[str], list[list[str]]]]:
    """The result for people: heads and rows of one table of pipelines and, for several, one of pairs."""
    together = written_together(result)
    more = ["tokens/s", "ensembled", "agreement"] if together else []
    head = ["pipeline", "accuracy", "95 % interval", "pass@1", "pass@k", "tokens", "spent", "seconds", *more, "errors"]
    rows = [
        [
            p.name,
            f"{p.accuracy.value:.3f}",
            f"{p.accuracy.low:.3f} to {p.accuracy.high:.3f}",
            f"{p.pass_1.value:.3f}",
            f"{p.pass_k.value:.3f} (k={p.k})",
            f"{p.tokens:,.0f}",
            f"{p.spent:,.0f}",
            f"{p.seconds:.2f}",
            *(_together(p) if together else ()),
            str(p.errors),
        ]
        for p in result.pipelines
    ]
    pairs = [
        [f"{c.a} - {c.b}", f"{c.difference:+.3f}", f"{c.low:+.3f} to {c.high:+.3f}", f"{c.p:.2g}", f"{c.adjusted:.2g}"]
        for c in result.comparisons
    ]
    both = [(head, rows), (["difference", "accuracy", "95 % interval", "p", "p, Holm"], pairs)]
    return both if pairs else both[:1]


def written_together(result: EvalResult) -> bool:
    """Whether models of some pipeline write together, token by token, so that there is more to tell."""
    return any(p.ensembling is not None for p in result.pipelines)


def _together(found: PipelineResult) -> Sequence[str]:
    speed = "" if found.tokens_per_second is None else f"{found.tokens_per_second:,.1f}"
    told = found.ensembling
    return (speed, "", "") if told is None else (speed, f"{told.share:.3f}", agreement(told.agreement))


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
    if written_together(result):
        lines.append(f"\n{TOGETHER}")
    return "\n".join([*lines, *(f"\n{note}" for note in result.notes)]) + "\n"


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return float(f"{value:.6g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
    return value
