"""Rules: from one question's votes, as integers, to a weight for each class.

| rule | weight of a class | source |
|---|---|---|
| `Plurality` | votes | self-consistency, arXiv 2203.11171, section 2 |
| `ByModel` | sum of given weights of its voters | a prior on models |
| `LogOdds` | sum of log((K - 1) a / (1 - a)) for known accuracies a | Nitzan and Paroush 1982; one-coin form |
| `ByConfidence` | sum of softmax(score / temperature) | CISC, arXiv 2502.06233, section 3 |
| `ScoreSum` | sum of the scores | weighted vote, arXiv 2206.02336, section 3.2 |
| `Borda` | sum of (N - r + 1)^p for the candidate of rank r | arXiv 2502.18581, section 5 |
| `MajorityOfTheBests` | how often its candidates are the best of m | arXiv 2511.18630 |
| `RunOff` | votes in a second round between the two best | Run-Off Election, arXiv 2302.02300, section 3 |

A rule says how heavy each class is and nothing more. So a replay can share the credit of a tie, and a live pipeline
can draw the tie by its seed. All work on votes of one candidate and give no weights where everyone abstains. Where
scores are missing, `ByConfidence` takes the mean of the others, and `Borda` and `MajorityOfTheBests` rank them last
together; with no scores at all these are plurality. Weights that are all zero say nothing and give way to plurality
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import ceil, exp, fsum, inf, isfinite, log, sqrt
from statistics import fmean

from quorate.orchestrator.errors import BadInput

from .ballot import Ballot, Weights, leaders, sum_by_class

SURE = 1e-6
"""Accuracies are kept this far from 0 and 1, where the log-odds would be infinite."""


class Plurality:
    """Every vote weighs one."""

    name = "plurality"

    def weights(self, ballot: Ballot) -> Weights:
        return sum_by_class((ballot.class_of(i), 1.0) for i in ballot.cast)

    def values(self, scores: Sequence[float]) -> list[float]:
        return [1.0] * len(scores)


class ByModel:
    """Votes weigh what their model is worth by a prior: its accuracy elsewhere, its price, a guess.

    Args:
        priors: weight of each model.
        default: weight of a model that is not named.

    Raises:
        BadInput: a weight is negative or not finite.
    """

    name = "by-model"

    def __init__(self, priors: Mapping[str, float], *, default: float = 1.0) -> None:
        for name, weight in {**priors, "(default)": default}.items():
            if not (isfinite(weight) and weight >= 0):
                raise BadInput(f"{self.name}: weight of {name!r} is {weight}: give a finite number of at least 0")
        self.priors, self.default = dict(priors), default

    def weights(self, ballot: Ballot) -> Weights:
        votes = [(ballot.class_of(i), self.priors.get(ballot.voter(i), self.default)) for i in ballot.cast]
        return _or_plurality(sum_by_class(votes), ballot)


class LogOdds:
    """The Bayes decision for independent voters of known accuracy and wrong answers equally likely.

    Args:
        accuracies: of each model, in [0, 1]; below 1/K a vote counts against its class.
        default: accuracy of a model that is not named.
        classes: how many answers there could be; one more than were seen, at least 2, if not given.

    Raises:
        BadInput: an accuracy is outside [0, 1], or there are fewer than 2 classes.
    """

    name = "log-odds"

    def __init__(self, accuracies: Mapping[str, float], *, default: float = 0.6, classes: int | None = None) -> None:
        self.accuracies = check_accuracies({**accuracies, "(default)": default})
        if classes is not None and classes < 2:
            raise BadInput(f"{self.name}: classes={classes}: a vote needs at least 2 possible answers")
        self.classes = classes

    def weights(self, ballot: Ballot) -> Weights:
        possible = max(2, self.classes or len({ballot.class_of(i) for i in ballot.cast}) + 1)
        votes = ((ballot.class_of(i), self._weight(ballot.voter(i), possible)) for i in ballot.cast)
        return sum_by_class(votes)

    def _weight(self, voter: str, possible: int) -> float:
        accuracy = self.accuracies.get(voter, self.accuracies["(default)"])
        return log((possible - 1) * accuracy / (1 - accuracy))


class ByConfidence:
    """Votes weigh by how sure they are, relative to the others of the same question.

    Args:
        temperature: small ones trust the surest alone, large ones count votes.

    Raises:
        BadInput: the temperature is not a positive number.
    """

    name = "by-confidence"

    def __init__(self, temperature: float = 1.0) -> None:
        if not (isfinite(temperature) and temperature > 0):
            raise BadInput(f"{self.name}: temperature={temperature}: give a positive number")
        self.temperature = temperature

    def weights(self, ballot: Ballot) -> Weights:
        scores = {i: s for i in ballot.cast if (s := ballot.score(i)) is not None}
        if not scores:
            return Plurality().weights(ballot)
        values = dict(zip(scores, self.values(list(scores.values())), strict=True))
        missing = fmean(values.values())
        return sum_by_class((ballot.class_of(i), values.get(i, missing)) for i in ballot.cast)

    def values(self, scores: Sequence[float]) -> list[float]:
        """See `ScoreRule`; they sum to 1."""
        top = max(scores, default=0.0)
        raw = [exp((score - top) / self.temperature) for score in scores]
        total = fsum(raw)
        return [value / total for value in raw]


class ScoreSum:
    """Votes weigh their scores; where some are negative, all are taken relative to the lowest.

    Different from the paper, whose scores are probabilities: a sum cannot use negative ones.
    """

    name = "score-sum"

    def values(self, scores: Sequence[float]) -> list[float]:
        lowest = min(0.0, *scores) if scores else 0.0
        return [score - lowest for score in scores]


class Borda:
    """Candidates are ranked by score, and those near the top weigh more.

    Equal scores share the values of the ranks that they fill, so the order of candidates never counts.

    Args:
        power: 0 counts votes, large ones trust the first alone.

    Raises:
        BadInput: the power is negative or not finite.
    """

    name = "borda"

    def __init__(self, power: float = 0.5) -> None:
        if not (isfinite(power) and power >= 0):
            raise BadInput(f"{self.name}: power={power}: give a number of at least 0")
        self.power = power

    def weights(self, ballot: Ballot) -> Weights:
        values = self.values([ballot.score(i) for i in ballot.cast])
        return sum_by_class((ballot.class_of(i), value) for i, value in zip(ballot.cast, values, strict=True))

    def values(self, scores: Sequence[float | None]) -> list[float]:
        """What each candidate's vote weighs, by its score; None ranks last."""
        known = [-inf if score is None else score for score in scores]
        ranked = sorted(range(len(known)), key=lambda i: -known[i])
        values = [0.0] * len(known)
        for _, tied in groupby(enumerate(ranked), key=lambda place: known[place[1]]):
            group = list(tied)
            share = fmean(float(len(known) - rank) ** self.power for rank, _ in group)
            for _, i in group:
                values[i] = share
        return values


class MajorityOfTheBests:
    """Weight of a class: the probability that the best of m bootstrapped candidates is one of it.

    Best-of-N takes the candidate with the highest score, which an imperfect verifier makes a gamble; this takes
    the mode of what best-of-m gives over bootstrap subsets. With the candidates in falling order of score and N of
    them, the i-th is the best of m drawn with replacement with probability
    ((N - i + 1) / N)^m - ((N - i) / N)^m, so nothing is drawn here.

    Different from the paper: the bootstrap is exact, and m is ceil(sqrt(N)) unless given (m and N / m must both
    grow for the bootstrap to be consistent); the paper also chooses m from the data.

    Candidates of equal reward share theirs. Those without a reward are best only where no other is
    drawn; with no rewards at all this is plurality. Abstentions are not drawn.

    Args:
        m: size of the subsets; 1 is plurality, many is best-of-N.

    Raises:
        BadInput: m is below 1.
    """

    name = "majority-of-bests"

    def __init__(self, m: int | None = None) -> None:
        if m is not None and m < 1:
            raise BadInput(f"{self.name}: m={m}: a subset holds at least 1 candidate")
        self.m = m

    def weights(self, ballot: Ballot) -> Weights:
        values = self.values([ballot.score(i) for i in ballot.cast])
        return sum_by_class((ballot.class_of(i), value) for i, value in zip(ballot.cast, values, strict=True))

    def values(self, scores: Sequence[float | None]) -> list[float]:
        """How often each candidate is the best of m, by its reward; None ranks last."""
        known = [-inf if score is None else score for score in scores]
        n = len(known)
        m = self.m or ceil(sqrt(n))
        values = [0.0] * n
        above = 0
        for _, tied in groupby(sorted(range(n), key=lambda i: -known[i]), key=lambda i: known[i]):
            group = list(tied)
            below = n - above - len(group)
            for i in group:
                values[i] = (((n - above) / n) ** m - (below / n) ** m) / len(group)
            above += len(group)
        return values


class RunOff:
    """Two rounds: plurality names the two finalists, then every voter chooses between them.

    A voter is a model with all its candidates; it prefers the class that it gave more weight to (scores
    where there are any, else its own votes). One that gave neither any, or both the same, gives half a
    vote to each. Where several classes tie for a place in the final, all of them are in it, and a voter's
    vote is shared by those of them that it prefers.

    In the paper every voter ranks all classes by its logits; sampled answers rank only those they name.
    """

    name = "run-off"

    def weights(self, ballot: Ballot) -> Weights:
        first = Plurality().weights(ballot)
        finalists = set(leaders(first))
        if len(finalists) == 1:
            finalists |= set(leaders({c: w for c, w in first.items() if c not in finalists}))
        voters = sorted({ballot.voter(i) for i in range(len(ballot.classes))})
        votes = [vote for voter in voters for vote in self._second(ballot, voter, finalists)]
        return sum_by_class(votes)

    def _second(self, ballot: Ballot, voter: str, finalists: set[int]) -> list[tuple[int, float]]:
        mine = [i for i in ballot.cast if ballot.voter(i) == voter and ballot.classes[i] in finalists]
        scored = all(ballot.score(i) is not None for i in mine)
        given = sum_by_class(
            (ballot.class_of(i), (ballot.score(i) or 0.0) if scored and ballot.scores else 1.0) for i in mine
        )
        chosen = leaders(given) or sorted(finalists)
        return [(number, 1.0 / len(chosen)) for number in chosen]


def check_accuracies(accuracies: Mapping[str, float]) -> dict[str, float]:
    """Accuracies kept just inside (0, 1).

    Raises:
        BadInput: one is outside [0, 1] or not a number.
    """
    for name, accuracy in accuracies.items():
        if not 0 <= accuracy <= 1:
            raise BadInput(f"accuracy of {name!r} is {accuracy}: give a share from 0 to 1")
    return {name: min(max(a, SURE), 1 - SURE) for name, a in accuracies.items()}


def _or_plurality(weights: Weights, ballot: Ballot) -> Weights:
    return weights if any(weights.values()) else Plurality().weights(ballot)
