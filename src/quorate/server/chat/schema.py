"""The body of a chat request."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question

from ..asking import Order
from ..errors import BadField
from ..fields import Count, Flag, ModelRequest, StreamOptions, TopLogprobs
from ..tools import CHOICE_NEEDS_TOOLS, ResponseFormat, Tool, ToolChoice, chosen_tools

__all__ = ["ChatRequest"]


SAYING: dict[str, JsonValue] = {
    "properties": {
        "role": {"not": {"const": "system"}},
        "content": {"anyOf": [{"type": "string", "pattern": "\\S"}, {"type": "array", "minItems": 1}]},
    },
    "required": ["role", "content"],
}
"""A message that there must be: somebody says something."""

TOP_NEEDS_LOGPROBS: JsonDict = {
    "if": {"properties": {"top_logprobs": {"type": "integer"}}, "required": ["top_logprobs"]},
    "then": {"properties": {"logprobs": {"const": True}}, "required": ["logprobs"]},
}


class ChatRequest(ModelRequest):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(json_schema_extra={"allOf": [CHOICE_NEEDS_TOOLS, TOP_NEEDS_LOGPROBS]})

    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(
        min_length=1, json_schema_extra={"contains": SAYING}
    )
    n: Count | None = None
    """Independent answers of the model or pipeline; not the samples of a vote (`quorate.n`)."""
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    """The newer name; wins over `max_tokens`."""
    logprobs: Flag | None = None
    top_logprobs: TopLogprobs | None = None
    """Needs `logprobs`."""
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    """Only `text` can be answered with."""
    stream_options: StreamOptions | None = None

    def order(self) -> Order:
        """What is wanted.

        Raises:
            BadField: fields that do not fit together, or that came before `tools`.
        """
        self._check()
        try:
            question = Question.of(self.messages)
        except BadInput as error:
            raise BadField(str(error), "messages") from None
        tools, choice = chosen_tools(self.tools, self.tool_choice)
        question = Question(
            messages=question.messages,
            tools=tools,
            tool_choice=choice,
            response_format=self.response_format,
            sampling=self.settings(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
                parallel_tool_calls=self.parallel_tool_calls if tools else None,
            ),
        )
        return Order(
            model=self.model,
            questions=(question,),
            control=self.control,
            n=self.n or 1,
            max_tokens_field="max_completion_tokens" if self.max_completion_tokens else "max_tokens",
            logprobs=bool(self.logprobs),
            include_usage=bool(self.stream_options and self.stream_options.include_usage),
        )

    def _check(self) -> None:
        if self.top_logprobs is not None and not self.logprobs:
            raise BadField("needs logprobs to be true", "top_logprobs")
        given: dict[str, Any] = self.model_extra or {}
        for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
            if given.get(old) is not None:
                raise BadField(f"is OpenAI's old form: use {new}", old)
        if given.get("audio") is not None:
            raise BadField("this server answers with text only", "audio")
