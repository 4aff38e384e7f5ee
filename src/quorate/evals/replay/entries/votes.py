"""Votes: plurality, weighted and learned ones, and what no vote can exceed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from quorate.aggregators.votes import (
    Ballot,
    Borda,
    ByConfidence,
    CrowdLab,
    LabelFree,
    MajorityOfTheBests,
    Rule,
    RunOff,
)
from quorate.aggregators.votes.arrays import Votes
from quorate.evals.statistics import pass_at_k
from quorate.orchestrator.errors import BadInput

from ..exact import expected_plurality
from ..records import Recorded
from ..registry import BatchEntry, Chosen, Entry, Outcome, Replayable, counts

__all__ = ["ENTRIES"]

PANEL = frozenset({"panel"})
SCORES = frozenset({"scores"})


class PassAtK:
    """The chance that a subset holds a right answer: what a perfect selector would reach."""

    name = "pass"
    summary = "pass@k: some answer of k is right; no aggregator, but the bound of all that select"
    source = "Chen et al. 2021 (arXiv 2107.03374), section 2.1"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[Recorded]) -> list[Outcome]:
        """See `Replayable`."""
        return [Outcome(float(any(one.right)), len(one), one.spent(len(one))) for one in drawn]

    def expected(self, recorded: Recorded, k: int) -> float:
        """See `Exact`."""
        return pass_at_k(len(recorded), sum(recorded.right), k)


class PluralityAtK:
    """The most frequent answer of k, over all subsets at once."""

    name = "plurality"
    summary = "the most frequent answer"
    source = "self-consistency, arXiv 2203.11171, section 2"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[Recorded]) -> list[Outcome]:
        """See `Replayable`."""
        return [Outcome(one.credit(counts(one.classes)), len(one), one.spent(len(one))) for one in drawn]

    def expected(self, recorded: Recorded, k: int) -> float:
        """See `Exact`."""
        return expected_plurality(recorded, k)


def ballot(drawn: Recorded) -> Ballot:
    """The drawn answers as votes, with scores where the bank has them."""
    return Ballot(drawn.classes, drawn.voters, drawn.columns.get("scores", ()))


def _by(rule: Rule) -> Callable[[Recorded], Chosen]:
    return lambda drawn: Chosen(rule.weights(ballot(drawn)))


def _one_coin(drawn: Sequence[Recorded]) -> list[Chosen]:
    votes = Votes.of([ballot(one) for one in drawn])
    return [Chosen(weights) for weights in votes.listed(votes.one_coin())]


def _dawid_skene(drawn: Sequence[Recorded]) -> list[Chosen]:
    votes = Votes.of([ballot(one) for one in drawn])
    return [Chosen(weights) for weights in votes.listed(votes.dawid_skene())]


def _label_free(drawn: Sequence[Recorded]) -> list[Chosen]:
    return [Chosen(weights) for weights in LabelFree().fitted([ballot(one) for one in drawn])]


def _crowdlab(drawn: Sequence[Recorded]) -> list[Chosen]:
    number = {
        answer: found
        for one in drawn
        for answer, found in zip(one.answers, one.classes, strict=True)
        if answer is not None and found is not None
    }
    posteriors = []
    for one in drawn:
        given = one.facts["posterior"]
        if not isinstance(given, Mapping) or not all(isinstance(p, int | float) for p in given.values()):
            raise BadInput(f"crowdlab: question {one.id}: `posterior` must give each label a probability")
        posteriors.append({number[a]: float(p) for a, p in given.items() if a in number})
    rule = CrowdLab(posteriors)
    return [Chosen(weights) for weights in rule.fitted([ballot(one) for one in drawn])]


def _best_single(drawn: Sequence[Recorded]) -> list[Chosen]:
    """Looks at the labels, once: a bar for those that may not."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for one in drawn:
        for voter, right in zip(one.voters, one.right, strict=True):
            marks[voter].append(right)
    best = max(sorted(marks), key=lambda voter: sum(marks[voter]))
    said = [{v: c for v, c in zip(one.voters, one.classes, strict=True) if c is not None} for one in drawn]
    return [Chosen({classes[best]: 1.0} if best in classes else {}) for classes in said]


ENTRIES: Sequence[Replayable] = (
    PluralityAtK(),
    PassAtK(),
    Entry(
        "borda",
        "votes weighted by the rank of their score",
        "arXiv 2502.18581, section 5",
        _by(Borda()),
        needs=SCORES,
    ),
    Entry(
        "by-confidence",
        "votes weighted by a softmax of their scores",
        "CISC, arXiv 2502.06233, section 3",
        _by(ByConfidence()),
        needs=SCORES,
    ),
    Entry(
        "majority-of-bests",
        "the answer that best-of-m gives most often over bootstrapped subsets",
        "arXiv 2511.18630",
        _by(MajorityOfTheBests()),
        needs=SCORES,
    ),
    Entry("run-off", "a second round between the two best", "arXiv 2302.02300, section 3", _by(RunOff())),
    BatchEntry(
        "dawid-skene",
        "one accuracy a voter, learned from agreement",
        "Dawid and Skene 1979, one-coin form",
        _one_coin,
        needs=PANEL,
    ),
    BatchEntry(
        "dawid-skene-full",
        "error rates a voter and class, learned from agreement",
        "Dawid and Skene 1979",
        _dawid_skene,
        needs=PANEL | {"labels"},
    ),
    BatchEntry(
        "crowdlab",
        "voters and a classifier, weighted by how well each agrees",
        "arXiv 2210.06812",
        _crowdlab,
        needs=PANEL | {"labels", "posterior"},
    ),
    BatchEntry(
        "label-free",
        "abilities of voters, difficulties of questions and shared errors, learned from agreement",
        "quorate.aggregators.votes.abilities",
        _label_free,
        needs=PANEL,
    ),
    BatchEntry(
        "best-single",
        "the voter that is right most often; no aggregator, since it looks at the labels",
        "oracle",
        _best_single,
        needs=PANEL,
    ),
)
