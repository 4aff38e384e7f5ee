"""The tool calls of one choice, put together from whatever pieces a server sends.

OpenAI numbers the calls of a stream and gives each its id and name once, in its first piece. Others send every call
under index 0 (Ollama), no index (Gemini), no id, an id or the name again in every piece (SGLang, several gateways),
or arguments as an object; so a piece is held against the calls that are there by its id, its index, and whether
their arguments are complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from quorate.orchestrator.json_values import repair_surrogates

from .framing import Malformed, describe_kind

__all__ = ["ToolCalls"]


@dataclass
class _Call:
    index: object = None
    id: str = ""
    kind: str = "function"
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else came with it, such as Gemini's signatures, which it wants back."""

    @property
    def is_complete(self) -> bool:
        """Whether its arguments are a whole object."""
        try:
            return isinstance(json.loads(self.arguments), dict)
        except (ValueError, RecursionError):
            return False

    def add(self, piece: _Call) -> None:
        """Goes on with a piece, which may repeat what is known."""
        self.id = self.id or piece.id
        if not piece.name.startswith(self.name):
            self.name += piece.name
        elif piece.name:
            self.name = piece.name
        if self.arguments == "{}" and piece.arguments.startswith("{"):  # it stood for those to come
            self.arguments = ""
        if piece.arguments != self.arguments or not self.is_complete:
            self.arguments += piece.arguments
        self.extra |= piece.extra

    def dump(self, place: int) -> dict[str, Any]:
        """As it is served, with an id of our own where it has none, since its result must refer to one."""
        name, arguments = repair_surrogates(self.name), repair_surrogates(self.arguments)
        digest = hashlib.sha256(f"{place} {name} {arguments}".encode()).hexdigest()
        function = {"name": name, "arguments": arguments}
        return {"id": self.id or f"call_{digest[:24]}", "type": self.kind, "function": function, **self.extra}


class ToolCalls:
    """Takes whole calls and pieces of calls."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def characters(self) -> int:
        """In names and arguments."""
        return sum(len(call.name) + len(call.arguments) for call in self._calls)

    def add(self, calls: object, *, whole: bool) -> None:
        """Adds the `tool_calls` of a message (`whole`) or of a delta.

        Raises:
            Malformed: they are none.
        """
        if isinstance(calls, Mapping) and calls:
            calls = [calls]
        if not isinstance(calls, list):
            if calls:
                raise Malformed(f"tool_calls is {describe_kind(calls)}, not a list")
            return
        pieces = [_read_call(raw) for raw in calls if raw is not None]
        taken: list[_Call] = []
        for piece in pieces:
            call = None if whole else self._find(piece, taken, several=len(pieces) > 1)
            if call is None:
                self._calls.append(piece)
            else:
                call.add(piece)
            taken.append(call or piece)

    def dump(self) -> tuple[dict[str, Any], ...]:
        """The calls in their order."""
        calls = sorted(self._calls, key=lambda call: call.index if isinstance(call.index, int) else 0)
        return tuple(call.dump(place) for place, call in enumerate(calls))

    def _find(self, piece: _Call, taken: Sequence[_Call], *, several: bool) -> _Call | None:
        """The call that a piece goes on with; None if it begins another one.

        Args:
            piece: of a stream.
            taken: calls that the pieces before it in the same event belong to.
            several: it came together with others.
        """
        there = [call for call in self._calls if None in (piece.index, call.index) or call.index == piece.index]
        if piece.id and (same := next((call for call in there if call.id == piece.id), None)):
            another = piece.name and piece.is_complete and same.is_complete and piece.arguments != same.arguments
            return None if another else same
        if not piece.name:  # a call begins with its name, or with an id or an index that is not known yet
            if not there and piece.id:
                return None
            nth = len(taken) if several and piece.index is None and len(taken) < len(there) else -1
            return there[nth] if there else self._calls[-1] if self._calls else None
        last = there[-1] if there else None
        if last is None or last.is_complete or any(last is call for call in taken):
            return None
        if last.arguments:
            return last if piece.name == last.name else None
        begins = (piece.id and last.id) or (piece.index is None and piece.name != last.name)
        return None if begins else last


def _read_call(raw: object) -> _Call:
    """A call or a piece of one: OpenAI's, a flat one (`name`, `arguments` or `input`), or a legacy `function_call`."""
    function = raw.get("function") or raw if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(function, Mapping):
        raise Malformed("a tool call is not an object with a function")
    arguments = next((function[key] for key in ("arguments", "input", "parameters") if key in function), None)
    flat = {"name", "arguments", "input", "parameters"} if function is raw else set()
    kind = raw.get("type")
    return _Call(
        index=raw.get("index"),
        id=_text(raw.get("id")),
        kind=kind if isinstance(kind, str) and kind not in ("", "tool_use", "function_call") else "function",
        name=_text(function.get("name")),
        arguments=arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments),
        extra={key: value for key, value in raw.items() if key not in {"index", "id", "type", "function", *flat}},
    )


def _text(value: object) -> str:
    """A name or an id, also one that is a number."""
    return repair_surrogates(value if isinstance(value, str) else "" if value is None else json.dumps(value))
