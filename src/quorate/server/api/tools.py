"""Tools, which of them to call, and formats: checked for what would fail later, passed on as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema
from pydantic.config import JsonDict

from quorate.orchestrator.json_schema import find_format_fault

from ..http.errors import BadField

__all__ = ["CHOICE_NEEDS_TOOLS", "ResponseFormat", "Tool", "ToolChoice", "choose_tools", "function_name"]

MODES = ("auto", "none", "required")
FUNCTION = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "parameters": {"type": ["object", "null"]}},
    "required": ["name"],
}

CHOICE_NEEDS_TOOLS: JsonDict = {
    "if": {
        "properties": {"tool_choice": {"anyOf": [{"const": "required"}, {"type": "object"}]}},
        "required": ["tool_choice"],
    },
    "then": {"properties": {"tools": {"type": "array", "minItems": 1}}, "required": ["tools"]},
}
"""For the JSON schema of a request: what must be called must be there."""


def function_name(tool: Mapping[str, Any]) -> str | None:
    """The name of the function that a tool or a choice is about; None where it is about none."""
    function = tool.get("function") if tool.get("type") == "function" else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) and name else None


def _check_tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    if tool.get("type") != "function":
        raise ValueError(f"the type must be 'function', not {tool.get('type')!r}: this server runs no tools of its own")
    if function_name(tool) is None:
        raise ValueError("a function needs a name: {'type': 'function', 'function': {'name': ...}}")
    if not isinstance(tool["function"].get("parameters"), Mapping | None):
        raise ValueError("function.parameters must be a JSON schema, an object")
    return tool


def _check_choice(choice: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    if isinstance(choice, str):
        if choice not in MODES:
            raise ValueError(f"must be one of {', '.join(MODES)}, or name a function")
    elif function_name(choice) is None:
        raise ValueError("must look like {'type': 'function', 'function': {'name': ...}}")
    return choice


def _check_format(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if (fault := find_format_fault(given)) is not None:
        raise ValueError(fault)
    return given


Tool = Annotated[
    Mapping[str, Any],
    AfterValidator(_check_tool),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"type": {"const": "function"}, "function": FUNCTION},
            "required": ["type", "function"],
        }
    ),
]
"""A function that the model may call."""

ToolChoice = Annotated[
    str | Mapping[str, Any],
    AfterValidator(_check_choice),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(MODES)},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": "function"},
                        "function": {
                            "type": "object",
                            "properties": {"name": {"type": "string", "minLength": 1}},
                            "required": ["name"],
                        },
                    },
                    "required": ["type", "function"],
                },
            ]
        }
    ),
]
"""Whether, or which, function has to be called."""

ResponseFormat = Annotated[
    Mapping[str, Any],
    AfterValidator(_check_format),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {"type": {"type": "string"}},
            "required": ["type"],
            "if": {"properties": {"type": {"const": "json_schema"}}},
            "then": {
                "properties": {
                    "json_schema": {
                        "type": "object",
                        "properties": {"name": {"type": "string"}, "schema": {"type": "object"}},
                        "required": ["schema"],
                    }
                },
                "required": ["json_schema"],
            },
        }
    ),
]
"""`json_schema` and `json_object`; other types are for servers that know them."""


def choose_tools(
    tools: Sequence[Mapping[str, Any]] | None, choice: str | Mapping[str, Any] | None
) -> tuple[tuple[Mapping[str, Any], ...], str | Mapping[str, Any] | None]:
    """The tools and the choice among them.

    Raises:
        BadField: the choice cannot be met.
    """
    if not tools:
        if choice in (None, "auto", "none"):
            return (), None
        raise BadField("needs tools", "tool_choice")
    names = [function_name(tool) for tool in tools]
    if isinstance(choice, Mapping) and function_name(choice) not in names:
        raise BadField(
            f"no tool named {function_name(choice)!r}; there is: {', '.join(map(str, names))}", "tool_choice"
        )
    return tuple(tools), choice
