"""From a conversation to the token ids that a local model reads, and from the ids of its answer to text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.json_values import repair_surrogates
from quorate.orchestrator.tokens import StoppableText
from quorate.orchestrator.types import Message, Question

TEMPLATE_FIELDS = ("chat_template_kwargs", "add_generation_prompt", "continue_final_message")
"""Extra settings that say how a conversation becomes a prompt, by vLLM's names."""

_MOVE = "put what it says into the user's message"

UNFINISHED = "\ufffd"
"""How a decoder writes bytes that are no character (yet)."""


class ContextExceeded(BadInput):
    """The prompt leaves no room for an answer."""

    code = "context_length_exceeded"


def encode_prompt(tokenizer: Any, question: Question, name: str) -> list[int]:
    """The conversation by the model's own chat template, ready for the assistant to speak, or to go on.

    `chat_template_kwargs`, `add_generation_prompt` and `continue_final_message` of the question's extra settings
    mean what they mean to vLLM.

    Raises:
        BadInput: the model has no chat template, the messages have images or other parts that are no text, or the
            template refuses them or leaves out a system message.
    """
    if not tokenizer.chat_template:
        raise BadInput(f"{name} has no chat template: add chat_template.jinja to its folder")
    messages = [_plain(message, name) for message in question.messages]
    extra = question.sampling.extra
    begin, go_on = extra.get("add_generation_prompt", True), extra.get("continue_final_message", False)
    settings = extra.get("chat_template_kwargs", {})
    tools = [dict(tool) for tool in question.tools] or None
    if tools and "tools" not in str(tokenizer.chat_template):
        raise BadInput(f"the chat template of {name} knows no tools: ask without them, or another model")
    try:
        text = tokenizer.apply_chat_template(
            messages,
            tools=tools,
            add_generation_prompt=begin,
            continue_final_message=go_on,
            tokenize=False,
            **settings,
        )
    except Exception as error:
        if any(message.role == "system" for message in question.messages) and "system" in str(error).lower():
            raise BadInput(f"the chat template of {name} has no system role: {_MOVE} ({error})") from error
        raise BadInput(f"the chat template of {name} refused the messages: {error}") from error
    if lost := [m for m in question.messages if m.role == "system" and m.text.strip() not in text]:
        raise BadInput(f"the chat template of {name} leaves out system messages ({lost[0].text[:40]!r}): {_MOVE}")
    return list(tokenizer.encode(repair_surrogates(text), add_special_tokens=False, verbose=False))


def _plain(message: Message, name: str) -> dict[str, Any]:
    parts = () if isinstance(message.content, str) else message.content or ()
    if other := next((kind for part in parts if (kind := part.get("type")) != "text"), None):
        raise BadInput(f"{name} reads text only, and a message has a part of type {other!r}: ask another model")
    return {**message.model_dump(exclude_none=True), "content": message.text}


def limit_answer(prompt: int, context: int, name: str) -> int:
    """How many tokens a context leaves for the answer.

    Raises:
        ContextExceeded: none.
    """
    if prompt >= context:
        raise ContextExceeded(f"the prompt has {prompt} tokens and {name} takes {context} with its answer: shorten it")
    return context - prompt


def refuse_formats(question: Question, name: str) -> None:
    """Refuses what the model could not keep, rather than ignoring it.

    Raises:
        BadInput: another response format than text is asked for.
    """
    if question.response_format and question.response_format.get("type") != "text":
        raise BadInput(f"{name} cannot hold to a response_format: ask safe/{name}, which can, or for plain text")


class IncrementalDetokenizer(StoppableText):
    """Text that grows token by token, without half characters; the pieces of `push` and `end` join to `whole`.

    A token is decoded together with the piece before it, because some decoders write the first token of
    a text differently.

    Args:
        decode: text of a list of tokens.
        stop: strings before which the text ends.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        super().__init__(stop)
        self._decode = decode
        self._before: list[int] = []
        self._waiting: list[int] = []

    def push(self, token: int) -> str:
        """One more token; returns the text that is now certain."""
        self._waiting.append(token)
        piece = self._decode_waiting()
        if piece.endswith(UNFINISHED):
            return ""
        self._before, self._waiting = self._waiting, []
        self.append(piece)
        return self.take()

    def end(self) -> str:
        """No more tokens; returns what was held back, broken characters included."""
        if self._waiting:
            self.append(self._decode_waiting())
            self._waiting = []
        return self.take(ended=True)

    def _decode_waiting(self) -> str:
        return self._decode([*self._before, *self._waiting])[len(self._decode(self._before)) :]
