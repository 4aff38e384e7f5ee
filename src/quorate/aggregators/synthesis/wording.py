"""Where a prompt with the attempts stands in the conversation; all else of the question is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quorate import prompts
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question
from quorate.prompts import Prompt

__all__ = ["as_system", "as_user", "prompt_of", "system_of"]


def prompt_of(name: str, overrides: Mapping[str, str | Path] | None, **sample: Any) -> Prompt:
    """The prompt of this name or its replacement, rendered once on a sample, so that it fails here if ever.

    Raises:
        BadInput: it cannot be read, or needs a variable that it will not get.
    """
    try:
        prompt = prompts.load(name, overrides)
        prompt.render(**sample)
    except prompts.PromptError as error:
        raise BadInput(str(error)) from error
    return prompt


def system_of(question: Question) -> str:
    """The conversation's own system messages."""
    return "\n\n".join(m.text for m in question.messages if m.role == "system")


def as_system(prompt: Prompt, question: Question, responses: Sequence[str]) -> Question:
    """The prompt as system message, the conversation after it."""
    words = prompt.render(responses=responses, system=system_of(question))
    rest = (m for m in question.messages if m.role != "system")
    return question.with_messages(Message(role="system", content=words), *rest)


def as_user(prompt: Prompt, question: Question, responses: Sequence[str], **more: Any) -> Question:
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
