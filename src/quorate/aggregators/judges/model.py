"""Asking a judge: one message, one reply, and what the reply decides.

A judge's failure is a value, and what it spends belongs to the aggregator. Its reply may be anything; reading it
takes time linear in its length.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import NamedTuple

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Degradation, Message, Question, SamplingParams

from ..markup import visible

__all__ = ["JudgeModel", "JudgeReply", "conversation_text", "parse_choice", "parse_preference"]

_MARKED = re.compile(
    r"\bchosen\W*+(?:(?:response|solution|answer|attempt|option|number|is|the)\W*+){0,4}+(?<!-)(\d{1,6}|tie)\b",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\W*+(?:text\W*+)?(?:response|solution)?\W*+(\d{1,6}|tie)\b", re.IGNORECASE)
_BARE = re.compile(
    r"\W*+(?:(?:the|response|solution|answer|attempt|option|number|is)\W*+){0,3}+(\d{1,6}|tie)\W*+", re.I
)


class JudgeReply(NamedTuple):
    """What a judge said after its thinking, or why it said nothing."""

    text: str = ""
    problem: str = ""
    degraded: tuple[Degradation, ...] = ()
    """What did not go as configured while it was asked."""


@dataclass(frozen=True)
class JudgeModel:
    """A model that is asked several things at once.

    The caller's sampling settings, tools and format are for candidates; a judge has its own.
    """

    model: Model
    sampling: SamplingParams
    limit: asyncio.Semaphore
    """Of requests at a time."""

    async def ask(self, words: str, purpose: str, run: RunContext) -> JudgeReply:
        """The reply to one message.

        Args:
            words: the message.
            purpose: tells this call from the others of its run, for its seed.
            run: of the aggregator.
        """
        async with self.limit:
            if (reason := run.exhausted()) is not None:
                return JudgeReply(problem=reason)
            inner = run.asking(purpose, live=False)
            question = Question(messages=(Message(role="user", content=words),), sampling=self.sampling)
            if inner.seed is not None:
                question = question.with_params(seed=inner.seed)
            try:
                answer = await self.model.answer(question, inner)
            except Exception as error:
                return JudgeReply(problem=failure_of(error).message)
        text = visible(answer.text).strip()
        return JudgeReply(text, "" if text else "it gave an empty answer", answer.degraded)


def conversation_text(question: Question) -> str:
    """The question as text: the message itself, or all messages with their roles; images are left out."""
    if len(question.messages) == 1:
        return question.text
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in question.messages if message.text)


def _verdict(reply: str) -> str | None:
    """The number or `tie` that a reply ends in: the last marked one, a boxed one, or all there is."""
    for marks in (_MARKED, _BOXED):
        found = marks.findall(reply)
        if found:
            return str(found[-1]).lower()
    bare = _BARE.fullmatch(reply) if len(reply) < 100 else None
    return bare[1].lower() if bare else None


def parse_choice(reply: str, n: int) -> int | None:
    """Position, from 0, of the one of n that a reply names; None if it names none of them."""
    word = _verdict(reply)
    return int(word) - 1 if word is not None and word != "tie" and 1 <= int(word) <= n else None


def parse_preference(reply: str) -> float | None:
    """Points of the first of two by a reply: 1, 0, or 0.5 for a tie; None if it does not say."""
    return {"1": 1.0, "2": 0.0, "tie": 0.5}.get(_verdict(reply) or "")
