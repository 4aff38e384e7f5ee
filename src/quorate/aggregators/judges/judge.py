"""What every judge shares: candidates in a seeded order, room for them, and the vote where it fails."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Answer, Candidate, Cluster, Code, Degradation, Question, Sampled, SamplingParams
from quorate.prompts import Prompt

from ..specs import BuildContext, Options
from ..synthesis.material import shuffle_candidates, visible_answer
from ..synthesis.prompt import MAX_CONTEXT_TOKENS, load_prompt
from ..votes.majority import MajorityVote, count_votes
from .model import JUDGE_SAMPLING, JUDGE_TOKENS, JudgeModel, Verdict, conversation_text
from .verdicts import VerdictForm

__all__ = ["Judge", "JudgeOptions", "JudgeRun", "build_judge"]

V = TypeVar("V")


@dataclass
class JudgeRun:
    """One question before a judge."""

    question: Question
    run: RunContext
    judge: JudgeModel
    prompt: Prompt
    max_context_tokens: int
    tally: tuple[Cluster, ...]
    """How the votes of those that are shown stand."""
    notes: dict[tuple[str, str], Degradation] = field(default_factory=dict)
    """What did not go as it should, each thing once at one place."""

    @property
    def where(self) -> str:
        """The node and the judge."""
        return f"{self.run.node}: {self.judge.model.name}"

    async def decide(self, candidates: Sequence[Candidate], form: VerdictForm[V], purpose: str) -> Verdict[V]:
        """What the judge decides about these candidates, all of which say something, in this order."""
        words = conversation_text(self.question)

        def render(texts: Sequence[str]) -> str:
            return self.prompt.render(question=words, responses=texts)

        most = self.max_context_tokens
        verdict = await self.judge.decide_about(candidates, render, form, purpose, self.run, max_context_tokens=most)
        self._add(verdict.degraded)
        return verdict

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
    outside their thinking, are not shown. A single one needs no judge. A reply that names none of them, or
    several, is asked for once more; where there is no verdict then either, and where the judge fails, the
    fallback answers and the answer is marked `aggregator_failed`; without budget, `budget_exhausted`.

    Args:
        judge: the model that is asked; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        max_context_tokens: room for the candidates in one prompt, and no more than three quarters of the
            model's context where that is known; estimated at three characters a token where the model cannot
            count. Longer ones lose their middle, and the answer is marked `candidate_cut`.
        sampling: the judge's settings; those of the question are for candidates. `JUDGE_SAMPLING` if not given:
            greedy, and `JUDGE_TOKENS` a reply at most.
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
        self.sampling = sampling or JUDGE_SAMPLING
        self.concurrency = concurrency
        self.prompt = load_prompt(self.prompt_name, overrides, question="x", responses=["x", "y"])
        self.again = load_prompt("verdict", overrides, example="x")
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

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other.judge, other._fallback = change(self.judge), self._fallback.map_models(change)
        return other

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
        judge = JudgeModel(self.judge, self.sampling, asyncio.Semaphore(self.concurrency), self.again)
        judging = JudgeRun(question, run, judge, self.prompt, self.max_context_tokens, tally)
        winner = await self.pick(judging, players) if len(players) > 1 else None
        if winner is None:
            return await self.fallback.aggregate(question, sampled, run)
        return Answer.of(winner, tally=sampled.tally or (), degraded=tuple(judging.notes.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.judge.name})"


class JudgeOptions(Options):
    """How a judge reads."""

    max_context_tokens: int = Field(default=24_000, ge=1)
    """Room for the candidates in one prompt; longer ones lose their middle."""
    concurrency: int = Field(default=8, ge=1)
    """Requests to the judge at a time."""
    max_tokens: int = Field(default=JUDGE_TOKENS, ge=1)
    """Of one reply of the judge, its thinking included; the caller's limit is for candidates."""
    temperature: float = Field(default=0.0, ge=0)
    """The judge's; the caller's is for candidates."""

    @property
    def sampling(self) -> SamplingParams:
        """Of the judge."""
        return SamplingParams(temperature=self.temperature, max_tokens=self.max_tokens)


J = TypeVar("J", bound=Judge)


def build_judge(kind: type[J], context: BuildContext, **settings: Any) -> J:
    """A judge of the registry; a vote stands in where it fails."""
    options = context.options
    given = {
        "max_context_tokens": options.max_context_tokens,
        "concurrency": options.concurrency,
        "sampling": options.sampling,
        **settings,
    }
    return kind(context.writer, fallback=context.vote(), **given)
