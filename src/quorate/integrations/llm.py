"""A plugin of Simon Willison's `llm`: every model and pipeline as `quorate/NAME`, in this process.

    llm -m quorate/qwen -o pipeline majority@16 'What is 17 * 24?'
    llm -m quorate/majority/qwen -o n 5 'What is 17 * 24?'

Installed beside `llm` it is found by itself. The names are those of the file that QUORATE_CONFIG names, else the
embedded models; `llm models -q quorate/` lists them. Logs keep what led to each answer (`llm logs --json`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

from pydantic import Field

from quorate.aggregators.replies import describe_answer, make_usage, translate_finish
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.types import Answer

from .chat import InProcessChat, Settings, name_extra, open_catalog

with name_extra("llm", "llm"):
    import llm
    from llm.parts import AttachmentPart, StreamEvent, TextPart, ToolCallPart, ToolResultPart

__all__ = ["AsyncPipelineModel", "PipelineModel", "list_names"]

Piece = AnswerToken | Answer
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


class PipelineOptions(llm.Options):
    """What `-o NAME VALUE` sets."""

    pipeline: str | None = Field(description="Put over the model, such as majority@16 or self-moa@6", default=None)
    n: int | None = Field(description="Samples that the pipeline draws", default=None, ge=1)
    temperature: float | None = Field(description="Of each sample", default=None, ge=0)
    top_p: float | None = Field(description="Nucleus of each sample", default=None, gt=0, le=1)
    max_tokens: int | None = Field(description="Of each sample", default=None, ge=1)
    seed: int | None = Field(description="Makes the answer reproducible", default=None)


class _PipelineBase:
    """What both models share.

    Args:
        name: as the catalog has it.
    """

    can_stream = True
    supports_schema = True
    supports_tools = True
    attachment_types = PICTURES
    needs_key = None
    Options = PipelineOptions

    def __init__(self, name: str) -> None:
        self.name = name
        self.model_id = f"quorate/{name}"

    def _open(self, prompt: llm.Prompt) -> InProcessChat:
        """Who answers.

        Raises:
            BadInput: the option `n` stands beside what draws no samples.
            UnknownName: there is no such pipeline.
        """
        options = prompt.options
        name = f"{options.pipeline}/{self.name}" if options.pipeline else self.name
        return InProcessChat(open_catalog().resolve(name, n=options.n))

    def _body(self, prompt: llm.Prompt) -> dict[str, Any]:
        """The prompt with what was said before, in OpenAI's form."""
        options = prompt.options
        tools = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema},
            }
            for tool in prompt.tools
        ]
        form = {"type": "json_schema", "json_schema": {"name": "output", "schema": prompt.schema}}
        return Settings(
            messages=[each for message in prompt.messages for each in _write_message(message)],
            temperature=options.temperature,
            top_p=options.top_p,
            max_tokens=options.max_tokens,
            seed=options.seed,
            tools=tools or None,
            response_format=form if prompt.schema else None,
        )


class PipelineModel(_PipelineBase, llm.Model):
    """A model or pipeline as `llm` asks it."""

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,  # noqa: ARG002
    ) -> Iterator[str | StreamEvent]:
        """See `llm.Model`; for errors see `InProcessChat`."""
        chat, body = self._open(prompt), self._body(prompt)
        if not stream:
            yield from _tell(_split(chat.answer_sync(body)), response)
            return
        for piece in chat.stream_sync(body):
            yield from _tell([piece], response)


class AsyncPipelineModel(_PipelineBase, llm.AsyncModel):
    """The same, awaited."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,  # noqa: ARG002
    ) -> AsyncGenerator[str | StreamEvent]:
        """See `llm.AsyncModel`; for errors see `InProcessChat`."""
        chat, body = self._open(prompt), self._body(prompt)
        pieces = chat.stream(body) if stream else _iterate(_split(await chat.answer(body)))
        async for piece in pieces:
            for told in _tell([piece], response):
                yield told


async def _iterate(pieces: Iterable[Piece]) -> AsyncGenerator[Piece]:
    for piece in pieces:
        yield piece


def _split(answer: Answer) -> list[Piece]:
    return [AnswerToken(text=answer.text), answer] if answer.text else [answer]


def _tell(pieces: Iterable[Piece], response: Any) -> Iterator[str | StreamEvent]:
    """The pieces as `llm` reads them; the answer's calls and figures go into the response."""
    for piece in pieces:
        if isinstance(piece, AnswerToken):
            yield StreamEvent(type="reasoning" if piece.reasoning else "text", chunk=piece.text)
            continue
        for call in piece.tool_calls:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            response.add_tool_call(
                llm.ToolCall(tool_call_id=call.get("id"), name=name, arguments=_read_arguments(name, arguments))
            )
            yield StreamEvent(type="tool_call_name", chunk=name, tool_call_id=call.get("id"))
            yield StreamEvent(type="tool_call_args", chunk=arguments, tool_call_id=call.get("id"))
        usage = make_usage(piece.usage)
        details = {name: usage[name] for name in ("prompt_tokens_details", "completion_tokens_details")}
        response.set_usage(input=piece.usage.prompt_tokens, output=piece.usage.completion_tokens, details=details)
        response.response_json = {
            "model": piece.model,
            "finish_reason": translate_finish(piece),
            "quorate": describe_answer(piece),
        }


def _read_arguments(name: str, arguments: str) -> dict[str, Any]:
    """The arguments of a call.

    Raises:
        ModelError: they are no JSON object, as those of a call that was cut.
    """
    try:
        read = json.loads(arguments or "{}")
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise llm.ModelError(f"{name} was called with {arguments!r:.80}, which is no JSON object")
    return read


def _write_message(message: llm.Message) -> Iterator[dict[str, Any]]:
    """A message of `llm` in OpenAI's form; results of tools are messages of their own, thinking stays here."""
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case TextPart():
                content.append({"type": "text", "text": part.text})
            case AttachmentPart(attachment=attachment) if attachment is not None:
                link = attachment.url or f"data:{attachment.resolve_type()};base64,{attachment.base64_content()}"
                content.append({"type": "image_url", "image_url": {"url": link}})
            case ToolCallPart():
                function = {"name": part.name, "arguments": json.dumps(part.arguments)}
                calls.append({"type": "function", "id": part.tool_call_id, "function": function})
            case ToolResultPart():
                yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.output}
    said = "".join(part["text"] for part in content) if all(p["type"] == "text" for p in content) else content
    if calls:
        yield {"role": message.role, "content": said or None, "tool_calls": calls}
    elif content:
        yield {"role": message.role, "content": said}


def list_names() -> list[str]:
    """Every model, a vote over each, and every configured pipeline.

    Raises:
        ConfigError: the file that QUORATE_CONFIG names cannot be used.
    """
    catalog = open_catalog()
    return [*catalog.models, *(f"majority/{model}" for model in catalog.models), *catalog.pipelines]
