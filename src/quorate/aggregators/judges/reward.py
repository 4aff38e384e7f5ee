"""Best-of-N and weighted votes by a verifier's scores, such as those of a reward model.

Best-of-N (Cobbe et al., arXiv 2110.14168, section 4.2) takes the candidate with the highest score; the
weighted vote (Li et al., arXiv 2206.02336, section 3.2) sums the scores of each answer's candidates.
Different from the papers: a sum cannot use negative scores, so where there are some all are taken
relative to the lowest; `RewardSoftmaxVote` weighs by exp(score / temperature) instead, which no shift
of the scores changes. Candidates without a finite score are left out, and that is told.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Answer, Candidate, Cluster, Degradation, Question

from ..backing import Backed, closed
from ..synthesis.material import canonical
from ..tallying import Vote, best_told, clusters
from ..vote import MajorityVote

__all__ = ["MeteredVerifier", "RewardBest", "RewardSoftmaxVote", "RewardVote", "softmax_weights", "sum_weights"]


@runtime_checkable
class MeteredVerifier(Protocol):
    """A verifier whose scores cost tokens, which it books in the run."""

    async def metered_score(self, question: Question, candidate: Candidate, run: RunContext) -> float: ...


class _Scored(Backed, ABC):
    """Scores all candidates, then decides.

    Without any score (the verifier fails for all, or the budget is used up) the vote answers, marked
    `aggregator_failed` or `budget_exhausted`; candidates that lack one are marked `score_missing`. A
    single candidate needs no score.

    Args:
        verifier: scores candidates; higher is better.
        vote: what counts answers, and answers without scores; `MajorityVote()` by default.
        concurrency: scores at a time.

    Raises:
        BadInput: concurrency is below 1.
    """

    def __init__(self, verifier: Verifier, *, vote: MajorityVote | None = None, concurrency: int = 16) -> None:
        if concurrency < 1:
            raise BadInput(f"{type(self).__name__}(concurrency={concurrency}): give at least 1")
        self.verifier = verifier
        self.vote = vote or MajorityVote()
        self.fallback = self.vote
        self.concurrency = concurrency

    @abstractmethod
    async def decided(
        self, scored: Sequence[Candidate], scores: Mapping[int, float], run: RunContext
    ) -> tuple[Candidate, tuple[Cluster, ...]]:
        """The winner of candidates that all have a score, by index, and the tally."""

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        self.check(candidates)
        voters = [c.model_copy(update={"answer": self.extract(c)}) for c in canonical(candidates)]
        scores: dict[int, float] = {}
        notes: list[Degradation] = []
        if len(voters) > 1:
            scores, problems = await self._scores(question, voters, run)
            notes = self._notes(scores, problems, run)
        if scores:
            scored = [c for c in voters if c.index in scores]
            winner, tally = await self.decided(scored, scores, run)
            yield Done(answer=_answer(winner, tally, candidates, notes, run))
            return
        async with aclosing(self.instead(question, candidates, run, notes)) as events:
            async for event in events:
                yield event

    async def _scores(
        self, question: Question, voters: Sequence[Candidate], run: RunContext
    ) -> tuple[dict[int, float], dict[int, str]]:
        """Finite scores by index, and why others are missing."""
        limit = asyncio.Semaphore(self.concurrency)
        scores: dict[int, float] = {}
        problems: dict[int, str] = {}

        async def one(candidate: Candidate) -> None:
            async with limit:
                if (reason := run.exhausted()) is not None:
                    problems[candidate.index] = reason
                    return
                try:
                    score = float(await self._score(question, candidate, run))
                except TimeoutError:
                    problems[candidate.index] = run.exhausted() or "no score in time"
                    return
                except Exception as error:
                    problems[candidate.index] = failure_of(error).message
                    return
            if math.isfinite(score):
                scores[candidate.index] = score
            else:
                problems[candidate.index] = f"the score is {score}"

        async with asyncio.TaskGroup() as group:
            for voter in voters:
                group.create_task(one(voter))
        return scores, problems

    async def _score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
        async with asyncio.timeout(run.seconds_left):
            if isinstance(self.verifier, MeteredVerifier):
                return await self.verifier.metered_score(question, candidate, run)
            return await self.verifier.score(question, candidate)

    def _notes(self, scores: Mapping[int, float], problems: Mapping[int, str], run: RunContext) -> list[Degradation]:
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
        """Closes the verifier and the vote."""
        await closed((self.verifier, self.vote))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verifier!r})"


class RewardBest(_Scored):
    """The candidate with the highest score; of equal ones the best told."""

    name = "reward-best"

    async def decided(
        self,
        scored: Sequence[Candidate],
        scores: Mapping[int, float],
        run: RunContext,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Candidate, tuple[Cluster, ...]]:
        """See `_Scored`."""
        return _highest(scored, scores), await self.tally(scored)


class RewardVote(_Scored):
    """The answer whose candidates' scores sum highest, told by the one of them with the highest score.

    The seed draws among equal sums. Where all abstain, the highest score wins.
    """

    name = "reward-vote"

    def weights(self, scores: Sequence[float]) -> list[float]:
        """What each vote weighs."""
        return sum_weights(scores)

    async def decided(
        self, scored: Sequence[Candidate], scores: Mapping[int, float], run: RunContext
    ) -> tuple[Candidate, tuple[Cluster, ...]]:
        """See `_Scored`."""
        weights = self.weights([scores[c.index] for c in scored])
        votes = [Vote(c.index, c.answer, w) for c, w in zip(scored, weights, strict=True) if c.answer is not None]
        tally = await clusters(votes, self.vote.equivalence)
        if not tally:
            return _highest(scored, scores), ()
        tied = [cluster for cluster in tally if math.isclose(cluster.weight, tally[0].weight)]
        tied.sort(key=lambda c: hashlib.sha256(c.answer.encode("utf-8", "replace")).digest())
        winner = run.rng("tie").choice(tied) if len(tied) > 1 else tied[0]
        ordered = (winner, *(cluster for cluster in tally if cluster is not winner))
        return _highest([c for c in scored if c.index in winner.voters], scores), ordered


class RewardSoftmaxVote(RewardVote):
    """`RewardVote` with weights exp(score / temperature), normalised to sum to 1.

    Args:
        verifier: as for `RewardVote`.
        temperature: towards 0 it becomes best-of-N, towards infinity plurality.
        vote: as for `RewardVote`.
        concurrency: as for `RewardVote`.
    """

    name = "reward-softmax-vote"

    def __init__(
        self,
        verifier: Verifier,
        *,
        temperature: float = 1.0,
        vote: MajorityVote | None = None,
        concurrency: int = 16,
    ) -> None:
        super().__init__(verifier, vote=vote, concurrency=concurrency)
        if not 0 < temperature < math.inf:
            raise BadInput(f"RewardSoftmaxVote(temperature={temperature}): give a finite number above 0")
        self.temperature = temperature

    def weights(self, scores: Sequence[float]) -> list[float]:
        """See `RewardVote`."""
        return softmax_weights(scores, self.temperature)


def sum_weights(scores: Sequence[float]) -> list[float]:
    """The scores, relative to the lowest where that is negative."""
    least = min(0.0, *scores) if scores else 0.0
    return [score - least for score in scores]


def softmax_weights(scores: Sequence[float], temperature: float = 1.0) -> list[float]:
    """exp(score / temperature), normalised."""
    highest = max(scores, default=0.0)
    raw = [math.exp((score - highest) / temperature) for score in scores]
    return [weight / sum(raw) for weight in raw]


def _highest(candidates: Sequence[Candidate], scores: Mapping[int, float]) -> Candidate:
    best = max(scores[c.index] for c in candidates)
    return best_told([c for c in candidates if scores[c.index] == best])


def _answer(
    winner: Candidate,
    tally: tuple[Cluster, ...],
    candidates: Sequence[Candidate],
    notes: Sequence[Degradation],
    run: RunContext,
) -> Answer:
    return Answer(
        text=winner.text,
        model=winner.model,
        answer=winner.answer,
        reasoning=winner.reasoning,
        tool_calls=winner.tool_calls,
        finish_reason=winner.finish_reason or "stop",
        candidates=tuple(candidates),
        tally=tally,
        degraded=tuple(notes),
        usage=run.ledger.usage,
        stages=run.ledger.nodes,
    )
