"""The body of a Responses request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question

from ..asking import Order
from ..errors import BadField
from ..fields import ABOUT_THE_CALLER, Count, Flag, ModelRequest, TopLogprobs
from ..tools import CHOICE_NEEDS_TOOLS, MODES, chosen_tools
from .items import SAYING, Item, messages_of

__all__ = ["ResponseRequest"]

LOGPROBS = "message.output_text.logprobs"

REFUSED = {
    "previous_response_id": "this server keeps no responses: send the earlier items in input",
    "conversation": "this server keeps no conversations: send the earlier items in input",
    "prompt": "this server keeps no prompts: send instructions and input",
    "background": "this server answers while you wait: leave it out, or stream",
}
"""What a server without memory cannot do, and what to do instead."""


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function":
        raise ValueError(f"the type must be 'function', not {tool.get('type')!r}: this server runs no tools of its own")
    if not (isinstance(tool.get("name"), str) and tool["name"]):
        raise ValueError("a function needs a name")
    if not isinstance(tool.get("parameters"), Mapping | None):
        raise ValueError("parameters must be a JSON schema, an object")
    return tool


def _choice(choice: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    if isinstance(choice, str) and choice not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}, or name a function")
    name = None if isinstance(choice, str) else choice.get("name")
    if not isinstance(choice, str) and not (choice.get("type") == "function" and isinstance(name, str) and name):
        raise ValueError("must look like {'type': 'function', 'name': ...}")
    return choice


def _format(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if given.get("type") not in ("text", "json_object", "json_schema"):
        raise ValueError("needs a type: 'text', 'json_object' or 'json_schema'")
    if given["type"] == "json_schema" and not isinstance(given.get("schema"), Mapping):
        raise ValueError("needs a schema, an object")
    if not isinstance(given.get("name", ""), str):
        raise ValueError("the name must be text")
    return given


_FUNCTION = {
    "type": "object",
    "properties": {
        "type": {"const": "function"},
        "name": {"type": "string", "minLength": 1},
        "parameters": {"type": ["object", "null"]},
    },
    "required": ["type", "name"],
}
_NAMED = {
    "type": "object",
    "properties": {"type": {"const": "function"}, "name": {"type": "string", "minLength": 1}},
    "required": ["type", "name"],
}
_FORMATS = {
    "anyOf": [
        {"type": "object", "properties": {"type": {"enum": ["text", "json_object"]}}, "required": ["type"]},
        {
            "type": "object",
            "properties": {"type": {"const": "json_schema"}, "name": {"type": "string"}, "schema": {"type": "object"}},
            "required": ["type", "schema"],
        },
    ]
}
Tool = Annotated[Mapping[str, Any], AfterValidator(_tool), WithJsonSchema(_FUNCTION)]
ToolChoice = Annotated[
    str | Mapping[str, Any], AfterValidator(_choice), WithJsonSchema({"anyOf": [{"enum": list(MODES)}, _NAMED]})
]
Format = Annotated[Mapping[str, Any], AfterValidator(_format), WithJsonSchema(_FORMATS)]


class TextConfig(BaseModel):
    """How the text shall look."""

    format: Format | None = None


class Reasoning(BaseModel):
    """How much a model shall think; models that know `reasoning_effort` are told."""

    effort: str | None = None


class ResponseRequest(ModelRequest):
    """`POST /v1/responses`."""

    model_config = ConfigDict(json_schema_extra=CHOICE_NEEDS_TOOLS)

    stays: ClassVar[frozenset[str]] = ABOUT_THE_CALLER | {
        *REFUSED,
        "context_management",
        "include",
        "max_tool_calls",
        "n",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
        "stream_options",
        "truncation",
    }

    input: (
        Annotated[str, Field(pattern=r"\S")]
        | Annotated[list[Item], Field(min_length=1, fail_fast=True, json_schema_extra={"contains": SAYING})]
    )
    instructions: str | None = None
    max_output_tokens: Count | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    top_logprobs: TopLogprobs | None = None
    include: list[str] | None = None
    """`message.output_text.logprobs` brings log-probabilities; the others say nothing here."""
    store: Flag | None = None
    """Nothing is stored, whatever it says."""
    truncation: Literal["auto", "disabled"] | None = None
    """A conversation is never cut."""

    def order(self) -> Order:
        """What is wanted.

        Raises:
            BadField: what cannot be done, or cannot be told a chat model.
        """
        for name, advice in REFUSED.items():
            if (self.model_extra or {}).get(name):
                raise BadField(advice, name)
        logprobs = LOGPROBS in (self.include or ()) or bool(self.top_logprobs)
        tools, choice = chosen_tools(self._tools(), self._tool_choice())
        return Order(
            model=self.model,
            questions=(
                Question(
                    messages=self._messages(),
                    tools=tools,
                    tool_choice=choice,
                    response_format=self._format(),
                    sampling=self.settings(
                        max_tokens=self.max_output_tokens,
                        top_logprobs=(self.top_logprobs or 0) if logprobs else None,
                        parallel_tool_calls=self.parallel_tool_calls if tools else None,
                        reasoning_effort=self.reasoning.effort if self.reasoning else None,
                    ),
                ),
            ),
            control=self.control,
            max_tokens_field="max_output_tokens",
            logprobs=logprobs,
        )

    def _messages(self) -> tuple[Message, ...]:
        system = [Message(role="system", content=self.instructions)] if self.instructions else []
        try:
            return Question.of([*system, *messages_of(self.input)]).messages
        except BadField:
            raise
        except BadInput as error:
            raise BadField(str(error), "input") from None

    def _tools(self) -> list[Mapping[str, Any]]:
        """In chat's form."""
        return [
            {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}
            for tool in self.tools or ()
        ]

    def _tool_choice(self) -> str | Mapping[str, Any] | None:
        if isinstance(self.tool_choice, Mapping):
            return {"type": "function", "function": {"name": self.tool_choice["name"]}}
        return self.tool_choice

    def _format(self) -> Mapping[str, Any] | None:
        given = self.text.format if self.text else None
        if given is None or given["type"] == "text":
            return None
        if given["type"] == "json_object":
            return {"type": "json_object"}
        described = {name: value for name, value in given.items() if name != "type" and value is not None}
        return {"type": "json_schema", "json_schema": {"name": "answer", **described}}
