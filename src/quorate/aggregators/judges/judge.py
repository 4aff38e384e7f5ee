"""What every judge shares: candidates in a seeded order, room for them, and the vote where it fails."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Model, VoteCounter
from quorate.orchestrator.types import Answer, Candidate, Code, Degradation, Question, SamplingParams

from ..backing import Backed, closed, shortfall
from ..synthesis.base import told_once
from ..synthesis.material import Room, item, laid_out, shuffled, told
from ..synthesis.wording import prompt_of
from ..vote import MajorityVote
from .asking import Asked, Reply, conversation

__all__ = ["Judge", "Session"]


@dataclass
class Session:
    """One question before a judge."""

    question: Question
    run: RunContext
    asked: Asked
    words: Any
    """The prompt."""
    room: Room
    where: str
    tallier: VoteCounter
    """Counts the votes on this question."""
    notes: list[Degradation] = field(default_factory=list)

    async def reply(self, candidates: Sequence[Candidate], purpose: str) -> Reply:
        """What the judge says about these candidates, all of which say something, in this order."""
        material = laid_out([item(c) for c in candidates], self.room, self.where)
        self.notes += material.notes
        words = self.words.render(question=conversation(self.question), responses=material.texts)
        reply = await self.asked.reply(words, purpose, self.run)
        self.notes += reply.degraded
        return reply

    def note(self, code: Code, detail: str) -> None:
        self.notes.append(Degradation(code=code, where=self.where, detail=detail))

    def failed(self, detail: str) -> None:
        """There is no verdict, and this is why."""
        self.notes.append(shortfall(self.run, self.where, detail))


class Judge(Backed, ABC):
    """A model that picks one of the candidates.

    Candidates are shuffled by the seed, without their thinking; failed ones, and those that say nothing
    outside their thinking, are not shown. A single one needs no judge. Where the judge fails, says
    nothing, or names a candidate that does not exist, the fallback answers and the answer is marked
    `aggregator_failed`; without budget, `budget_exhausted`. It is not asked twice.

    Args:
        judge: the model that is asked; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        max_context_tokens: room for the candidates in one prompt, by the model's `count_tokens` where
            it has one, else estimated at three characters a token. Longer ones lose their middle, and
            the answer is marked `candidate_cut`.
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
        max_context_tokens: int = 24_000,
        sampling: SamplingParams | None = None,
        concurrency: int = 8,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        for setting, value in (("max_context_tokens", max_context_tokens), ("concurrency", concurrency)):
            if value < 1:
                raise BadInput(f"{type(self).__name__}({setting}={value}): give at least 1")
        self.judge = judge
        self.fallback = fallback or MajorityVote()
        self.max_context_tokens = max_context_tokens
        self.sampling = sampling or SamplingParams()
        self.concurrency = concurrency
        self.prompt = prompt_of(self.prompt_name, overrides, question="x", responses=["x", "y"])

    @abstractmethod
    async def judged(self, session: Session, players: Sequence[Candidate]) -> Candidate | None:
        """The winner of two or more; None, with `session.failed` told, where there is no verdict."""

    @abstractmethod
    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""

    @property
    def models(self) -> tuple[Model, ...]:
        """See `protocols.Calling`."""
        return (self.judge,)

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`.

        Raises:
            NoAnswer: no candidate is ok.
        """
        self.check(candidates)
        session = self._session(question, run)
        players = [c for c in shuffled(candidates, run) if told(c)]
        winner = None
        if len(players) > 1 and (reason := run.exhausted()) is not None:
            session.failed(reason)
        elif len(players) > 1:
            winner = await self.judged(session, players)
        notes = told_once(session.notes)
        if winner is not None:
            yield Done(answer=await self._answer(winner, candidates, notes, session))
            return
        async with aclosing(self.instead(question, candidates, run, notes)) as events:
            async for event in events:
                yield event

    def _session(self, question: Question, run: RunContext) -> Session:
        return Session(
            question=question,
            run=run,
            asked=Asked(self.judge, self.sampling, asyncio.Semaphore(self.concurrency)),
            words=self.prompt,
            room=Room.of(self.judge, self.max_context_tokens),
            where=f"{run.node}: {self.judge.name}",
            tallier=self.tailored(question),
        )

    async def _answer(
        self,
        winner: Candidate,
        candidates: Sequence[Candidate],
        notes: tuple[Degradation, ...],
        session: Session,
    ) -> Answer:
        return Answer(
            text=winner.text,
            model=winner.model,
            answer=session.tallier.extract(winner),
            reasoning=winner.reasoning,
            tool_calls=winner.tool_calls,
            finish_reason=winner.finish_reason or "stop",
            candidates=tuple(candidates),
            tally=await session.tallier.tally(candidates),
            degraded=notes,
            usage=session.run.ledger.usage,
            stages=session.run.ledger.nodes,
        )

    async def aclose(self) -> None:
        """Closes the model and the fallback."""
        await closed((self.judge, self.fallback))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.judge.name})"
