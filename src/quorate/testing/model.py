"""A model in memory that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Failure, Question
from quorate.orchestrator.usage import Usage

from .script import pieces_of

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

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`; in the order of the slots, those without end last."""
        lines = [self._line(question, slot.index) for slot in slots]
        self.asked += [question] * len(slots)
        try:
            for slot, line in zip(slots, lines, strict=True):
                slot.start(self.name, self.name, seed=run.sample_seed(slot.index), prompt_counted=True)
                if isinstance(line, Exception):
                    raise line
                if isinstance(line, Failure):
                    slot.fail(line)
                elif line is not None:
                    await self._write(question, slot, line, run)
            if None in lines:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            for slot in slots:
                if slot.pieces:
                    slot.leave(self._usage(question, slot.pieces))
            raise

    def _line(self, question: Question, index: int) -> Line:
        if callable(self._lines):
            return self._lines(question, index)
        return self._lines[index % len(self._lines)]

    async def _write(self, question: Question, slot: PartialCandidate, text: str, run: RunContext) -> None:
        pieces = pieces_of(text)
        for piece in pieces if run.live else ():
            slot.write(piece)
            await asyncio.sleep(0)
        slot.finish("stop", self._usage(question, len(pieces)), text=text)
        await asyncio.sleep(0)
        await slot.reviewed()

    def _usage(self, question: Question, written: int) -> Usage:
        prompt = sum(len(pieces_of(message.text)) for message in question.messages)
        return Usage(prompt_tokens=prompt, completion_tokens=written, requests=1)
