"""Two systems on open questions: a judge prefers one answer of each pair by a rubric, in both orders.

Such verdicts are only as good as the judge (`quality`), and known to favour length and the judge's own family. So the
judge must be of another family than the writers, and the length is audited: beside the plain share stands the one at
equal length, from a logistic regression of the points on the difference of the lengths, as length-controlled
AlpacaEval has it (Dubois et al., arXiv 2404.04475, section 3, without its terms for models and instructions).
"""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp
from statistics import fmean, pstdev

from quorate.aggregators.synthesis.material import visible_answer
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.identity import Identity
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Candidate, SamplingParams
from quorate.prompts import Prompt, load

from ..statistics import Estimate, Result, mean_interval, require
from .asking import Asker

RUBRIC = "What is said is true; it answers what was asked, wholly; it is clear, and says nothing needless."
"""Where nothing else is given."""
NORMAL = 1.959964
"""Standard errors of a two-sided interval at level 0.95."""


@dataclass(frozen=True)
class OpenPair:
    """The answers of two systems to one question."""

    item: str
    question: str
    a: str
    b: str
    cluster: str = ""


class RubricComparison(Result):
    """Whose answers a judge prefers by a rubric; intervals are over questions, or families of them."""

    judge: str
    a: str
    b: str
    rubric: str
    questions: int
    same: int
    """Questions that both answered alike, word for word: ties that nobody was asked about."""
    preferred: Estimate
    """Points of a: the mean of both orders, ties half; .5 where neither is better."""
    at_equal_length: Estimate | None
    """The same at equal length; None where the lengths do not vary or the fit has no end."""
    consistent: float | None
    """Share of the asked pairs with the same verdict in both orders."""
    first: float | None
    """Points of the response shown first; .5 without bias."""
    longer: float | None
    """Points of the longer response."""
    words_a: float
    words_b: float
    """Mean length of an answer."""
    verdicts: int
    missing: int
    """Verdicts that could not be read, asked twice; they count as ties."""
    tokens: float
    """Generated for a verdict, in the mean."""
    notes: tuple[str, ...] = ()


def family_of(model: Identity | str) -> str:
    """The family of a model: what it says itself, else the word that its name begins with, such as `qwen`."""
    if isinstance(model, Identity) and model.family:
        return model.family
    name = (model if isinstance(model, str) else model.model).rsplit("/", 1)[-1].lower()
    found = re.search(r"[^\W\d_]+", name)
    return found[0] if found else name


async def compare_by_rubric(
    judge: Model,
    pairs: Iterable[OpenPair],
    *,
    a: str = "a",
    b: str = "b",
    rubric: str = RUBRIC,
    limit: int | None = None,
    seed: int = 0,
    sampling: SamplingParams | None = None,
    concurrency: int = 8,
) -> RubricComparison:
    """Asks a judge about two systems' answers: two verdicts a question.

    Args:
        judge: a model or a pipeline, of another family than the writers (`family_of`).
        pairs: the answers; empty ones lose to those with words.
        a, b: the systems' names.
        rubric: what makes an answer better.
        limit: questions, drawn by the seed; all of them if not given.
        seed: draws questions and seeds the judge.
        sampling: the judge's settings; `JUDGE_SAMPLING` if not given.
        concurrency: requests at a time.

    Raises:
        BadInput: there are no pairs, or the rubric is empty.
        NoAnswer: the judge gave no verdict at all.
        MissingExtra: scipy or statsmodels is not installed.
    """
    require()
    asked = sorted(pairs, key=lambda pair: pair.item)
    random.Random(seed).shuffle(asked)
    asked = asked[:limit]
    if not asked:
        raise BadInput(f"no question was answered by both {a} and {b}")
    if not rubric.strip():
        raise BadInput("the rubric is empty: say what makes an answer better")
    asker = Asker(judge, seed, sampling, concurrency)
    prompt = load("rubric")
    found = await gather([_compare(asker, pair, prompt, rubric) for pair in asked])
    if asker.verdicts:
        asker.check()
    return _summarize(asker, asked, found, (a, b, rubric))


@dataclass(frozen=True)
class _Verdicts:
    """Of one pair; points are those of the answer shown first, None where there was no verdict or nobody asked."""

    there: float | None
    back: float | None
    points: float
    """Of a."""


async def _compare(asker: Asker, pair: OpenPair, prompt: Prompt, rubric: str) -> _Verdicts:
    one, other = (Candidate(index=i, model="", agent="", text=text) for i, text in enumerate((pair.a, pair.b)))
    said = visible_answer(one), visible_answer(other)
    if said[0] == said[1] or not all(said):
        return _Verdicts(None, None, 0.5 if bool(said[0]) == bool(said[1]) else float(bool(said[0])))
    there, back = await gather([
        asker.prefer(prompt, pair.question, one, other, f"rubric.there.{pair.item}", rubric=rubric),
        asker.prefer(prompt, pair.question, other, one, f"rubric.back.{pair.item}", rubric=rubric),
    ])  # fmt: skip
    return _Verdicts(there, back, ((0.5 if there is None else there) + 1 - (0.5 if back is None else back)) / 2)


def _summarize(
    asker: Asker, pairs: Sequence[OpenPair], found: Sequence[_Verdicts], names: tuple[str, str, str]
) -> RubricComparison:
    clusters = [pair.cluster for pair in pairs]
    words = [(len(pair.a.split()), len(pair.b.split())) for pair in pairs]
    points = [one.points for one in found]
    both = [(one.there, one.back) for one in found if one.there is not None and one.back is not None]
    longer = [
        p if x > y else 1 - p for (x, y), p, one in zip(words, points, found, strict=True)
        if x != y and one.there is not None
    ]  # fmt: skip
    alike = sum(pair.a.split() == pair.b.split() for pair in pairs)
    return RubricComparison(
        judge=asker.judge.name,
        a=names[0],
        b=names[1],
        rubric=names[2],
        questions=len(pairs),
        same=alike,
        preferred=mean_interval(points, clusters=clusters),
        at_equal_length=_at_equal_length([x - y for x, y in words], points),
        consistent=_mean([float(there == 1 - back) for there, back in both]),
        first=_mean([(there + back) / 2 for there, back in both]),
        longer=_mean(longer),
        words_a=fmean(x for x, _ in words),
        words_b=fmean(y for _, y in words),
        verdicts=asker.verdicts,
        missing=asker.missing,
        tokens=asker.tokens if asker.verdicts else 0.0,
        notes=tuple(asker.notes("ties")),
    )


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _at_equal_length(gaps: Sequence[int], points: Sequence[float]) -> Estimate | None:
    """Points of a where both are equally long: sigma of the intercept of points on tanh(gap / its spread)."""
    import numpy as np
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    spread = pstdev(gaps)
    if spread == 0 or len(set(points)) == 1:
        return None
    terms = np.column_stack([np.ones(len(gaps)), np.tanh(np.asarray(gaps) / spread)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fit = GLM(np.asarray(points), terms, family=Binomial()).fit(cov_type="HC1")
        except (Warning, ValueError, np.linalg.LinAlgError):  # one order of lengths decides all, so no fit has an end
            return None
    middle, error = float(fit.params[0]), float(fit.bse[0])
    low, value, high = (
        1 / (1 + exp(-max(-50.0, min(50.0, x)))) for x in (middle - NORMAL * error, middle, middle + NORMAL * error)
    )
    return Estimate(value=value, low=low, high=high)
