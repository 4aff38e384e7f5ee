"""An answer while a model writes it, as far as somebody has read it, and what stands in for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from quorate.orchestrator.events import Done, Event, SynthesisToken
from quorate.orchestrator.proposers import failure_of
from quorate.orchestrator.protocols import Aggregator, Extractor
from quorate.orchestrator.run import Run
from quorate.orchestrator.types import Answer, Candidate, Degradation, Question

__all__ = ["Writing", "instead"]


@dataclass
class Writing:
    """What was written so far, as far as somebody has read it."""

    live: bool
    """Tokens are passed on as they come; else nobody reads them, and a failure leaves no trace."""
    text: str = ""
    reasoning: str = ""
    answer: Answer | None = None
    problem: str = "it gave an empty answer"
    held: list[SynthesisToken] = field(default_factory=list)
    """Leading white space, which might stay all there is."""

    async def events(self, stream: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The tokens of a stream; afterwards `answer` is set, or `problem` says why not."""
        try:
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, SynthesisToken):
                        for token in self._passed(event):
                            yield token
                    elif isinstance(event, Done) and (event.answer.text.strip() or event.answer.tool_calls):
                        self.answer = event.answer
        except Exception as error:
            self.problem = failure_of(error).message

    def _passed(self, token: SynthesisToken) -> list[SynthesisToken]:
        if not self.live:
            return []
        if token.reasoning:
            self.reasoning += token.text
            return [token]
        self.held.append(token)
        if not token.text.strip() and not self.text:
            return []
        passed, self.held = self.held, []
        self.text += "".join(t.text for t in passed)
        return passed

    def over(self, fallback: Answer, extractor: Extractor) -> Answer:
        """The fallback's answer, but for what has been read already, which cannot be taken back."""
        if self.text:
            answer = extractor.extract(self.text)
            return fallback.with_(
                text=self.text, reasoning=self.reasoning or None, answer=answer, tool_calls=(), finish_reason="error"
            )
        return fallback.with_(reasoning=self.reasoning) if self.reasoning else fallback


async def instead(
    fallback: Aggregator,
    question: Question,
    candidates: Sequence[Candidate],
    run: Run,
    notes: Sequence[Degradation],
    writing: Writing,
    extractor: Extractor,
) -> AsyncGenerator[Event, None]:
    """What there is without a whole answer: what was read of it, else the fallback's; marked with `notes`."""
    async with aclosing(fallback.aggregate(question, candidates, run)) as events:
        async for event in events:
            if isinstance(event, Done):
                answer = event.answer.with_(degraded=(*notes, *event.answer.degraded))
                yield Done(answer=writing.over(answer, extractor))
            elif not writing.text:
                yield event
