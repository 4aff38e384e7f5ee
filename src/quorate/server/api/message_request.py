"""The body of a Messages request (Anthropic's API); its content blocks become chat messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, JsonValue, WithJsonSchema

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question

from ..generation import GenerationRequest
from ..http.errors import BadField
from .fields import ABOUT_THE_CALLER, Count, ModelRequest, Stop, read_text
from .tools import choose_tools

__all__ = ["MessageRequest", "PromptRequest"]

MODES = {"auto": "auto", "any": "required", "none": "none"}
"""Choices among tools, and what chat calls them."""
ROLES = ("user", "assistant", "system")
ONE = "this API gives one message a request; chat completions give several, and quorate.n sets a vote's samples"
REFUSED = {
    "container": "this server runs no code",
    "mcp_servers": "this server calls no tools of its own",
}
"""What cannot be done, and why."""

SAYING: dict[str, JsonValue] = {
    "properties": {
        "role": {"enum": ["assistant", "user"]},
        "content": {"type": "string", "pattern": "\\S"},
    },
    "required": ["role", "content"],
}
"""A message that there must be: somebody says something."""
_TEXT: dict[str, JsonValue] = {"type": "string", "pattern": "\\S"}
_TEXTS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {"type": {"const": "text"}, "text": _TEXT},
        "required": ["type", "text"],
    },
}
_SYSTEM = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
        "required": ["type", "text"],
    },
}
Item = Annotated[
    Mapping[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"role": {"enum": list(ROLES)}, "content": {"anyOf": [_TEXT, _TEXTS]}},
            "required": ["role", "content"],
        }
    ),
]
"""A message of text, images, documents, calls of tools and their results; thinking is read over."""


def _check_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") not in (None, "custom"):
        raise ValueError(f"the type must be 'custom', not {tool['type']!r}: this server runs no tools of its own")
    if not (isinstance(tool.get("name"), str) and tool["name"]):
        raise ValueError("a tool needs a name")
    if not isinstance(tool.get("input_schema"), Mapping):
        raise ValueError("input_schema must be a JSON schema, an object")
    return tool


def _check_choice(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    kind, name = choice.get("type"), choice.get("name")
    if kind not in (*MODES, "tool") or (kind == "tool" and not (isinstance(name, str) and name)):
        raise ValueError("must look like {'type': 'auto'}, 'any', 'none', or {'type': 'tool', 'name': ...}")
    return choice


Tool = Annotated[
    Mapping[str, Any],
    AfterValidator(_check_tool),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "type": {"enum": ["custom", None]},
                "name": {"type": "string", "minLength": 1},
                "input_schema": {"type": "object"},
            },
            "required": ["name", "input_schema"],
        }
    ),
]
ToolChoice = Annotated[
    Mapping[str, Any],
    AfterValidator(_check_choice),
    WithJsonSchema({"type": "object", "properties": {"type": {"enum": ["auto", "none"]}}, "required": ["type"]}),
]


class Thinking(BaseModel):
    """Whether the reply has thinking blocks; `budget_tokens` has no effect, `output_config.effort` may have one."""

    type: Literal["adaptive", "between_tools", "disabled", "enabled"]


class OutputFormat(BaseModel):
    """A JSON schema that the text shall follow."""

    type: Literal["json_schema"]
    json_schema: Mapping[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """How much effort, for models that know `reasoning_effort`, and which format."""

    effort: str | None = None
    format: OutputFormat | None = None


class PromptRequest(ModelRequest):
    """`POST /v1/messages/count_tokens`: a prompt without what its answer shall be like."""

    stays: ClassVar[frozenset[str]] = ABOUT_THE_CALLER | {
        *REFUSED,
        "cache_control",
        "context_management",
        "diagnostics",
        "inference_geo",
        "service_tier",
        "speed",
    }

    messages: Annotated[list[Item], Field(fail_fast=True)] = Field(min_length=1, json_schema_extra={"contains": SAYING})
    system: str | Annotated[list[Mapping[str, Any]], WithJsonSchema(_SYSTEM)] | None = None
    tools: Annotated[list[Tool], Field(fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    n: Annotated[Any, WithJsonSchema({"type": "null"})] = None
    """Not of this API: there is one message."""

    @property
    def shows_thinking(self) -> bool:
        """Whether the reply tells of thinking; clients that did not ask look for text in its first block."""
        return self.thinking is not None and self.thinking.type != "disabled"

    def to_question(self, *, max_tokens: int | None = None, stop: Sequence[str] = ()) -> Question:
        """What is asked.

        Raises:
            BadField: what cannot be done, or cannot be told a chat model.
        """
        if self.n is not None:
            raise BadField(ONE, "n")
        for name, advice in REFUSED.items():
            if (self.model_extra or {}).get(name):
                raise BadField(advice, name)
        tools, choice = choose_tools(self._tools(), self._tool_choice())
        one_call = bool(tools and self.tool_choice and self.tool_choice.get("disable_parallel_tool_use"))
        config = self.output_config or OutputConfig()
        sampling = self.make_sampling(
            max_tokens=max_tokens,
            top_logprobs=None,
            parallel_tool_calls=False if one_call else None,
            reasoning_effort=config.effort,
        )
        return Question(
            messages=self._messages(),
            tools=tools,
            tool_choice=choice,
            response_format=_convert_format(config.format),
            sampling=sampling.model_copy(update={"stop": tuple(stop)}) if stop else sampling,
        )

    def _messages(self) -> tuple[Message, ...]:
        said = [] if self.system is None else [{"role": "system", "content": _join_texts(self.system, "system")}]
        for index, item in enumerate(self.messages):
            said += _convert_message(item, f"messages[{index}]")
        try:
            return Question.of(
                [message for message in said if message["content"] or message["role"] != "system"]
            ).messages
        except BadInput as error:
            raise BadField(str(error), "messages") from None

    def _tools(self) -> list[Mapping[str, Any]]:
        """In chat's form."""
        return [
            {
                "type": "function",
                "function": {
                    **{name: tool[name] for name in ("name", "description", "strict") if tool.get(name) is not None},
                    "parameters": tool["input_schema"],
                },
            }
            for tool in self.tools or ()
        ]

    def _tool_choice(self) -> str | Mapping[str, Any] | None:
        if self.tool_choice is None:
            return None
        kind = self.tool_choice["type"]
        return MODES.get(kind) or {"type": "function", "function": {"name": self.tool_choice["name"]}}


class MessageRequest(PromptRequest):
    """`POST /v1/messages`."""

    max_tokens: Count
    stop_sequences: Annotated[list[Stop], Field(fail_fast=True)] | None = None

    def to_generation(self) -> GenerationRequest:
        """What is wanted.

        Raises:
            BadField: what cannot be done, or cannot be told a chat model.
        """
        question = self.to_question(max_tokens=self.max_tokens, stop=self.stop_sequences or ())
        return GenerationRequest(model=self.model, questions=(question,), control=self.control)


def _convert_format(given: OutputFormat | None) -> Mapping[str, Any] | None:
    if given is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": given.json_schema, "strict": True}}


def _convert_message(item: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """One message as chat has it: results of tools are messages of their own, before what else is said."""
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise BadField(f"must be one of {', '.join(ROLES)}", f"{where}.role")
    if isinstance(content, str):
        yield {"role": role, "content": content}
    elif not isinstance(content, list) or not content:
        raise BadField("must be text, or an array of blocks", f"{where}.content")
    elif role == "system":
        yield {"role": role, "content": _join_texts(content, f"{where}.content")}
    elif role == "assistant":
        yield _convert_turn(content, f"{where}.content")
    else:
        yield from _convert_said(content, f"{where}.content")


def _convert_said(blocks: Sequence[Any], where: str) -> Iterator[dict[str, Any]]:
    """What a user says, and results of tools."""
    parts: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        place = f"{where}[{index}]"
        if _kind(block, place) != "tool_result":
            parts += _convert_block(block, place)
            continue
        content = _convert_result(block.get("content"), f"{place}.content", failed=block.get("is_error") is True)
        yield {"role": "tool", "tool_call_id": read_text(block, "tool_use_id", place), "content": content}
    if parts:
        yield {"role": "user", "content": _simplify(parts)}


def _convert_turn(blocks: Sequence[Any], where: str) -> dict[str, Any]:
    """What a model said and called; models behind chat do not read back what they thought."""
    text, calls = "", []
    for index, block in enumerate(blocks):
        place = f"{where}[{index}]"
        match _kind(block, place):
            case "text":
                text += read_text(block, "text", place, empty=True)
            case "tool_use":
                if not isinstance(block.get("input"), Mapping):
                    raise BadField("must be an object", f"{place}.input")
                arguments = json.dumps(block["input"], ensure_ascii=False)
                function = {"name": read_text(block, "name", place), "arguments": arguments}
                calls.append({"id": read_text(block, "id", place), "type": "function", "function": function})
            case "thinking" | "redacted_thinking":
                pass
            case kind:
                raise BadField(f"blocks of the type {kind!r} are not known here", f"{place}.type")
    return {"role": "assistant", "content": text or None, "tool_calls": calls} if calls else _say(text)


def _say(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _convert_result(content: Any, where: str, *, failed: bool) -> str | list[dict[str, Any]]:
    """What a tool gave. Chat has no mark for its failure, so that the text says it."""
    mark = "Error: " if failed else ""
    if content is None or isinstance(content, str):
        return mark + (content or "")
    if not isinstance(content, list):
        raise BadField("must be text, or an array of blocks", where)
    parts = [part for i, block in enumerate(content) for part in _convert_block(block, f"{where}[{i}]")]
    return _simplify([{"type": "text", "text": mark.strip()}, *parts] if failed else parts)


def _simplify(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Text where it is text alone, a paragraph a block, else parts of a chat message."""
    return "\n\n".join(p["text"] for p in parts) if all(part["type"] == "text" for part in parts) else parts


def _join_texts(given: str | Sequence[Any], where: str) -> str:
    """Text, or blocks that are text alone."""
    if isinstance(given, str):
        return given
    texts = []
    for index, block in enumerate(given):
        if _kind(block, f"{where}[{index}]") != "text":
            raise BadField("must be a block of text", f"{where}[{index}]")
        texts.append(read_text(block, "text", f"{where}[{index}]", empty=True))
    return "\n\n".join(texts)


def _kind(block: Any, where: str) -> str:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if not isinstance(kind, str):
        raise BadField("must be an object with a type", where)
    return kind


def _convert_block(block: Any, where: str) -> list[dict[str, Any]]:
    """The parts of a chat message that a block is."""
    match _kind(block, where):
        case "text":
            return [{"type": "text", "text": read_text(block, "text", where, empty=True)}]
        case "image":
            return [{"type": "image_url", "image_url": {"url": _read_image(_source(block, where), f"{where}.source")}}]
        case "document":
            return _convert_document(block, _source(block, where), where)
        case "search_result":
            head = f"{read_text(block, 'title', where)} ({read_text(block, 'source', where)})"
            found = _join_texts(_blocks(block.get("content"), f"{where}.content"), f"{where}.content")
            return [{"type": "text", "text": f"{head}\n{found}"}]
        case kind:
            raise BadField(f"blocks of the type {kind!r} are not known here", f"{where}.type")


def _blocks(content: Any, where: str) -> str | list[Any]:
    if not isinstance(content, str | list):
        raise BadField("must be text, or an array of blocks", where)
    return content


def _source(block: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    source = block.get("source")
    if not isinstance(source, Mapping):
        raise BadField("must be an object", f"{where}.source")
    return source


def _read_image(source: Mapping[str, Any], where: str) -> str:
    match source.get("type"):
        case "base64":
            return f"data:{read_text(source, 'media_type', where)};base64,{read_text(source, 'data', where)}"
        case "url":
            return read_text(source, "url", where)
        case _:
            raise BadField("must be 'base64' or 'url': this server keeps no files", f"{where}.type")


def _convert_document(block: Mapping[str, Any], source: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    place, title = f"{where}.source", block.get("title")
    head = [{"type": "text", "text": title}] if isinstance(title, str) and title else []
    match source.get("type"):
        case "text":
            return [*head, {"type": "text", "text": read_text(source, "data", place, empty=True)}]
        case "content":
            content = _blocks(source.get("content"), f"{place}.content")
            if isinstance(content, str):
                return [*head, {"type": "text", "text": content}]
            inner = (_convert_block(each, f"{place}.content[{i}]") for i, each in enumerate(content))
            return [*head, *(part for parts in inner for part in parts)]
        case "base64":
            name = title if head else "document.pdf"
            return [{"type": "file", "file": {"filename": name, "file_data": _read_image(source, place)}}]
        case _:
            raise BadField("must be 'base64', 'text' or 'content': this server fetches no documents", f"{place}.type")
