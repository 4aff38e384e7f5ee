"""Input items of the Responses API as chat messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import JsonValue, WithJsonSchema

from quorate.orchestrator.types import Message

from ..errors import BadField

__all__ = ["SAYING", "Item", "messages_of"]

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


def messages_of(given: str | Iterable[Mapping[str, Any]]) -> list[Message]:
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
                messages.append(_message(item, where))
            case "function_call":
                _calling(messages)["tool_calls"].append(_call(item, where))
            case "function_call_output":
                output = _content(item.get("output"), f"{where}.output", empty=True)
                messages.append({"role": "tool", "tool_call_id": _text(item, "call_id", where), "content": output})
            case "reasoning":
                pass  # models behind chat do not read back what they thought
            case "item_reference":
                raise BadField("this server keeps no responses: send the item itself", where)
            case _:
                raise BadField(f"items of the type {kind!r} are not known here", f"{where}.type")
    return [Message.model_validate(message) for message in messages]


def _message(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadField(f"must be one of {', '.join(sorted(ROLES))}", f"{where}.role")
    return {"role": ROLES[role], "content": _content(item.get("content"), f"{where}.content")}


def _calling(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant's message that calls belong to: calls of one turn are one message."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", [])
    return messages[-1]


def _call(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise BadField("must be a string of JSON", f"{where}.arguments")
    function = {"name": _text(item, "name", where), "arguments": arguments}
    return {"id": _text(item, "call_id", where), "type": "function", "function": function}


def _content(content: Any, where: str, *, empty: bool = False) -> str | list[dict[str, Any]]:
    """Text where it is text alone, else parts of a chat message."""
    if isinstance(content, str) and (content or empty):
        return content
    if not isinstance(content, list) or not content:
        raise BadField("must be text, or an array of parts", where)
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Any, where: str) -> dict[str, Any]:
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


def _text(item: Mapping[str, Any], name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise BadField("must be text", f"{where}.{name}")
    return value
