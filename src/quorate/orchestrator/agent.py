"""Base of everything that answers by itself: give it `sample`, and it is a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from .errors import NoAnswer
from .events import (
    CandidateCancelled,
    CandidateFailed,
    CandidateFinished,
    CandidateToken,
    Done,
    Event,
    SynthesisToken,
)
from .merging import until
from .model import Answering
from .run import Ledger, Run, cut_short
from .types import Answer, Candidate, Question

__all__ = ["Agent"]


class Agent(Answering):
    """A single model: `sample` draws candidates, `stream` passes the first one through as the answer."""

    members: tuple[object, ...] = ()
    """The models that write its answers together; none where it is one model."""

    @abstractmethod
    def sample(self, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`."""

    async def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """One candidate, its tokens passed on as those of the answer.

        Raises:
            NoAnswer: the model failed (with its status), or the budget ended before any text.
        """
        run = replace(run, ledger=Ledger(run.ledger), live=run.live or run.deadline is not None).at("answer")
        if (left := run.tokens_left()) is not None:
            question = question.sampled(max_tokens=min(left, question.sampling.max_tokens or left))
        async with aclosing(until(run.deadline, self.sample(question, [0], run), run.halt)) as events:
            try:
                async for event in events:
                    match event:
                        case CandidateToken():
                            yield SynthesisToken(text=event.text, reasoning=event.reasoning)
                        case CandidateFinished(candidate=candidate):
                            yield event
                            yield Done(answer=self._answer(candidate, run))
                        case CandidateFailed(candidate=Candidate(error=failure)) if failure is not None:
                            raise NoAnswer(
                                failure.message,
                                status=failure.status,
                                code=failure.code,
                                retry_after=failure.retry_after,
                            )
                        case _:
                            yield event
            except TimeoutError:
                for late in self._cut_off(run):
                    yield late

    def _cut_off(self, run: Run) -> list[Event]:
        """The answer as far as it came before the deadline."""
        reason = run.exhausted() or run.timed_out()
        partial, note = next((c for c in run.cut if c.text), None), cut_short(reason, f"answer: {self.name}")
        if partial is None:
            status = 503 if note.code == "halted" else 504
            raise NoAnswer(f"{self.name} gave no text in time ({reason})", status=status, code=note.code)
        notes = (note, *partial.degraded)
        answer = self._answer(partial, run).with_(finish_reason="length", stopped=reason, degraded=notes)
        return [CandidateCancelled(candidate=partial), Done(answer=answer)]

    def _answer(self, candidate: Candidate, run: Run) -> Answer:
        return Answer(
            text=candidate.text,
            model=self.name,
            answer=candidate.answer,
            reasoning=candidate.reasoning,
            tool_calls=candidate.tool_calls,
            finish_reason=candidate.finish_reason or "stop",
            candidates=(candidate,),
            degraded=candidate.degraded,
            usage=run.ledger.usage,
            stages=run.ledger.stages,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
