"""What every synthesizer shares: its models, its prompt, its room, and the vote that stands in for it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from quorate.orchestrator.context import RunContext, explain_cut
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator, Extractor, Model, Tailored
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question
from quorate.prompts import Prompt

from ..asking import inner_run
from ..backing import Backed, closed, shortfall
from ..extraction import AnswerExtractor
from ..vote import MajorityVote
from .material import Counts, Item, Room, item, laid_out, shuffled
from .wording import as_system, prompt_of
from .writing import Writing

__all__ = ["Brief", "Synthesis", "Writer", "told_once"]

SAMPLE = {"responses": ["x", "y"], "system": "", "problem": "x", "formatted": False}
"""Variables of every prompt of this family."""


class Synthesis(Backed, ABC):
    """Base of all: parameters, tally, closing.

    Args:
        aggregator: the model that synthesizes; a pipeline will do.
        fallback: what answers without it, and counts the votes; `MajorityVote()` by default.
        extractor: finds the answer in the synthesized text; `AnswerExtractor()` by default. A fallback
            that is `Tailored`, such as `StructuredVote`, finds it instead.
        max_context_tokens: room for the candidates in one prompt, and no more than the model's context
            leaves where it knows it (`material.Counts`); else estimated at three characters a token.
            Longer ones lose their middle, and the answer is marked `candidate_cut`.
        overrides: replacements of the class's prompt; see `quorate.prompts.load`.

    Raises:
        BadInput: max_context_tokens leaves no room, or the prompt cannot be used.
    """

    prompt_name: ClassVar[str]
    placed: Callable[[Prompt, Question, Sequence[str]], Question] = staticmethod(as_system)
    """Where the prompt stands in the conversation."""
    sample: ClassVar[Mapping[str, Any]] = SAMPLE
    """Variables that its prompt gets, with values to try it on."""

    def __init__(
        self,
        aggregator: Model,
        *,
        fallback: Aggregator | None = None,
        extractor: Extractor | None = None,
        max_context_tokens: int = 24_000,
        overrides: Mapping[str, str | Path] | None = None,
    ) -> None:
        if max_context_tokens < 1:
            raise BadInput(f"{type(self).__name__}(max_context_tokens={max_context_tokens}): give at least 1")
        self.aggregator = aggregator
        self.fallback = fallback or MajorityVote()
        self.extractor = extractor or AnswerExtractor()
        self.max_context_tokens = max_context_tokens
        self.prompt = prompt_of(self.prompt_name, overrides, **self.sample)

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it may ask."""
        return (self.aggregator,)

    @abstractmethod
    def calls(self, n: int) -> int:
        """See `protocols.Calling`."""

    @abstractmethod
    def aggregate(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`."""

    def worded(self, question: Question, items: Sequence[Item], model: Model, where: str) -> Brief:
        """What a model is asked about these texts, in this order; nothing if none of them says anything."""
        material = laid_out(items, self.room(question, model), f"{where}: {model.name}")
        asked = self.placed(self.prompt, question, material.texts) if material.texts else None
        return Brief(asked, material.notes, problem="no candidate says anything outside its thinking")

    def room(self, question: Question, model: Model) -> Room:
        """What the prompt and the conversation leave for the candidates."""
        frame = self.placed(self.prompt, question, ["", ""])
        return Room.of(model, self.max_context_tokens, [m.text for m in frame.messages])

    def answer_in(self, question: Question, written: Answer) -> str | None:
        """What a synthesized text (or tool call) answers."""
        if not isinstance(self.fallback, Tailored):
            return self.extractor.extract(written.text)
        spoken = Candidate(index=0, model=written.model, text=written.text, tool_calls=written.tool_calls)
        return self.fallback.tailored(question).extract(spoken)

    async def finished(
        self,
        question: Question,
        answer: Answer,
        candidates: Sequence[Candidate],
        notes: Iterable[Degradation],
        run: RunContext,
    ) -> Answer:
        """An inner answer with the candidates and their votes in place of its own."""
        tallier = self.tailored(question)
        return answer.replace(
            candidates=tuple(candidates),
            tally=await tallier.tally(candidates),
            degraded=(*notes, *answer.degraded),
            usage=run.ledger.usage,
            stages=run.ledger.nodes,
        )

    async def begin(self, candidates: Sequence[Candidate]) -> None:
        """Loads tokenizers beside the loop.

        Raises:
            NoAnswer: there is nothing to synthesize.
        """
        self.check(candidates)
        for model in self.models:
            if isinstance(model, Counts):
                await asyncio.to_thread(Room.of, model, 1)

    async def aclose(self) -> None:
        """Closes the models and the fallback."""
        await closed((*self.models, self.fallback))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.aggregator.name})"


@dataclass(frozen=True)
class Brief:
    """What the model that writes is asked, or why it is not asked."""

    asked: Question | None
    notes: tuple[Degradation, ...] = ()
    problem: str = ""
    stopped: str | None = None
    """The budget that ran out."""


class Writer(Synthesis):
    """A new answer that a model writes, streamed.

    Failed candidates are left out. Without an answer of the model (it failed, it said nothing, the
    budget is used up) the fallback answers, and the answer is marked `aggregator_failed` or
    `budget_exhausted`. If the model fails in the middle of a text of which somebody has read the
    beginning, that beginning is the answer, marked alike, with the finish reason `error`.
    """

    def calls(self, n: int) -> int:  # noqa: ARG002 - one prompt holds them all
        """See `protocols.Calling`."""
        return 1

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        """See `protocols.Aggregator`; the model's tokens as they come, then `Done`."""
        await self.begin(candidates)
        writing, where = Writing(live=run.live), f"{run.node}: {self.aggregator.name}"
        brief = await self.brief(question, candidates, run)
        notes = told_once(brief.notes)
        if (reason := brief.stopped or run.exhausted()) is not None:
            note = explain_cut(reason, where)
        elif brief.asked is None:
            note = Degradation(code="aggregator_failed", where=where, detail=brief.problem)
        else:
            inner = inner_run(run, "synthesis")
            stream = self.aggregator.stream(brief.asked.with_params(seed=inner.seed), inner)
            async with aclosing(writing.events(stream)) as events:
                async for event in events:
                    yield event
            if writing.answer is not None:
                found = self.answer_in(question, writing.answer)
                answer = writing.answer.replace(answer=found, prompt_version=self.prompt.version)
                yield Done(answer=await self.finished(question, answer, candidates, notes, run))
                return
            note = shortfall(run, where, writing.problem)
        rest = self.instead(question, candidates, run, (note, *notes))
        async with aclosing(writing.over(rest, self.extractor)) as events:
            async for event in events:
                yield event

    async def brief(self, question: Question, candidates: Sequence[Candidate], run: RunContext) -> Brief:
        """What the model is asked in the end: about all candidates in a seeded order."""
        items = [item(c) for c in shuffled(candidates, run)]
        return self.worded(question, items, self.aggregator, run.node)


def told_once(notes: Iterable[Degradation]) -> tuple[Degradation, ...]:
    """One note for the same thing at the same place, such as one text cut for several readers."""
    return tuple({(note.code, note.where): note for note in reversed(list(notes))}.values())[::-1]
