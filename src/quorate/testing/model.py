"""A model in memory that answers as told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence

from quorate.agents.agent import Agent
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.events import CandidateFailed, CandidateFinished, CandidateStarted, CandidateToken, Event
from quorate.orchestrator.run import Run
from quorate.orchestrator.types import Candidate, Failure, Question, Usage

from .script import pieces_of

__all__ = ["Line", "ScriptedModel"]

Line = str | Failure | Exception | None
"""A text; a failure of this sample; an error that the model crashes with; None never comes to an end."""


class ScriptedModel(Agent):
    """Answers sample i with line i of its script, around again after the last; each word costs a token.

    Args:
        script: the lines, or a function from the question and the index to a line.
        name: of the model.

    Attributes:
        asked: the questions, one for each sample drawn.
    """

    def __init__(
        self, script: Sequence[Line] | Callable[[Question, int], Line] = ("ok",), *, name: str = "scripted"
    ) -> None:
        lines = [script] if isinstance(script, str) else script
        if not callable(lines) and not lines:
            raise BadInput("ScriptedModel(script) is empty: give at least one line")
        self._lines = lines
        self.name = name
        self.asked: list[Question] = []

    async def sample(self, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
        """See `protocols.Sampler`; in the order of the indices, those without end last."""
        lines = {index: self._line(question, index) for index in indices}
        for index in indices:
            self.asked.append(question)
            yield CandidateStarted(index=index, model=self.name)
        for index, line in lines.items():
            if isinstance(line, Exception):
                raise line
            if isinstance(line, Failure):
                yield CandidateFailed(candidate=self._candidate(index, run).model_copy(update={"error": line}))
            elif line is not None:
                for event in self._told(question, index, line, run):
                    yield event
                    await asyncio.sleep(0)
        endless = [index for index, line in lines.items() if line is None]
        if endless:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled = {"finish_reason": "cancelled"}
                run.cut.extend(self._candidate(index, run).model_copy(update=cancelled) for index in endless)

    def _line(self, question: Question, index: int) -> Line:
        if callable(self._lines):
            return self._lines(question, index)
        return self._lines[index % len(self._lines)]

    def _told(self, question: Question, index: int, text: str, run: Run) -> list[Event]:
        pieces = pieces_of(text)
        prompt = sum(len(pieces_of(message.text)) for message in question.messages)
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(pieces), requests=1)
        run.record(self.name, usage)
        told = {"text": text, "usage": usage, "finish_reason": "stop", "latency": time.monotonic() - run.started}
        tokens: list[Event] = [CandidateToken(index=index, text=piece) for piece in pieces] if run.live else []
        return [*tokens, CandidateFinished(candidate=self._candidate(index, run).model_copy(update=told))]

    def _candidate(self, index: int, run: Run) -> Candidate:
        return Candidate(index=index, model=self.name, agent=self.name, seed=run.sample_seed(index))
