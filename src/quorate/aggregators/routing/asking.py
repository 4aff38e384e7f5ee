"""A model that helps another one to be chosen, or to be asked.

`NamingRouter` has a model name the task and the one of several that fits it, by what is said of each: the global half
of Glider (arXiv 2410.07172) and the choice of experts by skill in MEXA (arXiv 2506.17113). `RewritingModel` has the
question reworded for the model that was chosen, as Octopus v4 does (arXiv 2404.19296). No figure stands behind either
here: both need a model that follows instructions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import QuorateError
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Degradation, Question
from quorate.prompts import load

from ..panels.analysis import make_fence

CHOICE = re.compile(r"\bchoice\W{0,5}(\d{1,4})\b[*_.]{0,5}", re.IGNORECASE)
MOST_NAMED = 300
"""Characters of a reply that are told as the reason."""


@dataclass(frozen=True)
class NamingRouter:
    """A model names the task and chooses (`protocols.Router`); where its reply names nobody, the first is asked."""

    namer: Model
    about: Mapping[str, str] = field(default_factory=dict)
    """What each model is good at, by name."""

    async def choose(self, question: Question, options: Sequence[Model], run: RunContext) -> tuple[int, str]:
        """See `protocols.Router`."""
        up = [place for place, model in enumerate(options) if model.available] or list(range(len(options)))
        shown = [{"name": options[place].name, "about": self.about.get(options[place].name, "")} for place in up]
        words = load("route-task").render(options=shown, question=question.text, fence=make_fence([question.text], run))
        try:
            reply = (await self.namer.answer(Question.of(words), run.asking("name"))).text
        except QuorateError as error:
            return up[0], f"the task could not be named: {error}"
        found = CHOICE.findall(reply)
        if not found or not 1 <= int(found[-1]) <= len(up):
            return up[0], "the reply names none of them"
        said = " ".join(CHOICE.sub("", reply).split())[:MOST_NAMED]
        return up[int(found[-1]) - 1], said or "chosen"


class RewritingModel(Wrapper):
    """Asks a model a question that was reworded for it; as it stands where that fails, marked `fallback_used`.

    Args:
        model: is asked.
        writer: rewrites.
        about: what the model is good at.
    """

    def __init__(self, model: Model, writer: Model, about: str = "") -> None:
        super().__init__(model)
        self.writer, self.about = writer, about

    @property
    def parts(self) -> tuple[Model, ...]:
        return (self.model, self.writer)

    @property
    def calls(self) -> int:
        return self.model.calls + self.writer.calls

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = super().map_models(change)
        other.writer = change(self.writer)
        return other

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        reworded, note = await self._rewrite(question, run)
        answer = await self.model.answer(reworded, run)
        return answer if note is None else answer.replace(degraded=(note, *answer.degraded))

    async def _rewrite(self, question: Question, run: RunContext) -> tuple[Question, Degradation | None]:
        place = max((i for i, m in enumerate(question.messages) if m.role == "user"), default=-1)
        if place < 0 or not isinstance(question.messages[place].content, str):
            return question, None  # images and the like stay as they are
        words = load("route-rewrite").render(
            name=self.name, about=self.about, question=question.text, fence=make_fence([question.text], run)
        )
        where = f"{run.node}: rewrite"
        try:
            text = (await self.writer.answer(Question.of(words), run.asking("rewrite"))).text.strip()
        except QuorateError as error:
            return question, Degradation(code="fallback_used", where=where, detail=f"asked as it stands: {error}")
        if not text:
            return question, Degradation(
                code="fallback_used", where=where, detail="asked as it stands: it says nothing"
            )
        messages: list[Any] = list(question.messages)
        messages[place] = messages[place].model_copy(update={"content": text})
        return question.with_messages(*messages), None
