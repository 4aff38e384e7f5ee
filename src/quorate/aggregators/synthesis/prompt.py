"""A prompt that shows candidates: where it stands in the conversation, and how much of them it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorate import prompts
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.nodes import Revision
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Message, Question
from quorate.prompts import Prompt

from .context import TokenBudget, leave_room
from .material import LabelledText, Material, pack

Placement = Callable[[Prompt, Question, Sequence[str]], Question]
"""Puts a prompt with these responses into the conversation; all else of the question is kept."""

MAX_CONTEXT_TOKENS = 24_000
"""For all candidates in one prompt, where nothing else is said."""
_EXAMPLE = {"responses": ["x", "y"], "system": "", "problem": "x", "formatted": False}


def load_prompt(name: str, overrides: Mapping[str, str | Path] | None, **example: Any) -> Prompt:
    """The prompt of this name or its replacement, rendered once on an example, so that it fails here if ever.

    Raises:
        BadInput: it cannot be read, or needs a variable that it will not get.
    """
    try:
        prompt = prompts.load(name, overrides)
        prompt.render(**example)
    except prompts.PromptError as error:
        raise BadInput(str(error)) from error
    return prompt


def system_text(question: Question) -> str:
    """The conversation's own system messages."""
    return "\n\n".join(m.text for m in question.messages if m.role == "system")


def place_as_system(prompt: Prompt, question: Question, responses: Sequence[str]) -> Question:
    """The prompt as system message, the conversation after it."""
    words = prompt.render(responses=responses, system=system_text(question))
    rest = (m for m in question.messages if m.role != "system")
    return question.with_messages(Message(role="system", content=words), *rest)


def place_as_user(prompt: Prompt, question: Question, responses: Sequence[str], **more: Any) -> Question:
    """The prompt, which quotes the question, in place of the last user message; its images stay."""
    formatted = question.response_format is not None
    words = prompt.render(responses=responses, problem=question.text, formatted=formatted, **more)
    *before, last = question.messages
    if last.role != "user":
        return question.with_messages(*question.messages, Message(role="user", content=words))
    content: str | tuple[Mapping[str, Any], ...] = words
    if isinstance(last.content, tuple):
        content = ({"type": "text", "text": words}, *(p for p in last.content if p.get("type") != "text"))
    return question.with_messages(*before, last.model_copy(update={"content": content}))


@dataclass(frozen=True)
class SynthesisPrompt:
    """A template, its place, and the tokens that candidates may take in it."""

    template: Prompt
    place: Placement
    max_context_tokens: int = MAX_CONTEXT_TOKENS

    @classmethod
    def load(
        cls,
        name: str,
        place: Placement,
        *,
        max_context_tokens: int = MAX_CONTEXT_TOKENS,
        overrides: Mapping[str, str | Path] | None = None,
        example: Mapping[str, Any] | None = None,
    ) -> SynthesisPrompt:
        """The prompt of this name.

        Args:
            name: of a file of `quorate.prompts`.
            place: where it stands.
            max_context_tokens: for the candidates in one prompt; less where the model's context leaves less.
            overrides: replacements, see `quorate.prompts.load`.
            example: variables that it gets beyond those of every prompt of this family.

        Raises:
            BadInput: max_context_tokens leaves no room, or the prompt cannot be used.
        """
        if max_context_tokens < 1:
            raise BadInput(f"{name}(max_context_tokens={max_context_tokens}): give at least 1")
        return cls(load_prompt(name, overrides, **_EXAMPLE, **(example or {})), place, max_context_tokens)

    @property
    def version(self) -> str:
        """Name and content hash of the template."""
        return self.template.version

    def ask(self, question: Question, texts: Sequence[str]) -> Question:
        """What a model is asked about these texts."""
        return self.place(self.template, question, texts)

    def pack(
        self, question: Question, items: Sequence[LabelledText], model: Model, where: str, *, share: float = 1.0
    ) -> Material:
        """The texts as they fit into this prompt and the conversation.

        Args:
            question: the caller's.
            items: in the order in which they are read.
            model: that reads them.
            where: the node and who reads there, for the notes.
            share: of what was thought to fit, see `context.TokenBudget`.
        """
        frame = [message.text for message in self.ask(question, ["", ""]).messages]
        answer = question.sampling.max_tokens
        budget = TokenBudget.of(model, self.max_context_tokens, frame, answer=answer, share=share)
        return pack(items, budget, where)

    def revision(
        self, question: Question, items: Sequence[LabelledText], model: Model, node: str, *, share: float = 1.0
    ) -> Revision:
        """What a model is asked about these texts, in this order; nothing if none of them says anything.

        Args:
            question, items, model, share: see `pack`.
            node: where it is asked, for the notes.
        """
        material = self.pack(question, items, model, f"{node}: {model.name}", share=share)
        asked = leave_room(self.ask(question, material.texts), model) if material.texts else None
        return Revision(asked, material.notes, self.version)
