"""Votes weighed by a verifier's scores: any verifier, and any rule from scores to weights.

| vote | source |
|---|---|
| `BestOfN(verifier)` | best-of-N, Cobbe et al., arXiv 2110.14168, section 4.2 |
| `ScoredVote(verifier, ScoreSum())` | weighted vote, Li et al., arXiv 2206.02336, section 3.2 |
| `ScoredVote(verifier, ByConfidence(t))` | the same with exp(score / t), which no shift of the scores changes |
| `ScoredVote(verifier, Borda(p))` | Borda, arXiv 2502.18581, section 5 |
| `ScoredVote(verifier, MajorityOfTheBests())` | Majority-of-the-Bests, arXiv 2511.18630 |

Different from the papers: answers are counted by equivalence, candidates without a finite score are left out,
and that is told.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from pydantic import Field

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.reading import Equivalence, Extractor
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question, Sampled

from ..ranking import by_weight
from ..specs import BuildContext, PipelineSpec, VerifierOptions
from .ballot import ScoreRule, leaders
from .majority import MajorityVote, Vote, close_all, count_votes, draw_tie, group_votes, representative
from .rules import Borda, ByConfidence, MajorityOfTheBests, Plurality, ScoreSum

CONCURRENCY = 16
"""Scores at a time."""


class ScoredVote(MajorityVote):
    """The heaviest answer by a rule on a verifier's scores, told by the one of its candidates with the highest score.

    Candidates that state no answer are not weighed; where all abstain, the highest score wins. The seed draws
    among equal weights. Without any score (the verifier fails for all, or the budget is used up) the plain vote
    answers, marked `aggregator_failed` or `budget_exhausted`; candidates that lack one are marked
    `score_missing`. A single candidate needs no score. While candidates come, plain votes are counted.

    Args:
        verifier: scores candidates; higher is better.
        rule: from scores to what votes weigh.
        name: of the vote; the rule's if not given.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.
        concurrency: scores at a time.

    Raises:
        BadInput: concurrency is below 1.
    """

    def __init__(
        self,
        verifier: Verifier,
        rule: ScoreRule,
        *,
        name: str | None = None,
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        super().__init__(extractor, equivalence)
        if concurrency < 1:
            raise BadInput(f"{type(self).__name__}(concurrency={concurrency}): give at least 1")
        self.verifier = verifier
        self.rule = rule
        self.name = name or rule.name
        self.concurrency = concurrency

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        sampled = await count_votes(self.counter(question, run), sampled)
        voters = sorted(sampled.good, key=lambda c: (c.text, c.model, c.index))
        scores: dict[int, float] = {}
        notes: tuple[Degradation, ...] = ()
        if len(voters) > 1:
            scores, problems = await self._score_all(question, voters, run)
            notes = tuple(self._explain(scores, problems, run))
        if not scores:
            answer = await super().aggregate(question, sampled, run)
            return answer.replace(degraded=(*notes, *answer.degraded))
        scored = [c for c in voters if c.index in scores]
        answer = self.decide(scored, sampled.tally or (), scores, run)
        return answer.replace(degraded=(*notes, *answer.degraded))

    def decide(
        self, scored: Sequence[Candidate], tally: Sequence[Cluster], scores: Mapping[int, float], run: RunContext
    ) -> Answer:
        """The answer of candidates that all have a score.

        Args:
            scored: the candidates, with their answers.
            tally: the classes of the answers.
            scores: by the candidates' indices.
            run: draws ties.
        """
        voters = [c for c in scored if c.answer is not None] or scored
        values = self.rule.values([scores[c.index] for c in voters])
        weights = {c.index: value for c, value in zip(voters, values, strict=True) if value is not None}
        weighed = draw_tie(weigh_votes(voters, tally, weights), run)
        winners = [c for c in scored if c.index in weighed[0].voters] if weighed else scored
        return Answer.of(_highest(winners, scores), tally=weighed, degraded=self._note_doubt(weighed, scored, run))

    async def _score_all(
        self, question: Question, voters: Sequence[Candidate], run: RunContext
    ) -> tuple[dict[int, float], dict[int, str]]:
        """Finite scores by index, and why others are missing."""
        limit = asyncio.Semaphore(self.concurrency)
        scores: dict[int, float] = {}
        problems: dict[int, str] = {}

        async def score(candidate: Candidate) -> None:
            async with limit:
                if (reason := run.exhausted()) is not None:
                    problems[candidate.index] = reason
                    return
                try:
                    async with run.time_limit():
                        value = float(await self.verifier.score(question, candidate, run))
                except TimeoutError:
                    problems[candidate.index] = run.exhausted() or "no score in time"
                    return
                except Exception as error:
                    problems[candidate.index] = failure_of(error).message
                    return
            if math.isfinite(value):
                scores[candidate.index] = value
            else:
                problems[candidate.index] = f"the score is {value}"

        await gather([score(voter) for voter in voters])
        return scores, problems

    def _explain(self, scores: Mapping[int, float], problems: Mapping[int, str], run: RunContext) -> list[Degradation]:
        where = f"{run.node}: {self.name}"
        notes = [
            Degradation(code="score_missing", where=f"{where} #{index}", detail=problem)
            for index, problem in sorted(problems.items())
        ]
        reason = run.exhausted()
        if problems and reason is not None:
            notes.insert(0, explain_cut(reason, where))
        elif not scores:
            notes.insert(0, Degradation(code="aggregator_failed", where=where, detail="no candidate has a score"))
        return notes

    async def aclose(self) -> None:
        """Closes the verifier and the equivalence."""
        await close_all(self.verifier)
        await super().aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verifier!r}, {type(self.rule).__name__})"


class BestOfN(ScoredVote):
    """The candidate with the highest score; the tally tells the plain votes of those that have a score.

    Args:
        verifier: as for `ScoredVote`.
        name: of the vote.
        extractor: see `MajorityVote`.
        equivalence: see `MajorityVote`.
        concurrency: as for `ScoredVote`.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        name: str = "best-of-n",
        extractor: Extractor | None = None,
        equivalence: Equivalence | None = None,
        concurrency: int = CONCURRENCY,
    ) -> None:
        super().__init__(
            verifier, Plurality(), name=name, extractor=extractor, equivalence=equivalence, concurrency=concurrency
        )

    def decide(
        self,
        scored: Sequence[Candidate],
        tally: Sequence[Cluster],
        scores: Mapping[int, float],
        run: RunContext,  # noqa: ARG002 - nothing is drawn
    ) -> Answer:
        votes = weigh_votes(scored, tally, {c.index: 1.0 for c in scored})
        return Answer.of(_highest(scored, scores), tally=votes)


def _highest(candidates: Sequence[Candidate], scores: Mapping[int, float]) -> Candidate:
    best = max(scores[c.index] for c in candidates)
    return representative([c for c in candidates if scores[c.index] == best])


def weigh_votes(
    candidates: Sequence[Candidate], tally: Sequence[Cluster], weights: Mapping[int, float]
) -> tuple[Cluster, ...]:
    """The classes with the weights of their candidates' votes; those that differ by rounding alone weigh the same.

    Args:
        candidates: with their answers.
        tally: the classes of the answers.
        weights: by the candidates' indices; one that has none does not vote. Where nobody with a weight states an
            answer, all candidates vote alike.
    """
    number = {voter: place for place, cluster in enumerate(tally) for voter in cluster.voters}
    plain = [Vote(c.index, c.answer) for c in candidates if c.answer is not None and c.index in number]
    votes = [vote._replace(weight=weights[vote.voter]) for vote in plain if vote.voter in weights] or plain
    number_of = {vote.answer: number[vote.voter] for vote in votes}
    clusters = group_votes(votes, number_of, {answer for answer, place in number_of.items() if tally[place].undecided})
    heaviest = leaders({place: cluster.weight for place, cluster in enumerate(clusters)})
    return by_weight(
        cluster.model_copy(update={"weight": clusters[0].weight}) if place in heaviest else cluster
        for place, cluster in enumerate(clusters)
    )


class BordaOptions(VerifierOptions):
    """Who scores, and how strongly rank counts."""

    power: float = Field(default=0.5, ge=0)
    """0 counts votes, large ones trust the first alone."""


class BestsOptions(VerifierOptions):
    """Who scores, and how many compete."""

    m: int | None = Field(default=None, ge=1)
    """Size of the bootstrapped subsets; the square root of the samples, rounded up, if not given."""


class RewardSoftmaxOptions(VerifierOptions):
    """Who scores, and how sharply."""

    temperature: float = Field(default=1.0, gt=0)
    """The larger, the less the scores count."""


def _build_borda(context: BuildContext) -> ScoredVote:
    options = context.options
    verifier = options.open_verifier("borda", context)
    return ScoredVote(verifier, Borda(options.power), concurrency=options.concurrency)


def _build_bests(context: BuildContext) -> ScoredVote:
    options = context.options
    verifier = options.open_verifier("majority-of-bests", context)
    return ScoredVote(verifier, MajorityOfTheBests(options.m), concurrency=options.concurrency)


def _build_reward_best(context: BuildContext) -> BestOfN:
    verifier = context.options.open_verifier("reward-best", context)
    return BestOfN(verifier, name="reward-best", concurrency=context.options.concurrency)


def _build_reward_vote(context: BuildContext) -> ScoredVote:
    verifier = context.options.open_verifier("reward-vote", context)
    return ScoredVote(verifier, ScoreSum(), name="reward-vote", concurrency=context.options.concurrency)


def _build_reward_softmax(context: BuildContext) -> ScoredVote:
    options = context.options
    verifier, rule = options.open_verifier("reward-softmax-vote", context), ByConfidence(options.temperature)
    return ScoredVote(verifier, rule, name="reward-softmax-vote", concurrency=options.concurrency)


PIPELINES = (
    PipelineSpec(
        "borda",
        "a vote weighted by the rank of a reward model's score",
        "arXiv 2502.18581, section 5",
        16,
        _build_borda,
        options=BordaOptions,
        listed=False,
    ),
    PipelineSpec(
        "majority-of-bests",
        "the answer that best-of-m by a reward model would give most often",
        "arXiv 2511.18630",
        16,
        _build_bests,
        options=BestsOptions,
        listed=False,
    ),
    PipelineSpec(
        "reward-best",
        "the sample that a reward model scores best",
        "arXiv 2110.14168, section 4.2",
        16,
        _build_reward_best,
        options=VerifierOptions,
        listed=False,
    ),
    PipelineSpec(
        "reward-vote",
        "a vote weighted by a reward model's scores",
        "arXiv 2206.02336, section 3.2",
        16,
        _build_reward_vote,
        options=VerifierOptions,
        listed=False,
    ),
    PipelineSpec(
        "reward-softmax-vote",
        "a vote weighted by the exponentials of a reward model's scores",
        "arXiv 2206.02336, section 3.2",
        16,
        _build_reward_softmax,
        options=RewardSoftmaxOptions,
        listed=False,
    ),
)
