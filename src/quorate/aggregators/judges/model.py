"""Asking a judge: one message, one reply, and once more where the reply holds no verdict that can be read.

What it is asked fits into its context, and is cut further where its server says that it does not.

A judge's failure is a value, and what it spends belongs to the aggregator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import failure_of
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, Degradation, Message, Question, SamplingParams
from quorate.prompts import Prompt, load

from ..markup import visible
from ..synthesis.context import TokenBudget, learn_limits, leave_room, until_it_fits
from ..synthesis.material import label_candidate, pack
from .verdicts import VerdictForm

__all__ = ["JUDGE_SAMPLING", "JUDGE_TOKENS", "JudgeModel", "JudgeReply", "Verdict", "conversation_text"]

JUDGE_TOKENS = 512
"""Tokens of one reply of a judge, its thinking included: a comparison in a few sentences, and the verdict."""
JUDGE_SAMPLING = SamplingParams(temperature=0.0, max_tokens=JUDGE_TOKENS)
"""How a judge answers where nothing else is said."""
QUOTED = 80
"""Characters of an unreadable reply that a note quotes."""

V = TypeVar("V")


class JudgeReply(NamedTuple):
    """What a judge said after its thinking, or why it said nothing."""

    text: str = ""
    problem: str = ""
    code: str = ""
    """Of the problem, where it is the model's."""
    degraded: tuple[Degradation, ...] = ()
    """What did not go as configured while it was asked."""
    cut: bool = False
    """It ended at its limit of tokens."""


class Verdict(NamedTuple, Generic[V]):
    """What a judge decided, or why there is no verdict."""

    value: V | None = None
    problem: str = ""
    code: str = ""
    """Of the problem, where it is the model's."""
    degraded: tuple[Degradation, ...] = ()


@dataclass(frozen=True)
class JudgeModel:
    """A model that is asked several things at once.

    The caller's sampling settings, tools and format are for candidates; a judge has its own.
    """

    model: Model
    sampling: SamplingParams
    limit: asyncio.Semaphore
    """Of requests at a time."""
    again: Prompt = field(default_factory=partial(load, "verdict"))
    """Asks for a verdict once more."""

    async def ask(self, words: str, purpose: str, run: RunContext) -> JudgeReply:
        """The reply to one message.

        Args:
            words: the message.
            purpose: tells this call from the others of its run, for its seed.
            run: of the aggregator.
        """
        return await self._ask([Message(role="user", content=words)], purpose, run)

    async def decide(self, words: str, purpose: str, run: RunContext, form: VerdictForm[V]) -> Verdict[V]:
        """The verdict that one message asks for; asked once more where the reply holds none that can be read.

        Args:
            words, purpose, run: see `ask`.
            form: of the verdict.
        """
        first = await self.ask(words, purpose, run)
        if first.problem and (first.code or first.cut):
            return Verdict(problem=first.problem, code=first.code, degraded=first.degraded)
        value = form.parse(first.text)
        if value is not None:
            return Verdict(value, degraded=first.degraded)
        second = await self._ask(self._messages_again(words, first.text, form.example), f"{purpose}.again", run)
        degraded = (*first.degraded, *second.degraded)
        value = form.parse_again(second.text)
        if value is not None:
            return Verdict(value, degraded=degraded)
        text = second.text or first.text
        problem = f"no verdict in its reply, nor when asked again: {text[-QUOTED:]!r}" if text else first.problem
        return Verdict(problem=problem, degraded=degraded)

    async def decide_about(
        self,
        candidates: Sequence[Candidate],
        render: Callable[[Sequence[str]], str],
        form: VerdictForm[V],
        purpose: str,
        run: RunContext,
        *,
        max_context_tokens: int,
    ) -> Verdict[V]:
        """The verdict about candidates, all of which say something, as they fit into the judge's context.

        Args:
            candidates: in the order in which they are read.
            render: the message that shows these texts.
            form, purpose, run: see `decide`.
            max_context_tokens: for the texts.
        """
        items = [label_candidate(candidate) for candidate in candidates]
        await learn_limits(self.model, [text for _, text in items])
        frame, where = [render(["", ""])], f"{run.node}: {self.model.name}"

        async def attempt(share: float) -> Verdict[V]:
            budget = TokenBudget.of(self.model, max_context_tokens, frame, answer=self.sampling.max_tokens, share=share)
            material = pack(items, budget, where)
            verdict = await self.decide(render(material.texts), purpose, run, form)
            return verdict._replace(degraded=(*material.notes, *verdict.degraded))

        return await until_it_fits(self.model, attempt, lambda verdict: verdict.code)

    def _messages_again(self, words: str, said: str, example: str) -> list[Message]:
        """Roles take turns, as many chat templates will have it."""
        again = self.again.render(example=example)
        if not said:
            return [Message(role="user", content=f"{words}\n\n{again}")]
        turns = (("user", words), ("assistant", said), ("user", again))
        return [Message(role=role, content=text) for role, text in turns]

    async def _ask(self, messages: Sequence[Message], purpose: str, run: RunContext) -> JudgeReply:
        async with self.limit:
            if (reason := run.exhausted()) is not None:
                return JudgeReply(problem=reason, code="budget_exhausted")
            inner = run.asking(purpose, live=False)
            question = Question(messages=tuple(messages), sampling=self.sampling)
            if inner.seed is not None:
                question = question.with_params(seed=inner.seed)
            try:
                answer = await self.model.answer(leave_room(question, self.model), inner)
            except Exception as error:
                failure = failure_of(error)
                return JudgeReply(problem=failure.message, code=failure.code)
        text, cut = visible(answer.text).strip(), answer.finish_reason == "length"
        problem = "" if text else "it gave an empty answer"
        if cut and not text:
            problem = f"its limit of {self.sampling.max_tokens} tokens ended before it said anything: raise max_tokens"
        return JudgeReply(text, problem, "", answer.degraded, cut)


def conversation_text(question: Question) -> str:
    """The question as text: the message itself, or all messages with their roles; images are left out."""
    if len(question.messages) == 1:
        return question.text
    return "\n\n".join(f"[{message.role}]\n{message.text}" for message in question.messages if message.text)
