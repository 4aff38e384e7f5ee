"""Asking a judge: one message, one reply; its failure is a value, what it spends belongs to the aggregator."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import NamedTuple

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.events import Done
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.sampling import failure_of
from quorate.orchestrator.types import Answer, Degradation, Message, Question, SamplingParams

from ..asking import inner_run
from ..markup import visible

__all__ = ["Asked", "Reply", "conversation"]


class Reply(NamedTuple):
    """What a judge said after its thinking, or why it said nothing."""

    text: str = ""
    problem: str = ""
    degraded: tuple[Degradation, ...] = ()
    """What did not go as configured while it was asked."""


@dataclass(frozen=True)
class Asked:
    """A model that is asked several things at once.

    The caller's sampling settings, tools and format are for candidates; a judge has its own.
    """

    model: Model
    sampling: SamplingParams
    limit: asyncio.Semaphore

    async def reply(self, words: str, purpose: str, run: RunContext) -> Reply:
        """The reply to one message; `purpose` tells this call from the others of its run, for its seed."""
        async with self.limit:
            if (reason := run.exhausted()) is not None:
                return Reply(problem=reason)
            inner = replace(inner_run(run, purpose), live=False)
            question = Question(messages=(Message(role="user", content=words),), sampling=self.sampling)
            try:
                answer = await self._answer(
                    question if inner.seed is None else question.with_params(seed=inner.seed), inner
                )
            except Exception as error:
                return Reply(problem=failure_of(error).message)
        text = visible(answer.text).strip() if answer else ""
        problem = "" if text else "it gave an empty answer"
        return Reply(text, problem, answer.degraded if answer else ())

    async def _answer(self, question: Question, run: RunContext) -> Answer | None:
        answer = None
        async with aclosing(self.model.stream(question, run)) as events:
            async for event in events:
                if isinstance(event, Done):
                    answer = event.answer
        return answer


def conversation(question: Question) -> str:
    """The question as text: the message itself, or all messages with their roles; images are left out."""
    if len(question.messages) == 1:
        return question.text
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in question.messages if message.text)
