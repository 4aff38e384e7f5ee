"""Rules that `quorate eval replay` knows by name: what they make of recorded answers, without asking anybody.

A rule of yours takes a line in `_rules`: a function from the answers that were drawn (integers, see `AnswerRecord`) to
weights of their classes. What it is and where it comes from stands in the registry of pipelines, unless it is no
pipeline:

    ReplayRule("esc", "stops at a unanimous window", "arXiv 2401.10480", choose, ordered=True)

`ReplayRule` sees one drawn subset at a time; `BatchReplayRule` sees those of all questions at once, for what
learns from agreement across questions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

from quorate.aggregators.stopping import SequenceRule, find_stopping_point
from quorate.aggregators.votes import Ballot, CrowdLab, LabelFree, Rule, ScoreRule, sum_by_class
from quorate.aggregators.votes.arrays import Votes
from quorate.orchestrator.errors import BadInput, UnknownName

from ..records import AnswerRecord, RecordedBank
from ..statistics import pass_at_k

__all__ = [
    "BatchReplayRule",
    "Exact",
    "ReplayRule",
    "Replayable",
    "RuleResult",
    "SubsetOutcome",
    "count_classes",
    "find_rule",
    "replay_rules",
]

PANEL = frozenset({"panel"})
SCORES = frozenset({"scores"})
WAVE = 5
"""Samples at a time of the stopping rules whose names end in `-waves`."""


class RuleResult(NamedTuple):
    """What a rule makes of a drawn subset."""

    weights: Mapping[int, float]
    """Weight of each class; the heaviest is the answer, and ties share the credit. Empty: no answer."""
    samples: int | None = None
    """How many of the drawn samples it needed, from the first; None is all."""
    tokens: float | None = None
    """Tokens spent, where that is not what these samples hold (a trace cut while it streams)."""


class SubsetOutcome(NamedTuple):
    """What one drawn subset of one question came to."""

    credit: float
    """Expected chance of being right."""
    samples: float
    tokens: float | None
    error: float = 0.0
    """Monte Carlo standard error of the credit, for a mean over drawn subsets."""


class Replayable(Protocol):
    """A rule as the replay sees it."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def needs(self) -> frozenset[str]:
        """What the bank must have, of the words of `RecordedBank.has`."""
        ...

    @property
    def ordered(self) -> bool:
        """The order of the samples matters, so several orders are drawn even of all samples."""
        ...

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        """One for every drawn subset; there is one subset a question."""
        ...


@runtime_checkable
class Exact(Protocol):
    """A rule whose expected credit over all subsets needs no drawing."""

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        """Mean credit over all subsets of k answers."""
        ...


@dataclass(frozen=True)
class ReplayRule:
    """A rule that treats every question by itself."""

    name: str
    summary: str
    source: str
    choose: Callable[[AnswerRecord], RuleResult]
    _: KW_ONLY
    needs: frozenset[str] = frozenset()
    ordered: bool = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        """See `Replayable`."""
        return [_outcome(one, self.choose(one)) for one in drawn]


@dataclass(frozen=True)
class BatchReplayRule:
    """A rule that learns from all questions together."""

    name: str
    summary: str
    source: str
    choose: Callable[[Sequence[AnswerRecord]], Sequence[RuleResult]]
    _: KW_ONLY
    needs: frozenset[str] = frozenset()
    ordered: bool = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        """See `Replayable`."""
        return [_outcome(one, chosen) for one, chosen in zip(drawn, self.choose(drawn), strict=True)]


def _outcome(drawn: AnswerRecord, chosen: RuleResult) -> SubsetOutcome:
    samples = len(drawn) if chosen.samples is None else chosen.samples
    tokens = drawn.count_tokens(samples) if chosen.tokens is None else chosen.tokens
    return SubsetOutcome(drawn.credit(chosen.weights), samples, tokens)


def count_classes(classes: Iterable[int | None]) -> dict[int, float]:
    """Votes of each class: the weights of plurality; abstentions vote for nothing."""
    return {number: float(votes) for number, votes in Counter(c for c in classes if c is not None).items()}


@cache
def replay_rules() -> Mapping[str, Replayable]:
    """Every rule by name."""
    from .traces import trace_rules

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


def describe_rule(name: str) -> tuple[str, str]:
    """Summary and source of a pipeline, as the registry has them."""
    from quorate.aggregators.registry import PIPELINES

    spec = PIPELINES[name]
    return spec.summary, spec.source


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
        """See `Replayable`."""
        return [SubsetOutcome(float(any(one.right)), len(one), one.count_tokens(len(one))) for one in drawn]

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        """See `Exact`."""
        return pass_at_k(len(recorded), sum(recorded.right), k)


class PluralityAtK:
    """The most frequent answer of k, over all subsets at once."""

    name = "plurality"
    summary, source = "the most frequent answer", "self-consistency, arXiv 2203.11171, section 2"
    needs: frozenset[str] = frozenset()
    ordered = False

    def outcomes(self, drawn: Sequence[AnswerRecord]) -> list[SubsetOutcome]:
        """See `Replayable`."""
        return [
            SubsetOutcome(one.credit(count_classes(one.classes)), len(one), one.count_tokens(len(one))) for one in drawn
        ]

    def expected_credit(self, recorded: AnswerRecord, k: int) -> float:
        """See `Exact`."""
        from .subsets import expected_plurality

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
        return RuleResult(count_classes(drawn.classes[:used]), samples=used)

    return choose
