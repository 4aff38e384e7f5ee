"""Rules that `quorate eval replay` knows by name: what they make of recorded answers, without asking anybody.

A rule of yours takes a line in `_rules`: a function from the answers that were drawn (integers, see `AnswerRecord`) to
weights of their classes. What it is and where it comes from stands in the registry of pipelines, unless it is no
pipeline:

    ReplayRule("esc", "stops at a unanimous window", "arXiv 2401.10480", choose, ordered=True)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from quorate.aggregators.stopping import SequenceRule, find_stopping_point
from quorate.aggregators.votes import Ballot, CrowdLab, LabelFree, Plurality, Rule, ScoreRule, sum_by_class
from quorate.aggregators.votes.arrays import Votes
from quorate.aggregators.votes.copies import find_copies, merge_copies
from quorate.orchestrator.errors import BadInput, UnknownName

from ..records import AnswerRecord, RecordedBank
from ..statistics import pass_at_k
from .contract import (
    BatchReplayRule,
    Replayable,
    ReplayRule,
    RuleResult,
    SubsetOutcome,
    count_classes,
    describe_rule,
)
from .subsets import expected_plurality
from .traces import trace_rules

PANEL = frozenset({"panel"})
SCORES = frozenset({"scores"})
WAVE = 5
"""Samples at a time of the stopping rules whose names end in `-waves`."""


@cache
def replay_rules() -> Mapping[str, Replayable]:
    """Every rule by name."""
    return {rule.name: rule for rule in (*_rules(), *trace_rules())}


def find_rule(name: str, bank: RecordedBank) -> Replayable:
    """The rule of this name, if the bank has what it needs.

    Raises:
        UnknownName: there is no such rule.
        BadInput: the bank lacks something; names it.
    """
    known = replay_rules()
    if name not in known:
        raise UnknownName("aggregator", name, known)
    lacking = sorted(known[name].needs - bank.has)
    if lacking:
        has = ", ".join(sorted(bank.has)) or "answers alone"
        raise BadInput(f"{name} needs {', '.join(lacking)}, which {bank.name} lacks; it has: {has}")
    return known[name]


def _rules() -> Iterator[Replayable]:
    from quorate.aggregators.stopping import ESC, AdaptiveConsistency, BestOfInfinity, LookAhead
    from quorate.aggregators.votes import Borda, ByConfidence, MajorityOfTheBests, RunOff, ScoreSum

    yield PluralityAtK()
    yield PassAtK()
    yield _pipeline_rule("borda", _by_ballot(Borda()), SCORES)
    yield _pipeline_rule("majority-of-bests", _by_ballot(MajorityOfTheBests()), SCORES)
    yield _pipeline_rule("run-off", _by_ballot(RunOff()))
    yield ReplayRule(
        "by-confidence",
        "votes weighted by a softmax of their scores",
        "CISC, arXiv 2502.06233, section 3",
        _by_ballot(ByConfidence()),
        needs=SCORES,
    )
    yield _pipeline_rule("reward-best", _best_score, SCORES)
    yield _pipeline_rule("reward-vote", _by_scores(ScoreSum()), SCORES)
    yield _pipeline_rule("reward-softmax-vote", _by_scores(ByConfidence()), SCORES)
    yield _pipeline_rule("execution", _by_behaviour, frozenset({"tests", "codes"}))
    yield from _batch_rules()
    for name, rule in (
        ("adaptive-consistency", AdaptiveConsistency()),
        ("esc", ESC(WAVE)),
        ("best-of-infinity", BestOfInfinity()),
        ("look-ahead", LookAhead()),
    ):
        summary, source = describe_rule(name)
        yield ReplayRule(name, f"{summary}; drawn singly; {rule}", source, _until(rule), ordered=True)
        if name != "esc":
            text = f"{summary}; drawn in waves of {WAVE}; {rule}"
            yield ReplayRule(f"{name}-waves", text, source, _until(rule, WAVE), ordered=True)


def _batch_rules() -> Iterator[Replayable]:
    yield BatchReplayRule(
        "dawid-skene",
        "one accuracy a voter, learned from agreement",
        "Dawid and Skene 1979, one-coin form",
        _one_coin,
        needs=PANEL,
    )
    yield BatchReplayRule(
        "dawid-skene-full",
        "error rates a voter and class, learned from agreement",
        "Dawid and Skene 1979",
        _dawid_skene,
        needs=PANEL | {"labels"},
    )
    yield BatchReplayRule(
        "crowdlab",
        "voters and a classifier, weighted by how well each agrees",
        "arXiv 2210.06812",
        _crowdlab,
        needs=PANEL | {"labels", "posterior"},
    )
    yield BatchReplayRule(
        "label-free",
        "abilities of voters, difficulties of questions and shared errors, learned from agreement",
        "quorate.aggregators.votes.abilities",
        _label_free,
        needs=PANEL,
    )
    yield BatchReplayRule(
        "plurality-once",
        "the most frequent answer, copies of a voter counted once",
        "quorate.aggregators.votes.copies",
        _plurality_once,
        needs=PANEL,
    )
    yield BatchReplayRule(
        "best-single",
        "the voter that is right most often; no aggregator, since it looks at the labels",
        "oracle",
        _best_single,
        needs=PANEL,
    )


def _pipeline_rule(
    name: str, choose: Callable[[AnswerRecord], RuleResult], needs: frozenset[str] = frozenset()
) -> ReplayRule:
    return ReplayRule(name, *describe_rule(name), choose, needs=needs)


class PassAtK:
    """The chance that a subset holds a right answer: what a perfect selector would reach."""

    name = "pass"
    summary = "pass@k: some answer of k is right; no aggregator, but the bound of all that select"
    source = "Chen et al. 2021 (arXiv 2107.03374), section 2.1"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        return [SubsetOutcome(float(any(one.right)), len(one), one.spend(len(one))) for one in drawn]

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        return pass_at_k(len(recorded), sum(recorded.right), k)


class PluralityAtK:
    """The most frequent answer of k, over all subsets at once."""

    name = "plurality"
    summary, source = "the most frequent answer", "self-consistency, arXiv 2203.11171, section 2"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        return [SubsetOutcome(one.credit(count_classes(one.classes)), len(one), one.spend(len(one))) for one in drawn]

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        return expected_plurality(recorded, k)


def _ballot(drawn: AnswerRecord) -> Ballot:
    """The drawn answers as votes, with scores where the bank has them."""
    return Ballot(drawn.classes, drawn.voters, drawn.columns.get("scores", ()))


def _by_ballot(rule: Rule) -> Callable[[AnswerRecord], RuleResult]:
    return lambda drawn: RuleResult(rule.weights(_ballot(drawn)))


def _one_coin(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
    votes = Votes.of([_ballot(one) for one in drawn])
    return [RuleResult(weights) for weights in votes.list_weights(votes.one_coin())]


def _dawid_skene(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
    votes = Votes.of([_ballot(one) for one in drawn])
    return [RuleResult(weights) for weights in votes.list_weights(votes.dawid_skene())]


def _label_free(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
    return [RuleResult(weights) for weights in LabelFree().fit_weights([_ballot(one) for one in drawn])]


def _plurality_once(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
    ballots = [_ballot(one) for one in drawn]
    return [RuleResult(Plurality().weights(one)) for one in merge_copies(ballots, find_copies(ballots))]


def _crowdlab(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
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
    return [RuleResult(weights) for weights in rule.fit_weights([_ballot(one) for one in drawn])]


def _best_single(drawn: Sequence[AnswerRecord]) -> list[RuleResult]:
    """Looks at the labels, once: a bar for those that may not."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for one in drawn:
        for voter, right in zip(one.voters, one.right, strict=True):
            marks[voter].append(right)
    best = max(sorted(marks), key=lambda voter: sum(marks[voter]))
    said = [{v: c for v, c in zip(one.voters, one.classes, strict=True) if c is not None} for one in drawn]
    return [RuleResult({classes[best]: 1.0} if best in classes else {}) for classes in said]


def _best_score(drawn: AnswerRecord) -> RuleResult:
    """Each answer weighs as much as the best of its samples."""
    best: dict[int, float] = {}
    for number, score in _list_scores(drawn):
        best[number] = max(score, best.get(number, score))
    return RuleResult(best)


def _by_scores(rule: ScoreRule) -> Callable[[AnswerRecord], RuleResult]:
    def choose(drawn: AnswerRecord) -> RuleResult:
        scored = _list_scores(drawn)
        values = rule.values([score for _, score in scored])
        return RuleResult(sum_by_class((n, w or 0.0) for (n, _), w in zip(scored, values, strict=True)))

    return choose


def _list_scores(drawn: AnswerRecord) -> list[tuple[int, float]]:
    """Class and score of the answers that have both."""
    pairs = zip(drawn.classes, drawn.columns["scores"], strict=True)
    return [(n, float(s)) for n, s in pairs if n is not None and s is not None and math.isfinite(s)]


def _by_behaviour(drawn: AnswerRecord) -> RuleResult:
    """Classes are behaviours: the programs that pass the same tests."""
    from quorate.aggregators.execution import consensus_sets

    passes: tuple[str, ...] = drawn.columns["tests"]
    sets = consensus_sets(passes, [p.count("1") for p in passes], drawn.columns["codes"])
    classes = drawn.classes
    return RuleResult({n: s.score for s in sets if (n := classes[s.members[0]]) is not None})


def _until(rule: SequenceRule, wave: int = 1) -> Callable[[AnswerRecord], RuleResult]:
    def choose(drawn: AnswerRecord) -> RuleResult:
        used = find_stopping_point(rule, drawn.classes, limit=len(drawn), wave=wave)
        return RuleResult(count_classes(drawn.classes[:used]), samples=used, wave=wave)

    return choose
