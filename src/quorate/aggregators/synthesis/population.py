"""A population of answers that is renewed round by round, then votes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Model
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question

from ..extraction import AnswerExtractor
from .base import Synthesis, told_once
from .material import canonical
from .members import Ask, draw

__all__ = ["Population", "RandomMember"]


class Population(Synthesis):
    """Base: rounds over a population whose first members are the candidates.

    A member that fails leaves its predecessor in its place (`member_failed`). Where all fail the
    rounds end (`aggregator_failed`), where the budget ends they end (`budget_exhausted`), and the
    population as it is votes. The answer's tally stays that of the candidates.

    Args:
        aggregator: see `Synthesis`, as all further arguments.
        rounds: how often the population is renewed; 0 leaves the vote alone.
        final: how its last members become one; the fallback if not given.
    """

    rounds_name = "round"

    def __init__(self, aggregator: Model, *, rounds: int, final: Aggregator | None = None, **options: Any) -> None:
        super().__init__(aggregator, **options)
        if rounds < 0:
            raise BadInput(f"{type(self).__name__}({self.rounds_name}s={rounds}): give 0 or more")
        self.rounds = rounds
        self.final = final or self.fallback

    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""
        return n * self.rounds

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; no tokens, since a vote decides in the end."""
        await self.begin(candidates)
        first = canonical(candidates)
        members, notes = await self._evolved(question, first, run)
        async with aclosing(self.final.aggregate(question, members, run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    version = None if members == _numbered(first) else self.prompt.version
                    answer = event.answer.replace(prompt_version=version)
                    yield Done(answer=await self.finished(question, answer, candidates, told_once(notes), run))
                else:
                    yield event

    async def _evolved(
        self, question: Question, first: Sequence[Candidate], run: RunContext
    ) -> tuple[list[Candidate], list[Degradation]]:
        members, notes = _numbered(first), list[Degradation]()
        for number in range(1, self.rounds + 1):
            here = run.at_node(f"{run.node}/{self.rounds_name}-{number}")
            asks, cut = self.asks(question, members, first, here)
            if not asks and not cut:
                break
            drawn = await draw(asks, here)
            notes += [*cut, *drawn.notes]
            members = [drawn.members.get(m.index, m) for m in members]
            where = f"{here.node}: {self.aggregator.name}"
            if drawn.stopped is not None:
                notes.insert(0, explain_cut(drawn.stopped, where))
                break
            if not drawn.members:
                detail = f"no member of this {self.rounds_name} answered; those before it vote"
                notes.insert(0, Degradation(code="aggregator_failed", where=where, detail=detail))
                break
        return members, notes

    @abstractmethod
    def asks(
        self, question: Question, members: Sequence[Candidate], first: Sequence[Candidate], run: RunContext
    ) -> tuple[list[Ask], list[Degradation]]:
        """What makes the next member at each place, and what was cut for it; nothing ends the rounds."""


def _numbered(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [c.model_copy(update={"index": place}) for place, c in enumerate(candidates)]


class RandomMember:
    """One candidate by the seed's draw, whatever their order: the other end of recursive self-aggregation."""

    name = "random"

    async def aggregate(
        self,
        question: Question,  # noqa: ARG002 - chance needs only the candidates
        candidates: Sequence[Candidate],
        run: RunContext,
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; one `Done`."""
        chosen = run.rng("member").choice(canonical(candidates))
        yield Done(
            answer=Answer(
                text=chosen.text,
                model=chosen.model,
                answer=chosen.answer if chosen.answer is not None else AnswerExtractor().extract(chosen.text),
                reasoning=chosen.reasoning,
                tool_calls=chosen.tool_calls,
                finish_reason=chosen.finish_reason or "stop",
                candidates=tuple(candidates),
            )
        )
