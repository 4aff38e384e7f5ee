"""The body of a Responses request; its input items become chat messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question

from ..generation import GenerationRequest
from ..http.errors import BadField
from .fields import ABOUT_THE_CALLER, Count, Flag, ModelRequest, TopLogprobs, read_text
from .tools import CHOICE_NEEDS_TOOLS, MODES, choose_tools

__all__ = ["ResponseRequest"]

TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
"""Parts that are text, and the field that holds it."""
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
"""Servers behind know `developer` seldom, `system` always."""

_TEXT = {"type": "string", "pattern": "\\S"}
_CONTENT = {
    "anyOf": [
        _TEXT,
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"type": {"enum": ["input_text", "output_text"]}, "text": _TEXT},
                "required": ["type", "text"],
            },
        },
    ]
}
SAYING: dict[str, JsonValue] = {
    "properties": {
        "type": {"const": "message"},
        "role": {"enum": ["assistant", "user"]},
        "content": {"anyOf": [{"type": "string", "pattern": "\\S"}, {"type": "array", "minItems": 1}]},
    },
    "required": ["role", "content"],
}
"""An item that there must be: somebody says something."""
Item = Annotated[
    Mapping[str, Any],
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"type": {"const": "message"}, "role": {"enum": sorted(ROLES)}, "content": _CONTENT},
                    "required": ["role", "content"],
                },
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": "function_call"},
                        "call_id": _TEXT,
                        "name": _TEXT,
                        "arguments": {"type": "string"},
                    },
                    "required": ["type", "call_id", "name", "arguments"],
                },
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": "function_call_output"},
                        "call_id": _TEXT,
                        "output": {"type": "string"},
                    },
                    "required": ["type", "call_id", "output"],
                },
            ]
        }
    ),
]
"""A message (text, images and files), a function's call or its output; `reasoning` items are read over."""

REASONING = "rs_"
"""How the ids of `reasoning` items begin, in OpenAI's replies and in ours: references to them are read over, too."""
LOGPROBS = "message.output_text.logprobs"

REFUSED = {
    "previous_response_id": "this server keeps no responses: send the earlier items in input",
    "conversation": "this server keeps no conversations: send the earlier items in input",
    "prompt": "this server keeps no prompts: send instructions and input",
    "background": "this server answers while you wait: leave it out, or stream",
}
"""What a server without memory cannot do, and what to do instead."""


def _check_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function":
        raise ValueError(f"the type must be 'function', not {tool.get('type')!r}: this server runs no tools of its own")
    if not (isinstance(tool.get("name"), str) and tool["name"]):
        raise ValueError("a function needs a name")
    if not isinstance(tool.get("parameters"), Mapping | None):
        raise ValueError("parameters must be a JSON schema, an object")
    return tool


def _check_choice(choice: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    if isinstance(choice, str) and choice not in MODES:
        raise ValueError(f"must be one of {', '.join(MODES)}, or name a function")
    name = None if isinstance(choice, str) else choice.get("name")
    if not isinstance(choice, str) and not (choice.get("type") == "function" and isinstance(name, str) and name):
        raise ValueError("must look like {'type': 'function', 'name': ...}")
    return choice


def _check_format(given: Mapping[str, Any]) -> Mapping[str, Any]:
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
Tool = Annotated[Mapping[str, Any], AfterValidator(_check_tool), WithJsonSchema(_FUNCTION)]
ToolChoice = Annotated[
    str | Mapping[str, Any], AfterValidator(_check_choice), WithJsonSchema({"anyOf": [{"enum": list(MODES)}, _NAMED]})
]
Format = Annotated[Mapping[str, Any], AfterValidator(_check_format), WithJsonSchema(_FORMATS)]


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

    def to_generation(self) -> GenerationRequest:
        """What is wanted.

        Raises:
            BadField: what cannot be done, or cannot be told a chat model.
        """
        for name, advice in REFUSED.items():
            if (self.model_extra or {}).get(name):
                raise BadField(advice, name)
        logprobs = LOGPROBS in (self.include or ()) or bool(self.top_logprobs)
        tools, choice = choose_tools(self._tools(), self._tool_choice())
        return GenerationRequest(
            model=self.model,
            questions=(
                Question(
                    messages=self._messages(),
                    tools=tools,
                    tool_choice=choice,
                    response_format=self._format(),
                    sampling=self.make_sampling(
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
            return Question.of([*system, *convert_items(self.input)]).messages
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
        schema = {name: value for name, value in given.items() if name != "type" and value is not None}
        return {"type": "json_schema", "json_schema": {"name": "answer", **schema}}


def convert_items(given: str | Iterable[Mapping[str, Any]]) -> list[Message]:
    """The conversation.

    Raises:
        BadField: an item that cannot be told a chat model, with its path.
    """
    if isinstance(given, str):
        return [Message(role="user", content=given)]
    messages: list[dict[str, Any]] = []
    for index, item in enumerate(given):
        where, kind = f"input[{index}]", item.get("type", "message")
        match kind:
            case "message":
                messages.append(_convert_message(item, where))
            case "function_call":
                _calling_message(messages)["tool_calls"].append(_convert_call(item, where))
            case "function_call_output":
                output = _convert_content(item.get("output"), f"{where}.output", empty=True)
                messages.append({"role": "tool", "tool_call_id": read_text(item, "call_id", where), "content": output})
            case "reasoning":
                pass  # models behind chat do not read back what they thought
            case "item_reference":
                if not str(item.get("id")).startswith(REASONING):
                    advice = "send the item itself, as clients do that are told store=false"
                    raise BadField(f"this server keeps no responses: {advice}", where)
            case _:
                raise BadField(f"items of the type {kind!r} are not known here", f"{where}.type")
    return [Message.model_validate(message) for message in messages]


def _convert_message(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadField(f"must be one of {', '.join(sorted(ROLES))}", f"{where}.role")
    return {"role": ROLES[role], "content": _convert_content(item.get("content"), f"{where}.content")}


def _calling_message(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message that calls belong to: calls of one turn are one message."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", [])
    return messages[-1]


def _convert_call(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise BadField("must be a string of JSON", f"{where}.arguments")
    function = {"name": read_text(item, "name", where), "arguments": arguments}
    return {"id": read_text(item, "call_id", where), "type": "function", "function": function}


def _convert_content(content: Any, where: str, *, empty: bool = False) -> str | list[dict[str, Any]]:
    """Text where it is text alone, else parts of a chat message."""
    if isinstance(content, str) and (content or empty):
        return content
    if not isinstance(content, list) or not content:
        raise BadField("must be text, or an array of parts", where)
    parts = [_convert_part(part, f"{where}[{index}]") for index, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _convert_part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    kind = kind if isinstance(kind, str) else None
    if kind in TEXTS and isinstance(part.get(TEXTS[kind]), str):
        return {"type": "text", "text": part[TEXTS[kind]]}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        detail = {"detail": part["detail"]} if isinstance(part.get("detail"), str) else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file" and isinstance(part.get("file_data"), str):
        return {"type": "file", "file": {name: part[name] for name in ("filename", "file_data") if part.get(name)}}
    if kind == "input_audio" and isinstance(part.get("input_audio"), Mapping):
        return {"type": "input_audio", "input_audio": dict(part["input_audio"])}
    if kind in ("input_image", "input_file"):
        raise BadField("this server keeps no files: send image_url or file_data", where)
    raise BadField("is no input_text, output_text, input_image, input_file or input_audio with its content", where)
