"""An answer while a model writes it, as far as somebody has read it, and what stands in for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from quorate.orchestrator.events import AnswerToken, Done, Event
from quorate.orchestrator.protocols import Extractor
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Answer

__all__ = ["Writing"]


@dataclass
class Writing:
    """What was written so far, as far as somebody has read it."""

    live: bool
    """Tokens are passed on as they come; else nobody reads them, and a failure leaves no trace."""
    text: str = ""
    reasoning: str = ""
    answer: Answer | None = None
    problem: str = "it gave an empty answer"
    held: list[AnswerToken] = field(default_factory=list)
    """Leading white space, which might stay all there is."""

    async def events(self, stream: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The tokens of a stream; afterwards `answer` is set, or `problem` says why not."""
        try:
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, AnswerToken):
                        for token in self._passed(event):
                            yield token
                    elif isinstance(event, Done) and (event.answer.text.strip() or event.answer.tool_calls):
                        self.answer = event.answer
        except Exception as error:
            self.problem = failure_of(error).message

    def _passed(self, token: AnswerToken) -> list[AnswerToken]:
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

    async def over(self, fallback: AsyncGenerator[Event, None], extractor: Extractor) -> AsyncGenerator[Event, None]:
        """The fallback's events, but for what has been read already, which cannot be taken back."""
        async with aclosing(fallback) as events:
            async for event in events:
                if isinstance(event, Done):
                    yield Done(answer=self._kept(event.answer, extractor))
                elif not self.text:
                    yield event

    def _kept(self, fallback: Answer, extractor: Extractor) -> Answer:
        if self.text:
            answer = extractor.extract(self.text)
            return fallback.replace(
                text=self.text, reasoning=self.reasoning or None, answer=answer, tool_calls=(), finish_reason="error"
            )
        return fallback.replace(reasoning=self.reasoning) if self.reasoning else fallback
