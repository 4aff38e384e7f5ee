"""What was measured of a system and of a difference between two, from the outcomes of pipelines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from pydantic import Field

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput

from ..outcome import Outcome
from ..records import UNITS, AnswerRecord, Spent, Unit
from ..statistics import LEVEL, Estimate, Result, compare_paired, holm, mean_interval, pass_at_k

CUTS_TOLD = 0.02
"""Share of cut candidates that is worth a word."""


class Ensembled(Result):
    """What several models decided on the tokens of all answers of one pipeline."""

    share: float
    """Tokens that were chosen from the mixture of all models, as part of all tokens of the answers."""
    agreement: Mapping[str, float]
    """By verifier, the part of the drafted tokens that it looked at which were its own first choice."""


class SystemResult(Result):
    """One system over all questions: a pipeline that was asked, or a rule on recorded samples.

    Tokens, money and seconds are means per question, as if the system ran alone; None where nobody knows.
    """

    name: str
    accuracy: Estimate
    """Share of right final answers; a question without an answer counts as wrong."""
    pass_1: Estimate | None = Field(default=None, serialization_alias="pass@1")
    """Chance that one of its candidates, taken at random, is right."""
    pass_k: Estimate | None = Field(default=None, serialization_alias="pass@k")
    """Chance that any of its candidates is right: the ceiling of every way to choose among them."""
    k: int = 0
    """Candidates of the question that had most; fewer where sampling stopped early."""
    samples: float | None = None
    """Candidates, mean per question."""
    cut: float = 0.0
    """Share of its candidates that ran into the limit on their length."""
    tokens: float | None = None
    """Generated."""
    prompt_tokens: float | None = None
    spent: float | None = None
    """Generated tokens that its run really drew for it: less than `tokens` where samples were in the
    bank or an earlier pipeline of the run had drawn them."""
    cost: float | None = None
    """Money; None without prices."""
    seconds: float | None = None
    """From asking to the answer under the load of the run; samples from the bank count as long as they took."""
    tokens_per_second: float | None = None
    """Of one answer: its tokens over the seconds from asking to the last one, over all candidates and under the load
    of the run, which writes many at once; None where times are unknown."""
    ensembling: Ensembled | None = None
    """What models that write together decided together; None where none do."""
    errors: int = 0
    """Questions without an answer."""
    degraded: int = 0
    """Questions where something did not go as configured although there was an answer."""
    error: str | None = None
    """Why the first of the failed questions has no answer."""
    questions: int
    replayed: bool = False
    """A rule on recorded samples, and no pipeline that was asked."""
    fronts: tuple[Unit, ...] = ()
    """Of what it is on the Pareto front: no other system is as accurate for less of it."""


class Comparison(Result):
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
    note: str = ""
    """What was done to bring the two to equal tokens, or why that could not be."""

    @property
    def at_odds(self) -> bool:
        """Whether interval and test disagree: with few families they can, and the test is the one to trust."""
        return (self.low > 0 or self.high < 0) != (self.p < 1 - LEVEL)


def measure_pipeline(name: str, outcomes: Sequence[Outcome]) -> SystemResult:
    """What one pipeline's outcomes, at least one, amount to."""
    samples = [o.samples or (o.correct,) for o in outcomes]
    clusters = [o.cluster for o in outcomes]
    costs = [o.cost for o in outcomes if o.cost is not None]
    failures = [o.error for o in outcomes if o.error is not None]
    drawn = sum(map(len, samples))
    return SystemResult(
        name=name,
        accuracy=mean_interval([float(o.correct) for o in outcomes], clusters=clusters),
        pass_1=mean_interval([pass_at_k(len(s), sum(s), 1) for s in samples], drawn, clusters),
        pass_k=mean_interval([pass_at_k(len(s), sum(s), len(s)) for s in samples], clusters=clusters),
        k=max(map(len, samples)),
        samples=fmean(len(o.samples) for o in outcomes),
        cut=sum(o.cut for o in outcomes) / max(1, sum(len(o.samples) for o in outcomes)),
        tokens=fmean(o.tokens for o in outcomes),
        prompt_tokens=fmean(o.prompt_tokens for o in outcomes),
        spent=fmean(o.spent for o in outcomes),
        cost=sum(costs) / len(outcomes) if costs else None,
        seconds=fmean(o.seconds for o in outcomes),
        tokens_per_second=tokens_per_second(outcomes),
        ensembling=measure_ensembling(outcomes),
        errors=len(failures),
        degraded=sum(bool(o.degraded) for o in outcomes),
        error=failures[0].message if failures else None,
        questions=len(outcomes),
    )


def explain_cuts(systems: Sequence[SystemResult]) -> tuple[str, ...]:
    """A warning where candidates ran into the limit on their length: such texts say less than the model could."""
    worst = max(systems, key=lambda system: system.cut, default=None)
    if worst is None or worst.cut < CUTS_TOLD:
        return ()
    return (
        f"{100 * worst.cut:.0f} % of the candidates of {worst.name} were cut off at their greatest length, so the "
        "figures are of texts that were not at their end: raise --max-tokens.",
    )


def compare_pairs(
    credit: Mapping[str, Sequence[float]], clusters: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> tuple[Comparison, ...]:
    """Compares pairs of systems on the same questions, with Holm's correction over these pairs.

    Args:
        credit: of each system, how right it was on each question.
        clusters: the family of each question; an empty name is a family of its own.
        pairs: names of systems.
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


def measure_ensembling(outcomes: Sequence[Outcome]) -> Ensembled | None:
    """Of one pipeline's outcomes; None where no models wrote together."""
    parts = [o.together for o in outcomes if o.together is not None]
    if not parts:
        return None
    judged, agreed = Counter[str](), Counter[str]()
    for part in parts:
        judged.update(part.judged)
        agreed.update(part.agreed)
    return Ensembled(
        share=sum(part.ensembled for part in parts) / max(1, sum(part.tokens for part in parts)),
        agreement={model: agreed[model] / count for model, count in judged.items() if count},
    )


def tokens_per_second(outcomes: Sequence[Outcome]) -> float | None:
    """How fast one answer came, over all candidates of one pipeline; None where their times are unknown."""
    seconds = sum(o.writing for o in outcomes)
    return sum(o.written for o in outcomes) / seconds if seconds > 0 else None


class Point(Result):
    """A system by what it costs and what it reaches."""

    name: str
    cost: float
    """Tokens, money or seconds a question: the same for all points."""
    accuracy: float


def pareto(points: Iterable[Point]) -> tuple[Point, ...]:
    """Those that no other point reaches at the same cost or less, cheapest first; equals all stay."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.accuracy, p.name)):
        best = front[-1] if front else None
        if best is None or point.accuracy > best.accuracy or (point.cost, point.accuracy) == (best.cost, best.accuracy):
            front.append(point)
    return tuple(front)


def mark_fronts(systems: Iterable[SystemResult]) -> tuple[SystemResult, ...]:
    """The systems with their fronts; one that is never right is on none."""
    these = tuple(systems)
    on: dict[str, tuple[Unit, ...]] = {}
    for unit in UNITS:
        known = [(s, Spent(s.tokens, s.cost, s.seconds).by(unit)) for s in these if s.accuracy.value > 0]
        points = [Point(name=s.name, cost=cost, accuracy=s.accuracy.value) for s, cost in known if cost is not None]
        if len(points) == len(known):
            on |= {point.name: (*on.get(point.name, ()), unit) for point in pareto(points)}
    return tuple(s.model_copy(update={"fronts": on.get(s.name, ())}) for s in these)


class Spread(Result):
    """How one quantity is distributed over questions."""

    total: float
    mean: float
    median: float
    p95: float
    most: float


class Spending(Result):
    """What one pipeline took, as if it ran alone; a failed question counts with what it took."""

    questions: int
    tokens: Spread
    """Generated."""
    prompt_tokens: Spread
    cost: Spread | None
    """Money; None where a question has no price."""
    seconds: Spread
    """From asking to the answer, under the load of the run."""


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value; quantiles are interpolated linearly."""
    if not values:
        raise BadInput("nothing was spent: give at least one question")
    np = numpy()
    median, p95 = np.quantile(values, [0.5, 0.95])
    total = float(sum(values))
    return Spread(total=total, mean=total / len(values), median=float(median), p95=float(p95), most=float(max(values)))


def measure_spending(outcomes: Sequence[Outcome]) -> Spending:
    """Of one pipeline's outcomes.

    Raises:
        BadInput: there are none.
    """
    prices = [o.cost for o in outcomes if o.cost is not None]
    return Spending(
        questions=len(outcomes),
        tokens=spread([o.tokens for o in outcomes]),
        prompt_tokens=spread([o.prompt_tokens for o in outcomes]),
        cost=spread(prices) if len(prices) == len(outcomes) else None,
        seconds=spread([o.seconds for o in outcomes]),
    )


def token_spending(records: Sequence[AnswerRecord]) -> Spread | None:
    """Tokens of all recorded answers to a question; None where they were not recorded."""
    spent = [s for record in records if (s := record.count_tokens(len(record))) is not None]
    return spread(spent) if spent and len(spent) == len(records) else None
