"""What a vote over N samples reaches, also beyond the pilot.

Up to the pilot's number it is the unbiased estimate over subsets. Beyond, the increments come from the
chances of the answers of each question: that of the right one, of its strongest rival, and of the rest.
The few samples of one question do not tell them (a Dirichlet posterior of each question by itself was
four to eight points too low on AIME25), but all questions together tell how the chances are distributed:
nonparametric maximum likelihood on a grid (Kiefer and Wolfowitz, 1956; by EM). A vote falls with N on the
questions whose rival is likelier than the right answer.

Not known of: second rivals, which are counted to the rest; the rest never wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from quorate.orchestrator.errors import BadInput

from ..measures.curves import maj_at_k
from ..records import AnswerRecord
from ..statistics import require

STEPS = 24
"""Of the grid of chances, on each side."""
REST = 1.0
"""How many answers the rest is made of, roughly: the concentration of Ewens' partition."""
ROUNDS = 300
Shape = tuple[int, tuple[int, ...], int]


class Profiles:
    """How the chances of right answer and strongest rival are distributed over questions.

    Args:
        records: a pilot; one sample a question is possible but tells little.

    Raises:
        BadInput: there are no questions, or one without samples.
        MissingExtra: scipy is not installed.
    """

    def __init__(self, records: Sequence[AnswerRecord]) -> None:
        require()
        import numpy as np

        if not records or not all(map(len, records)):
            raise BadInput("a plan needs at least one question with samples")
        side = (1 - np.cos(np.linspace(0, np.pi, STEPS + 1))) / 2  # closer near 0 and 1
        right, rival = (axis.ravel() for axis in np.meshgrid(side, side, indexing="ij"))
        inside = right + rival <= 1 + 1e-9
        self.right, self.rival = right[inside], rival[inside]
        shapes = [_shape(record) for record in records]
        self._kinds = list(dict.fromkeys(shapes))
        place = {shape: i for i, shape in enumerate(self._kinds)}
        self._kind = np.array([place[shape] for shape in shapes])
        logs = np.stack([self._log_likelihood(shape) for shape in self._kinds])
        self._likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
        self.shares = self.fit_shares()

    def fit_shares(self, weights: Any = None, rounds: int = ROUNDS) -> Any:
        """Share of questions at each point of the grid, for questions that count so often each.

        Later fits start from the first, so they take fewer rounds.
        """
        import numpy as np

        many = np.bincount(self._kind, weights, minlength=len(self._kinds)).astype(float)
        likelihood, many = self._likelihood[many > 0], many[many > 0] / many.sum()
        start = getattr(self, "shares", None)
        shares = np.full(len(self.right), 1 / len(self.right)) if start is None else 0.99 * start + 0.01 / len(start)
        for _ in range(rounds):
            shares = shares * ((many / (likelihood @ shares)) @ likelihood)
        return shares / shares.sum()

    def accuracies(self, n: int) -> Any:
        """Chance that n votes are right, at each point of the grid; ties are shared."""
        import numpy as np
        from scipy.stats import binom

        both = self.right + self.rival
        split = np.divide(self.right, both, out=np.zeros_like(both), where=both > 0)
        votes = np.arange(1, n + 1)[:, None]
        half = votes // 2
        won = binom.sf(half, votes, split) + np.where(votes % 2 == 0, binom.pmf(half, votes, split) / 2, 0.0)
        return (binom.pmf(votes, n, np.minimum(both, 1.0)) * won).sum(axis=0)

    def coverages(self, n: int) -> Any:
        """Chance that one of n samples is right, at each point of the grid."""
        return 1 - (1 - self.right) ** n

    def _log_likelihood(self, shape: Shape) -> Any:
        """Of one question's votes at each point: any wrong answer may be the rival, or none of those seen."""
        import numpy as np
        from scipy.special import gammaln, logsumexp, xlogy

        right, wrong, samples = shape
        rest = np.maximum(1 - self.right - self.rival, 0.0)
        options = []
        for rival, times in [*Counter(wrong).items(), (0, 1)]:
            others = list(wrong)
            if rival:
                others.remove(rival)
            partition = len(others) * np.log(REST) + gammaln(others).sum() if others else 0.0
            partition += gammaln(REST) - gammaln(REST + sum(others))
            chance = xlogy(rival, self.rival) + xlogy(samples - right - rival, rest)
            options.append(chance + partition + np.log(times))
        return np.maximum(xlogy(right, self.right) + logsumexp(options, axis=0), -1e6)


def vote_curve(records: Sequence[AnswerRecord], ns: Sequence[int]) -> list[float]:
    """Expected accuracy of a vote over each number of samples.

    Raises:
        BadInput: there is nothing to plan from, or a number is below 1.
    """
    if min(ns, default=0) < 1:
        raise BadInput("a vote needs at least one sample")
    pilot = max(map(len, records), default=0)
    profiles = Profiles(records)
    known = {k: fmean(maj_at_k(r, min(k, len(r))) for r in records) for k in {*(n for n in ns if n < pilot), pilot}}
    anchor = float(profiles.accuracies(pilot) @ profiles.shares)
    return [
        known[n]
        if n <= pilot
        else min(1.0, max(0.0, known[pilot] + float(profiles.accuracies(n) @ profiles.shares) - anchor))
        for n in ns
    ]


def _shape(record: AnswerRecord) -> Shape:
    """Right votes, those of each wrong answer, and samples: abstentions are of the rest."""
    wrong = Counter(c for c, right in zip(record.classes, record.right, strict=True) if c is not None and not right)
    return sum(record.right), tuple(sorted(wrong.values(), reverse=True)), len(record)
