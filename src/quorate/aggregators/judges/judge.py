"""What every judge shares: candidates in a seeded order, room for them, and the vote where it fails."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Answer, Candidate, Cluster, Code, Degradation, Question, Sampled, SamplingParams
from quorate.prompts import Prompt

from ..specs import BuildContext, Options
from ..synthesis.material import TokenBudget, label_candidate, load_tokenizer, pack, shuffle_candidates, visible_answer
from ..synthesis.prompt import MAX_CONTEXT_TOKENS, load_prompt
from ..votes.majority import MajorityVote, count_votes
from .model import JudgeModel, JudgeReply, conversation_text

__all__ = ["Judge", "JudgeOptions", "JudgeRun", "build_judge"]


@dataclass
class JudgeRun:
    """One question before a judge."""

    question: Question
    run: RunContext
    judge: JudgeModel
    prompt: Prompt
    budget: TokenBudget
    tally: tuple[Cluster, ...]
    """How the votes of those that are shown stand."""
    notes: dict[tuple[str, str], Degradation] = field(default_factory=dict)
    """What did not go as it should, each thing once at one place."""

    @property
    def where(self) -> str:
        """The node and the judge."""
        return f"{self.run.node}: {self.judge.model.name}"

    async def ask(self, candidates: Sequence[Candidate], purpose: str) -> JudgeReply:
        """What the judge says about these candidates, all of which say something, in this order."""
        material = pack([label_candidate(c) for c in candidates], self.budget, self.where)
        self._add(material.notes)
        words = self.prompt.render(question=conversation_text(self.question), responses=material.texts)
        reply = await self.judge.ask(words, purpose, self.run)
        self._add(reply.degraded)
        return reply

    def note(self, code: Code, detail: str) -> None:
        """Marks the answer."""
        self._add([Degradation(code=code, where=self.where, detail=detail)])

    def _add(self, notes: Sequence[Degradation]) -> None:
        for note in notes:
            self.notes.setdefault((note.code, note.where), note)

    def failure(self, detail: str) -> NoAnswer:
        """There is no verdict, and this is why."""
        return NoAnswer(detail, degraded=self.notes.values())


class Judge(Aggregator):
    """A model that picks one of the candidates.

    Candidates are shuffled by the seed, without their thinking; failed ones, and those that say nothing
    outside their thinking, are not shown. A single one needs no judge. Where the judge fails, says
    nothing, or names a candidate that does not exist, the fallback answers and the answer is marked
    `aggregator_failed`; without budget, `budget_exhausted`. It is not asked twice.

    Args:
        judge: the model that is asked; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        max_context_tokens: room for the candidates in one prompt, and no more than three quarters of the
            model's context where that is known; estimated at three characters a token where the model cannot
            count. Longer ones lose their middle, and the answer is marked `candidate_cut`.
        sampling: the judge's settings; those of the question are for candidates.
        concurrency: requests at a time.
        overrides: replacements of the prompt; see `quorate.prompts.load`.

    Raises:
        BadInput: a setting is impossible, or the prompt cannot be used.
    """

    prompt_name: ClassVar[str]

    def __init__(
        self,
        judge: Model,
        *,
        fallback: Aggregator | None = None,
        max_context_tokens: int = MAX_CONTEXT_TOKENS,
        sampling: SamplingParams | None = None,
        concurrency: int = 8,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        for setting, value in (("max_context_tokens", max_context_tokens), ("concurrency", concurrency)):
            if value < 1:
                raise BadInput(f"{type(self).__name__}({setting}={value}): give at least 1")
        self.judge = judge
        self.max_context_tokens = max_context_tokens
        self.sampling = sampling or SamplingParams()
        self.concurrency = concurrency
        self.prompt = load_prompt(self.prompt_name, overrides, question="x", responses=["x", "y"])
        self._fallback = fallback or MajorityVote()

    @abstractmethod
    async def pick(self, judging: JudgeRun, players: Sequence[Candidate]) -> Candidate | None:
        """The winner of two or more, which have their answers; None where the vote needs no judge.

        Raises:
            NoAnswer: there is no verdict (`JudgeRun.failure`).
        """

    @property
    def fallback(self) -> Aggregator:
        """The vote."""
        return self._fallback

    @property
    def models(self) -> tuple[Model, ...]:
        """The judge."""
        return (self.judge,)

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """See `protocols.Aggregator`.

        Raises:
            NoAnswer: the judge gave no verdict.
        """
        counter = self.counter(question, run)
        if counter is not None:
            sampled = await count_votes(counter, sampled)
        players = [c for c in shuffle_candidates(sampled.candidates, run) if visible_answer(c)]
        tally = sampled.tally or ()
        if counter is not None and len(players) < len(sampled.good):
            tally = await counter.tally(players)
        judging = await self._begin(question, tally, run)
        winner = await self.pick(judging, players) if len(players) > 1 else None
        if winner is None:
            return await self.fallback.aggregate(question, sampled, run)
        return Answer.of(winner, tally=sampled.tally or (), degraded=tuple(judging.notes.values()))

    async def _begin(self, question: Question, tally: tuple[Cluster, ...], run: RunContext) -> JudgeRun:
        await load_tokenizer(self.judge)
        return JudgeRun(
            question=question,
            run=run,
            judge=JudgeModel(self.judge, self.sampling, asyncio.Semaphore(self.concurrency)),
            prompt=self.prompt,
            budget=TokenBudget.of(self.judge, self.max_context_tokens),
            tally=tally,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.judge.name})"


class JudgeOptions(Options):
    """How a judge reads."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the candidates in one prompt; longer ones lose their middle."""
    concurrency: int = Field(default=8, ge=1)
    """Requests to the judge at a time."""


J = TypeVar("J", bound=Judge)


def build_judge(kind: type[J], context: BuildContext, **settings: Any) -> J:
    """A judge of the registry; a vote stands in where it fails."""
    options = context.options
    given = {"max_context_tokens": options.max_context_tokens, "concurrency": options.concurrency, **settings}
    return kind(context.writer, fallback=context.vote(), **given)
