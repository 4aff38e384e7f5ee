"""A council: members answer, then rank each other's answers without knowing whose they are.

After karpathy/llm-council (2025) and its heirs. Different from them: a member never ranks answers of its own, reads
the others in both orders, and no further reviewer is asked once the leader's margin cannot be caught up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Self

from quorate.orchestrator.analysis import Dissent
from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.pipeline import Pipeline, pipeline
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.sampling import gather
from quorate.orchestrator.stage import SamplingStage
from quorate.orchestrator.types import (
    Answer,
    Candidate,
    Cluster,
    Degradation,
    Question,
    Sampled,
    SamplingParams,
    Saving,
)

from ..judges.model import JUDGE_SAMPLING, JudgeModel, conversation_text
from ..judges.verdicts import order_of
from ..markup import visible
from ..structured import StructuredVote
from ..synthesis.material import order_canonically, visible_answer
from ..synthesis.prompt import MAX_CONTEXT_TOKENS, load_prompt
from ..votes.majority import count_votes
from .analysis import make_fence
from .ballots import Bounds, RankedBallot, Rule, bound_scores, is_decided

SHOWN = 300
"""Characters of a line in a minority report."""


@dataclass(frozen=True)
class _Reviewer:
    """One member as it judges the others."""

    model: Model
    number: int
    of: tuple[Candidate, ...]
    """The answers that are not its own."""

    @property
    def indices(self) -> tuple[int, ...]:
        return tuple(candidate.index for candidate in self.of)


class Council(Aggregator):
    """The members of a panel rank each other's answers; the best one is the answer.

    Each model is a member, whose answers are those that it wrote; where all are of one model, each answer has a
    member of its own. Members who have fewer than two answers of others to rank are not asked, and where no answer
    has been ranked the vote decides, marked `aggregator_failed`. Equal scores go to the answer of the larger class,
    then by content.

    Args:
        members: the models, in the order in which candidates are dealt to them.
        rule: `borda` or `copeland`, see `ballots`.
        wave: reviewers who are asked at once; between waves it may stop.
        shadow: asks all of them, and says in `Answer.savings` what stopping would have saved.
        fallback: answers where nobody ranks, and counts the classes of answers; `StructuredVote()` by default.
        max_context_tokens: room for the answers in one prompt; longer ones lose their middle, `candidate_cut`.
        sampling: the reviewers' settings; `JUDGE_SAMPLING` if not given.
        overrides: replacements of the prompt `council`.

    Raises:
        BadInput: there is no member, or a setting is impossible.
    """

    name = "council"

    def __init__(
        self,
        members: Sequence[Model],
        *,
        rule: Rule = "borda",
        wave: int = 2,
        shadow: bool = False,
        fallback: Aggregator | None = None,
        max_context_tokens: int = MAX_CONTEXT_TOKENS,
        sampling: SamplingParams | None = None,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        if not members:
            raise BadInput("Council(members) is empty: give at least one model")
        if rule not in ("borda", "copeland"):
            raise BadInput(f"Council(rule={rule!r}): give 'borda' or 'copeland'")
        for setting, value in (("wave", wave), ("max_context_tokens", max_context_tokens)):
            if value < 1:
                raise BadInput(f"Council({setting}={value}): give at least 1")
        self.members = tuple(members)
        self.rule: Rule = rule
        self.wave = wave
        self.shadow = shadow
        self.max_context_tokens = max_context_tokens
        self.sampling = sampling or JUDGE_SAMPLING
        self.again = load_prompt("verdict", overrides, example="x")
        self.prompt = load_prompt("council", overrides, question="x", responses=["x", "y"], fence="=")
        self._fallback = fallback or StructuredVote()

    @property
    def fallback(self) -> Aggregator:
        return self._fallback

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple({id(model): model for model in self.members}.values())

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other.members, other._fallback = tuple(map(change, self.members)), self._fallback.map_models(change)
        return other

    def calls(self, n: int) -> int:
        """See `protocols.Aggregator`: both orders of each reviewer, and each once more where nothing can be read."""
        return 4 * (len(self.models) if len(self.models) > 1 else n)

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: no member gave a ranking.
        """
        counter = self.fallback.counter(question, run)
        if counter is not None:
            sampled = await count_votes(counter, sampled)
        players = [c for c in order_canonically(sampled.candidates) if visible_answer(c)]
        if len(players) < 2:
            return await self.fallback.aggregate(question, sampled, run)
        review = _Review(self, question, players, self._reviewers(players), run)
        await review.hold(shadow=self.shadow)
        if not any(ballot.rankings for ballot in review.ballots):
            why = "no member has two answers of others to rank" if not review.reviewers else "no member ranked"
            raise NoAnswer(why, degraded=review.notes)
        tally = sampled.tally or ()
        winner = _winner(review.bounds(), players, tally)
        scores = {index: round(float(least), 6) for index, (least, _) in review.bounds().items()}
        return Answer.of(
            winner,
            tally=tally,
            scores=scores,
            route=review.outcome,
            dissents=report_dissent(winner, players, tally, scores),
            savings=() if review.saving is None else (review.saving,),
            degraded=tuple(review.notes),
        )

    def _reviewers(self, players: Sequence[Candidate]) -> list[_Reviewer]:
        """Who can rank at least two answers of others."""
        members = self.models
        if len(members) == 1:
            found = [
                _Reviewer(members[0], c.index, tuple(p for p in players if p is not c))
                for c in sorted(players, key=lambda c: c.index)
            ]
        else:
            owner = self.members
            found = [
                _Reviewer(m, number, tuple(p for p in players if owner[p.index % len(owner)] is not m))
                for number, m in enumerate(members)
            ]
        return [reviewer for reviewer in found if len(reviewer.of) > 1]

    def __repr__(self) -> str:
        return f"Council({', '.join(model.name for model in self.members)})"


class _Review:
    """The rankings of one question as they come in."""

    def __init__(
        self,
        council: Council,
        question: Question,
        players: Sequence[Candidate],
        reviewers: Sequence[_Reviewer],
        run: RunContext,
    ) -> None:
        self.council, self.question, self.run = council, question, run
        self.reviewers = list(reviewers)
        self.notes: list[Degradation] = []
        self.ballots: list[RankedBallot] = []
        self.saving: Saving | None = None
        self.outcome = ""
        self._answers = [player.index for player in players]
        self._limit = asyncio.Semaphore(2 * council.wave)

    async def hold(self, *, shadow: bool) -> None:
        """Asks wave after wave, until the margin is safe or nothing is left to spend."""
        run, wave = self.run, self.council.wave
        would: tuple[int, int, int] | None = None
        for start in range(0, len(self.reviewers), wave):
            if (reason := run.exhausted()) is not None:
                self._note(explain_cut(reason, f"{run.node}: {self.council.name}"))
                break
            self.ballots += await gather([self._ask(reviewer) for reviewer in self.reviewers[start : start + wave]])
            if would is None and is_decided(self.bounds()) and len(self.ballots) < len(self.reviewers):
                if not shadow:
                    break
                would = len(self.ballots), run.ledger.usage.total_tokens, self._leader()
        asked, of = len(self.ballots), len(self.reviewers)
        why = "; the margin cannot be caught up" if asked < of and would is None and run.exhausted() is None else ""
        self.outcome = f"{asked} of {of} reviewers{why}"
        if would is not None:
            after, spent, leader = would
            self.saving = Saving(
                where=run.node,
                reason="the margin cannot be caught up",
                after=after,
                of=asked,
                tokens=run.ledger.usage.total_tokens - spent,
                same=leader == self._leader(),
            )

    def bounds(self) -> Bounds:
        """Of the scores."""
        missing = [reviewer.indices for reviewer in self.reviewers[len(self.ballots) :]]
        return bound_scores(self._answers, self.ballots, missing, self.council.rule)

    def _leader(self) -> int:
        bounds = self.bounds()
        return max(bounds, key=lambda index: (bounds[index][0], -index))

    async def _ask(self, reviewer: _Reviewer) -> RankedBallot:
        """The reviewer's rankings in both orders."""
        run = self.run
        order = list(reviewer.of)
        run.rng(f"order-{reviewer.number}").shuffle(order)
        found = await gather([self._rank(reviewer, seen, turn) for turn, seen in enumerate((order, order[::-1]))])
        return RankedBallot(reviewer.indices, tuple(ranking for ranking in found if ranking is not None))

    async def _rank(self, reviewer: _Reviewer, order: Sequence[Candidate], turn: int) -> tuple[int, ...] | None:
        council, run = self.council, self.run
        words = conversation_text(self.question)
        fence = make_fence([words, *map(visible_answer, order)], run)

        def render(texts: Sequence[str]) -> str:
            return council.prompt.render(question=words, responses=texts, fence=fence)

        verdict = await JudgeModel(reviewer.model, council.sampling, self._limit, council.again).decide_about(
            order,
            render,
            order_of(len(order)),
            f"review-{reviewer.number}-{turn}",
            run,
            max_context_tokens=council.max_context_tokens,
        )
        for note in verdict.degraded:
            self._note(note)
        if verdict.value is None:
            where = f"{run.node}: {reviewer.model.name}"
            self._note(Degradation(code="verdict_missing", where=where, detail=verdict.problem))
            return None
        return tuple(order[place].index for place in verdict.value)

    def _note(self, note: Degradation) -> None:
        if (note.code, note.where) not in {(known.code, known.where) for known in self.notes}:
            self.notes.append(note)


def _winner(bounds: Bounds, players: Sequence[Candidate], tally: Sequence[Cluster]) -> Candidate:
    """The highest score, then the larger class, then the order of the texts."""
    votes = {voter: cluster.votes for cluster in tally for voter in cluster.voters}
    return max(players, key=lambda c: (bounds[c.index][0], votes.get(c.index, 0), -players.index(c)))


def report_dissent(
    winner: Candidate, candidates: Sequence[Candidate], tally: Sequence[Cluster], scores: Mapping[int, float]
) -> tuple[Dissent, ...]:
    """The minority report: of each class that lost its best text, and the first line in which it differs.

    Args:
        winner: the candidate that is the answer.
        candidates: all that said something.
        tally: their classes; a candidate that is in none of them is a class of its own.
        scores: by index; the best of a class has the highest.
    """
    by_index = {candidate.index: candidate for candidate in candidates}
    counted = {voter for cluster in tally for voter in cluster.voters}
    classes: list[tuple[str | None, Sequence[int]]] = [(cluster.answer, cluster.voters) for cluster in tally]
    classes += [(None, (index,)) for index in by_index if index not in counted]
    found = []
    for answer, voters in classes:
        members = [by_index[index] for index in voters if index in by_index]
        if not members or winner.index in voters:
            continue
        best = max(members, key=lambda c: (scores.get(c.index, 0.0), -len(c.text), -c.index))
        if answer is None and visible_answer(best) == visible_answer(winner):
            continue
        line, against = _first_difference(best, winner)
        found.append(
            Dissent(
                index=best.index,
                model=best.agent or best.model,
                answer=answer,
                votes=len(members),
                text=visible(best.text).strip(),
                line=line,
                against=against,
            )
        )
    return tuple(sorted(found, key=lambda d: (-scores.get(d.index, 0.0), d.index)))


def _first_difference(one: Candidate, other: Candidate) -> tuple[str, str]:
    pairs = zip_longest(visible_answer(one).splitlines(), visible_answer(other).splitlines(), fillvalue="")
    line, against = next(((a, b) for a, b in pairs if a.split() != b.split()), ("", ""))
    return line[:SHOWN], against[:SHOWN]


def council(
    stage: SamplingStage,
    *,
    rule: Rule = "borda",
    wave: int = 2,
    shadow: bool = False,
    sampling: SamplingParams | None = None,
    name: str | None = None,
    max_context_tokens: int = MAX_CONTEXT_TOKENS,
) -> Pipeline:
    """The graph of a panel whose members rank each other's answers.

    Args:
        stage: the members and how many answers they give together.
        rule, wave, shadow, sampling, max_context_tokens: see `Council`.
        name: how the graph is called.

    Raises:
        BadInput: an option is impossible.
    """
    made = Council(
        stage.models, rule=rule, wave=wave, shadow=shadow, sampling=sampling, max_context_tokens=max_context_tokens
    )
    return pipeline(stage, made, name=name)
