"""How good a judge is, on answers whose correctness is known.

Of each question that was answered both rightly and wrongly one right and one wrong answer are drawn, so that a judge
cannot win by knowing which questions are easy, and a coin has .5 everywhere. Each is scored alone; both are compared in
both orders, and once more in the first order with another seed. The pairs are asked for by the prompt that tournaments
and run-offs ask by.

Bias of position: the share of verdicts for the response that stands first; .5 without bias, as both orders are asked.
Bias of length: how often the longer of two is preferred, the mean of pairs whose right answer is the longer and of
those whose wrong answer is; .5 without bias however good the judge is and however length goes with being right.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean
from typing import Any

from quorate.aggregators.judges.model import conversation_text
from quorate.aggregators.judges.verdicts import score_form
from quorate.aggregators.synthesis.material import visible_answer
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Candidate, CandidateSet, SamplingParams
from quorate.prompts import Prompt, load

from ..statistics import Estimate, Result, mean_interval, require
from .asking import Asker, resample

MIDDLE = 5.0
"""A score above it calls an answer right; one that is missing counts as this."""
FEW = 30
"""Questions below which a note says that they are few."""


class JudgeQuality(Result):
    """What one judge made of graded answers; intervals are over questions, or families of them."""

    judge: str
    questions: int
    """Asked about; each has one right and one wrong answer."""
    left_out: int
    """Questions of the bank all of whose answers are right, or all wrong, or without words."""
    accuracy: Estimate
    """Share of the answers that it calls right or wrong as they are, each seen alone; a coin has .5."""
    mcc: Estimate | None
    """Matthews correlation of these calls with the truth; None where it calls all alike."""
    auc: Estimate
    """Chance that a right answer has a higher score than a wrong one of any question; ties count half."""
    pair_accuracy: Estimate
    """Points of the right answer of a pair, in the mean of both orders; ties count half."""
    consistent: Estimate
    """Share of the pairs with the same verdict in both orders."""
    repeated: Estimate
    """Share of the pairs with the same verdict when asked again in the same order, by another seed."""
    first: Estimate
    """Points of the response shown first; .5 without bias."""
    longer: Estimate | None
    """Points of the longer response, balanced as above; .5 without bias, None where the right answer is always the
    longer one, or never."""
    ties: float
    """Share of the verdicts on pairs."""
    verdicts: int
    missing: int
    """Verdicts that could not be read, asked twice; they count as ties, and as scores of `MIDDLE`."""
    tokens: float
    """Generated for a verdict, in the mean."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Pair:
    """A right and a wrong answer to one question."""

    item: str
    question: str
    cluster: str
    right: Candidate
    wrong: Candidate

    @property
    def longer(self) -> float:
        """1 where the right answer is the longer one, 0 where the wrong one is, .5 where they are alike."""
        one, other = (len(visible_answer(c).split()) for c in (self.right, self.wrong))
        return 0.5 if one == other else float(one > other)


@dataclass(frozen=True)
class _PairVerdicts:
    """What the judge said of one pair; points are those of the response shown first, None where it did not say."""

    scores: tuple[float, float]
    """Of the right answer and of the wrong one."""
    there: float | None
    """The right answer first."""
    again: float | None
    back: float | None
    """The wrong answer first."""

    @property
    def points(self) -> float:
        """Of the right answer."""
        return (_half(self.there) + 1 - _half(self.back)) / 2

    @property
    def consistent(self) -> bool:
        return self.there is not None and self.back is not None and self.there == 1 - self.back

    @property
    def repeated(self) -> bool:
        return self.there is not None and self.there == self.again


def _half(points: float | None) -> float:
    return 0.5 if points is None else points


async def measure_judge(
    judge: Model,
    sets: Iterable[CandidateSet],
    *,
    limit: int = 50,
    rubric: str = "",
    seed: int = 0,
    sampling: SamplingParams | None = None,
    concurrency: int = 8,
) -> JudgeQuality:
    """Asks a judge about graded answers: five verdicts a question.

    Args:
        judge: a model or a pipeline.
        sets: answers with grades, such as `Bank.sets()`; several sets of one question stand together.
        limit: questions, drawn by the seed.
        rubric: what counts where answers are scored, beyond being right.
        seed: draws questions and answers, seeds the judge and chooses the resamples.
        sampling: the judge's settings; `JUDGE_SAMPLING` if not given.
        concurrency: requests at a time.

    Raises:
        BadInput: no question was answered both rightly and wrongly, or the bank does not say what was asked.
        NoAnswer: the judge gave no verdict at all.
        MissingExtra: scipy or statsmodels is not installed.
    """
    require()
    if limit < 1:
        raise BadInput(f"limit={limit}: a judge is measured on at least 1 question")
    pairs, left_out = _draw_pairs(sets, seed)
    asked = pairs[:limit]
    asker = Asker(judge, seed, sampling, concurrency)
    score, compare = load("judge-score"), load("pairwise")
    judged = await gather([_ask(asker, pair, score, compare, rubric) for pair in asked])
    asker.check()
    return _measure(asker, asked, judged, left_out, seed)


def _draw_pairs(sets: Iterable[CandidateSet], seed: int) -> tuple[list[_Pair], int]:
    """One pair a question in an order drawn by the seed, and how many questions have none."""
    by_item: dict[tuple[str, str], list[CandidateSet]] = defaultdict(list)
    for one in sets:
        by_item[one.task, one.item].append(one)
    pairs = []
    for (task, item), some in sorted(by_item.items()):
        rng = random.Random(f"{seed} {task} {item}")
        told = [(c, right) for s in some for c, right in zip(s.candidates, s.correct, strict=True) if visible_answer(c)]
        right, wrong = ([c for c, mark in told if mark is wanted] for wanted in (True, False))
        if right and wrong:
            if not some[0].question.messages:
                raise BadInput(f"{item}: the bank does not say what was asked; import it with its questions")
            words = conversation_text(some[0].question)
            pairs.append(_Pair(f"{task}/{item}", words, some[0].cluster, rng.choice(right), rng.choice(wrong)))
    if not pairs:
        raise BadInput(
            f"none of {len(by_item)} questions has both a right and a wrong answer with words: sample more, such as "
            "majority@8, or from a model that errs"
        )
    random.Random(seed).shuffle(pairs)
    return pairs, len(by_item) - len(pairs)


async def _ask(asker: Asker, pair: _Pair, score: Prompt, compare: Prompt, rubric: str) -> _PairVerdicts:
    async def rate(one: Candidate, name: str) -> float:
        found = await asker.decide(
            score, pair.question, [one], score_form(), f"score.{name}.{pair.item}", rubric=rubric
        )
        return MIDDLE if found is None else found

    async def prefer(one: Candidate, other: Candidate, name: str) -> float | None:
        return await asker.prefer(compare, pair.question, one, other, f"pair.{name}.{pair.item}")

    right, wrong = pair.right, pair.wrong
    scores = gather([rate(right, "right"), rate(wrong, "wrong")])
    orders = gather([prefer(right, wrong, "there"), prefer(right, wrong, "again"), prefer(wrong, right, "back")])
    (first, second), (there, again, back) = await asyncio.gather(scores, orders)
    return _PairVerdicts((first, second), there, again, back)


def _measure(
    asker: Asker, pairs: Sequence[_Pair], judged: Sequence[_PairVerdicts], left_out: int, seed: int
) -> JudgeQuality:
    clusters = [pair.cluster for pair in pairs]
    scores = [one.scores for one in judged]
    auc = resample(_auc(scores), clusters, seed)
    assert auc is not None, "there are pairs"

    def mean(values: Sequence[float]) -> Estimate:
        return mean_interval(values, clusters=clusters)

    few = [f"{len(pairs)} questions say little: sample more, or raise the limit"] if len(pairs) < FEW else []

    return JudgeQuality(
        judge=asker.judge.name,
        questions=len(pairs),
        left_out=left_out,
        accuracy=mean([((j.scores[0] > MIDDLE) + (j.scores[1] <= MIDDLE)) / 2 for j in judged]),
        mcc=resample(_mcc(scores), clusters, seed),
        auc=auc,
        pair_accuracy=mean([j.points for j in judged]),
        consistent=mean([float(j.consistent) for j in judged]),
        repeated=mean([float(j.repeated) for j in judged]),
        first=mean([(_half(j.there) + _half(j.back)) / 2 for j in judged]),
        longer=resample(_balance([p.longer for p in pairs], [j.points for j in judged]), clusters, seed),
        ties=fmean(points == 0.5 for j in judged for points in (j.there, j.back)),
        verdicts=asker.verdicts,
        missing=asker.missing,
        tokens=asker.tokens,
        notes=(*asker.notes("undecided"), *few),
    )


def _auc(scores: Sequence[tuple[float, float]]) -> Callable[[Any], float]:
    """Mann and Whitney's U over the number of pairs of a right and a wrong answer, of any two questions."""
    import numpy as np

    right, wrong = np.asarray(scores).T
    above = (right[:, None] > wrong) + 0.5 * (right[:, None] == wrong)
    return lambda weights: float(weights @ above @ weights / weights.sum() ** 2)


def _mcc(scores: Sequence[tuple[float, float]]) -> Callable[[Any], float]:
    """Of calls above `MIDDLE`, with as many right as wrong answers."""
    import numpy as np

    called = np.asarray(scores).T > MIDDLE

    def correlate(weights: Any) -> float:
        hits, alarms = called @ weights
        spread = (hits + alarms) * (2 * weights.sum() - hits - alarms)
        return float((hits - alarms) / spread**0.5) if spread > 0 else nan

    return correlate


def _balance(longer: Sequence[float], points: Sequence[float]) -> Callable[[Any], float]:
    """Points of the longer response, in the mean of pairs whose right answer is the longer and of the others.

    Args:
        longer: 1 where the right answer is the longer, 0 where the wrong one is.
        points: of the right answer.
    """
    import numpy as np

    length, won = np.asarray(longer), np.asarray(points)

    def balance(weights: Any) -> float:
        right, wrong = weights * (length == 1), weights * (length == 0)
        if not right.sum() or not wrong.sum():
            return nan
        return float((right @ won / right.sum() + wrong @ (1 - won) / wrong.sum()) / 2)

    return balance
