"""The advice: how many samples to buy for a vote and for an oracle, with the interval.

For an oracle, coverage F(N) = F_max (1 - (1 - p)^N), the chance that one of N samples is right (TTSPM, arXiv
2505.20522), is fitted to the unbiased pass@k of a pilot; it says nothing of what a vote makes of the samples.

Intervals resample families of questions (questions, where no families are known), each time fitting
both curves anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from operator import itemgetter
from statistics import fmean
from typing import Any, Generic, TypeVar

from quorate.aggregators.votes.arrays import numpy
from quorate.orchestrator.errors import BadInput

from ..measures.agreement import EffectiveVotes, measure_effective_votes
from ..measures.curves import at_k, clusters_of, sizes
from ..records import AnswerRecord
from ..statistics import LEVEL, Estimate, Result, families, require
from .voting import Profiles

T = TypeVar("T")

MOST = 256
"""Samples up to which the vote is looked at."""
RESAMPLES = 200
EPSILON = 0.001
"""Gain of one more sample below which it is not worth it, a share of questions."""
ROUNDS = 40
"""Of a resample's fit, which starts from that of the pilot."""


class Coverage(Result):
    """F(N) = f_max (1 - (1 - p)^N)."""

    f_max: float
    """Share of questions that enough samples solve."""
    p: float
    """Chance of one sample on those."""
    misfit: float
    """Root of the mean squared distance from the pilot's pass@k; one p for all questions rarely fits well."""

    def at(self, samples: float) -> float:
        """F(N)."""
        return float(self.f_max * (1 - (1 - self.p) ** samples))

    def worth(self, epsilon: float) -> int:
        """N*: samples after which the next one adds less than epsilon; at least 1.

        ceil(ln(epsilon / (f_max p)) / ln(1 - p)), TTSPM's equation for the marginal gain.
        """
        if self.p >= 1 or self.f_max * self.p <= epsilon:
            return 1
        return max(1, ceil(log(epsilon / (self.f_max * self.p)) / log(1 - self.p) - 1e-9))


def fit_coverage(curve: Sequence[tuple[int, float]]) -> Coverage:
    """The coverage curve nearest to these (k, pass@k), by scipy's bounded least squares.

    Raises:
        BadInput: there are fewer than two points.
        MissingExtra: scipy is not installed.
    """
    require()
    import numpy as np
    from scipy.optimize import least_squares

    if len(curve) < 2:
        raise BadInput("a coverage curve needs a pilot with at least 2 samples a question")
    k, reached = np.array([n for n, _ in curve], float), np.array([value for _, value in curve])
    if reached[-1] <= 0:
        return Coverage(f_max=0.0, p=0.0, misfit=0.0)

    def gaps(x: Any) -> Any:
        return x[0] * (1 - (1 - x[1]) ** k) - reached

    start = [min(1.0, float(reached[-1])), min(max(float(reached[0] / reached[-1]), 1e-3), 1 - 1e-6)]
    found = least_squares(gaps, start, bounds=([0.0, 1e-9], [1.0, 1.0]))
    f_max, p = (float(value) for value in found.x)
    return Coverage(f_max=f_max, p=p, misfit=sqrt(float(np.mean(found.fun**2))))


class PlannedVote(Result):
    """What a vote over so many samples would reach."""

    samples: int
    accuracy: Estimate
    coverage: Estimate
    """Chance that any of them is right."""
    tokens: float | None
    """A question in the mean."""
    measured: bool
    """From the pilot itself; else carried beyond it."""


class Stop(Result):
    """How many samples to buy, with the interval over resampled pilots."""

    samples: int
    low: int
    high: int


class Plan(Result):
    """What a pilot says about buying samples of a model."""

    model: str
    questions: int
    pilot: int
    """Samples of the question that had most."""
    short: int
    """Questions with fewer: where sampling stopped early, or the run has not come so far."""
    epsilon: float
    """What a sample must add, a share of questions."""
    coverage: Coverage
    f_max: Estimate
    p: Estimate
    n_star: Stop
    """TTSPM's own advice, from its coverage curve: after so many the next sample adds less than epsilon."""
    oracle: Stop
    """For whoever can tell the right answer, such as a verifier: most coverage less epsilon a sample."""
    vote: Stop
    """For a vote: the number with the most accuracy less epsilon a sample."""
    best: int
    """The number with the highest accuracy of the vote."""
    falls: bool
    """More votes than `best` do harm."""
    curve: tuple[PlannedVote, ...]
    beyond: bool
    """The advice lies beyond the pilot: buy some more and plan again."""
    effective: EffectiveVotes | None
    """How many independent voters the pilot's samples amount to; None where none of them errs."""


def plan(
    records: Sequence[AnswerRecord],
    *,
    model: str = "",
    epsilon: float = EPSILON,
    most: int = MOST,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Plan:
    """What a pilot says about buying samples of a model.

    Args:
        records: questions with one sample only are left out.
        epsilon: share of questions that a sample must add to be worth buying. From a price: that of
            one sample over what a whole accuracy (from 0 to 1) is worth.
        most: samples up to which the vote is looked at.

    Raises:
        BadInput: no question has 2 samples, or epsilon is not above 0.
        MissingExtra: scipy is not installed.
    """
    records = [record for record in records if len(record) > 1]  # one sample tells nothing of a vote
    pilot = _check_pilot(records, epsilon, most)
    ns, tokens = _grid(most), _tokens(records)
    coverages, both = _Coverages(records), _Curves(records, ns)
    units = families(clusters_of(records) or [record.id for record in records], len(records))
    weights = [None, *_resample(units, seed, resamples)]
    fits = _Resampled([coverages.fit(weight) for weight in weights])
    votes, solved = map(_Resampled, zip(*map(both.at, weights), strict=True))
    vote, best = votes.stop(lambda curve: _worth(ns, curve, epsilon)), int(votes.pilot.round(4).argmax())
    return Plan(
        model=model,
        questions=len({record.id for record in records}),
        pilot=pilot,
        short=sum(len(record) < pilot for record in records),
        epsilon=epsilon,
        coverage=fits.pilot,
        f_max=fits.estimate(lambda fit: fit.f_max),
        p=fits.estimate(lambda fit: fit.p),
        n_star=fits.stop(lambda fit: fit.worth(epsilon)),
        oracle=solved.stop(lambda curve: _worth(ns, curve, epsilon)),
        vote=vote,
        best=ns[best],
        falls=bool(votes.pilot[best] - votes.pilot[-1] > 0.001),
        curve=tuple(
            PlannedVote(
                samples=n,
                accuracy=votes.estimate(itemgetter(i)),
                coverage=solved.estimate(itemgetter(i)),
                tokens=None if tokens is None else tokens * n,
                measured=n <= pilot,
            )
            for i, n in enumerate(ns)
        ),
        beyond=vote.samples > pilot,
        effective=measure_effective_votes(records),
    )


def _check_pilot(records: Sequence[AnswerRecord], epsilon: float, most: int) -> int:
    """Most samples of a question."""
    pilot = max(map(len, records), default=0)
    if pilot < 2:
        raise BadInput("a plan needs a pilot with at least 2 samples a question; run with majority@8 or more first")
    if not epsilon > 0 or most < 2:
        raise BadInput(f"epsilon={epsilon:g}, most={most}: needs epsilon above 0 and at least 2 samples")
    return pilot


@dataclass(frozen=True)
class _Resampled(Generic[T]):
    """Something of the pilot, which comes first, and of each resample of its questions."""

    each: Sequence[T]

    @property
    def pilot(self) -> T:
        """As the questions are."""
        return self.each[0]

    def estimate(self, figure: Callable[[T], float]) -> Estimate:
        """A figure of it, with its interval."""
        value, (low, high) = float(figure(self.pilot)), self._quantiles(figure, "linear")
        return Estimate(value=value, low=min(float(low), value), high=max(float(high), value))

    def stop(self, advice: Callable[[T], int]) -> Stop:
        """A number of samples, with its interval."""
        samples, (low, high) = advice(self.pilot), self._quantiles(advice, "inverted_cdf")
        return Stop(samples=samples, low=min(int(low), samples), high=max(int(high), samples))

    def _quantiles(self, figure: Callable[[T], float], method: Any) -> Any:
        tail = (1 - LEVEL) / 2
        return numpy().quantile([figure(one) for one in self.each[1:]], [tail, 1 - tail], method=method)


class _Coverages:
    """Coverage of the pilot under any weights of its questions."""

    def __init__(self, records: Sequence[AnswerRecord]) -> None:
        self._ks = sizes(max(map(len, records)))
        self._passes = numpy().array([at_k(records, "pass", k).credits for k in self._ks])

    def fit(self, weights: Any) -> Coverage:
        reached = numpy().average(self._passes, axis=1, weights=weights)
        return fit_coverage([(k, float(value)) for k, value in zip(self._ks, reached, strict=True)])


class _Curves:
    """Vote and coverage under any weights of the questions: measured up to the pilot, carried on beyond."""

    def __init__(self, records: Sequence[AnswerRecord], ns: Sequence[int]) -> None:
        self._profiles = Profiles(records)
        self._vote = _carry_on(records, "plurality", ns, self._profiles.accuracies)
        self._coverage = _carry_on(records, "pass", ns, self._profiles.coverages)

    def at(self, weights: Any) -> tuple[Any, Any]:
        """The two curves; of the pilot as it is without weights."""
        shares = self._profiles.shares if weights is None else self._profiles.fit_shares(weights, ROUNDS)
        coverage = self._coverage(weights, shares)
        return numpy().minimum(self._vote(weights, shares), coverage), coverage


def _carry_on(
    records: Sequence[AnswerRecord], aggregator: str, ns: Sequence[int], modelled: Callable[[int], Any]
) -> Callable[[Any, Any], Any]:
    """A curve of weights and of the profiles' shares; only gains beyond the pilot are modelled."""
    np = numpy()
    pilot = max(map(len, records))
    known = np.array([at_k(records, aggregator, n).credits for n in ns if n <= pilot])
    last, start = np.array(at_k(records, aggregator, pilot).credits), modelled(pilot)
    gains = np.array([modelled(n) - start for n in ns if n > pilot]).reshape(-1, len(start))

    def curve(weights: Any, shares: Any) -> Any:
        carried = np.average(last, weights=weights) + gains @ shares
        return np.concatenate([np.average(known, axis=1, weights=weights), np.clip(carried, 0.0, 1.0)])

    return curve


def _tokens(records: Sequence[AnswerRecord]) -> float | None:
    """Of one sample of each question, mean over questions."""
    spent = [s for record in records if (s := record.count_tokens(len(record))) is not None]
    return fmean(s / len(r) for s, r in zip(spent, records, strict=True)) if len(spent) == len(records) else None


def _grid(most: int) -> list[int]:
    """1 to 8, then ever wider steps."""
    ns, step = list(range(1, min(most, 8) + 1)), 16
    while step <= most:
        ns += [step * 3 // 4, step]
        step *= 2
    return sorted({*ns, most})


def _resample(units: Sequence[int], seed: int, resamples: int) -> Any:
    """How often each question counts in each resample of families."""
    np = numpy()
    count = len(set(units))
    drawn = np.random.default_rng(seed).multinomial(count, [1 / count] * count, resamples)
    return drawn[:, np.asarray(units)].astype(float)


def _worth(ns: Sequence[int], curve: Any, epsilon: float) -> int:
    """The number with the most accuracy less epsilon a sample: none beyond it pays for itself."""
    net = [round(float(value) - epsilon * n, 9) for n, value in zip(ns, curve, strict=True)]
    return ns[net.index(max(net))]
