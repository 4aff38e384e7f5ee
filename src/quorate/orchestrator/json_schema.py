"""Does a document fit a JSON schema? The structural part of draft 2020-12, in bounded time.

The schema comes from a caller, the document from a model: neither may cost more than its due. So
`pattern`, `format` and every other keyword not in the table below are ignored (a pattern can take
exponential time), and `$ref` reaches only into the schema itself (another address would be fetched). The same
everywhere, whether or not the jsonschema library is installed. Where a check exceeds its bounds or
meets a reference that leads nowhere, nothing is held against the document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Self
from urllib.parse import unquote

from .errors import BadInput
from .json_values import Json, is_whole, parse_json, to_canonical
from .types import Question

MAX_STEPS = 50_000
"""Subschemas looked at for one document."""
MAX_DEPTH = 100
"""Subschemas inside one another, references counted."""


def wants_json(question: Question) -> bool:
    """Whether the caller asks for JSON by `response_format`."""
    return (question.response_format or {}).get("type") in {"json_schema", "json_object"}


def find_format_fault(given: object) -> str | None:
    """What is wrong with a `response_format`, in words; None where it can be asked for."""
    if not isinstance(given, Mapping):
        return "must be an object with a type: 'text', 'json_object' or 'json_schema'"
    kind, described = given.get("type"), given.get("json_schema")
    if not isinstance(kind, str):
        return "needs a type: 'text', 'json_object' or 'json_schema'"
    if kind != "json_schema":
        return None
    if not (isinstance(described, Mapping) and isinstance(described.get("schema"), Mapping)):
        return "needs the schema in json_schema.schema, an object"
    return None if isinstance(described.get("name", ""), str) else "json_schema.name must be text"


class Schema:
    """A JSON schema that says yes or no.

    Raises:
        BadInput: it is no object or boolean, or cannot be written as JSON.
    """

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        if not isinstance(schema, Mapping | bool):
            raise BadInput(f"a JSON schema is an object, true or false, not {type(schema).__name__}")
        try:
            self.text = json.dumps(schema, allow_nan=False)
            self.root: Json = json.loads(self.text, parse_float=Decimal, parse_int=Decimal)
        except (TypeError, ValueError, RecursionError, ArithmeticError) as error:
            raise BadInput(f"the JSON schema cannot be written as JSON: {error}") from None
        self._enums: dict[int, frozenset[str]] = {}

    @classmethod
    def of(cls, question: Question) -> Self:
        """What the question's `response_format` asks for; where it says nothing, any document fits."""
        form = question.response_format or {}
        if form.get("type") == "json_object":
            return cls({"type": "object"})
        asked = form.get("json_schema") if form.get("type") == "json_schema" else None
        schema = asked.get("schema") if isinstance(asked, Mapping) else None
        return cls(schema if isinstance(schema, Mapping | bool) else True)

    @classmethod
    def strict(cls, question: Question) -> Self | None:
        """What the question's `response_format` promises its reader (`strict`); None where it promises nothing."""
        asked = (question.response_format or {}).get("json_schema")
        return cls.of(question) if isinstance(asked, Mapping) and asked.get("strict") is True else None

    def accepts_text(self, text: str) -> bool:
        """Whether a text is a document, and nothing else, and fits."""
        document = parse_json(text)
        return document is not None and self.accepts(document.value)

    def accepts(self, value: Json) -> bool:
        """Whether a document, its numbers decimals, fits."""
        try:
            return _SchemaCheck(self.root, self._enums).fits(self.root, value)
        except (_UndecidedError, RecursionError):
            return True


class _UndecidedError(Exception):
    """The check would take too long, or leads out of the schema."""


class _SchemaCheck:
    """One document against one schema."""

    def __init__(self, root: Json, enums: dict[int, frozenset[str]]) -> None:
        self._root = root
        self._enums = enums
        """Canonical forms by the identity of a list in the schema, which keeps it alive."""
        self._steps = 0
        self._depth = 0

    def fits(self, schema: Json, value: Json) -> bool:
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            return True
        self._steps += 1
        self._depth += 1
        if self._steps > MAX_STEPS or self._depth > MAX_DEPTH:
            raise _UndecidedError
        good = all(_RULES[word](self, schema, value) for word in schema if word in _RULES)
        self._depth -= 1
        return good

    def each(self, schemas: Json, value: Json) -> Iterator[bool]:
        yield from (self.fits(schema, value) for schema in (schemas if isinstance(schemas, list) else [True]))

    def enum(self, schema: Mapping[str, Json], value: Json) -> bool:
        allowed = schema["enum"]
        if not isinstance(allowed, list):
            return True
        if id(allowed) not in self._enums:
            self._enums[id(allowed)] = frozenset(_canonical(each) for each in allowed)
        return _canonical(value) in self._enums[id(allowed)]

    def reference(self, schema: Mapping[str, Json], value: Json) -> bool:
        pointer = schema["$ref"]
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise _UndecidedError
        target = self._root
        for part in unquote(pointer).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and name in target:
                target = target[name]
            elif isinstance(target, list) and name.isdecimal() and len(name) < 6 and int(name) < len(target):
                target = target[int(name)]
            else:
                raise _UndecidedError
        return self.fits(target, value)

    def properties(self, schema: Mapping[str, Json], value: Json) -> bool:
        """`properties` and `additionalProperties`, which is about the rest of them."""
        if not isinstance(value, Mapping):
            return True
        named = schema.get("properties")
        named = named if isinstance(named, Mapping) else {}
        other: Json = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        return all(self.fits(named.get(key, other), item) for key, item in value.items())

    def items(self, schema: Mapping[str, Json], value: Json) -> bool:
        """`prefixItems`, and `items` for what follows them."""
        if not isinstance(value, list):
            return True
        first = schema.get("prefixItems")
        first = first if isinstance(first, list) else []
        rest = schema.get("items", True)
        return all(self.fits(first[i] if i < len(first) else rest, item) for i, item in enumerate(value))


_TYPES: Mapping[str, Callable[[Json], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, Decimal),
    "integer": lambda value: isinstance(value, Decimal) and is_whole(value),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
}


def _type(_: _SchemaCheck, schema: Mapping[str, Json], value: Json) -> bool:
    names = schema["type"]
    named = names if isinstance(names, list) else [names]
    return any(isinstance(n, str) and (n not in _TYPES or _TYPES[n](value)) for n in named)


def _canonical(value: Json) -> str:
    try:
        return to_canonical(value)
    except ValueError:
        raise _UndecidedError from None


def _has_required(_: _SchemaCheck, schema: Mapping[str, Json], value: Json) -> bool:
    names = schema["required"]
    return not (isinstance(value, Mapping) and isinstance(names, list)) or all(name in value for name in names)


def _limit(word: str, kind: type | tuple[type, ...], good: Callable[[Decimal, Decimal], bool]) -> _Rule:
    """A bound on a number, or on the length of something."""

    def rule(_: _SchemaCheck, schema: Mapping[str, Json], value: Json) -> bool:
        bound = schema[word]
        if not isinstance(bound, Decimal) or not isinstance(value, kind):
            return True
        return good(value if isinstance(value, Decimal) else Decimal(len(value)), bound)  # type: ignore[arg-type]

    return rule


_Rule = Callable[[_SchemaCheck, Mapping[str, Json], Json], bool]

_RULES: Mapping[str, _Rule] = {
    "$ref": _SchemaCheck.reference,
    "type": _type,
    "enum": _SchemaCheck.enum,
    "const": lambda _, schema, value: _canonical(value) == _canonical(schema["const"]),
    "allOf": lambda check, schema, value: all(check.each(schema["allOf"], value)),
    "anyOf": lambda check, schema, value: any(check.each(schema["anyOf"], value)),
    "oneOf": lambda check, schema, value: sum(check.each(schema["oneOf"], value)) == 1,
    "not": lambda check, schema, value: not check.fits(schema["not"], value),
    "required": _has_required,
    "properties": _SchemaCheck.properties,
    "additionalProperties": lambda check, schema, value: "properties" in schema or check.properties(schema, value),
    "items": _SchemaCheck.items,
    "prefixItems": lambda check, schema, value: "items" in schema or check.items(schema, value),
    "minimum": _limit("minimum", Decimal, lambda value, bound: value >= bound),
    "maximum": _limit("maximum", Decimal, lambda value, bound: value <= bound),
    "exclusiveMinimum": _limit("exclusiveMinimum", Decimal, lambda value, bound: value > bound),
    "exclusiveMaximum": _limit("exclusiveMaximum", Decimal, lambda value, bound: value < bound),
    "minLength": _limit("minLength", str, lambda length, bound: length >= bound),
    "maxLength": _limit("maxLength", str, lambda length, bound: length <= bound),
    "minItems": _limit("minItems", list, lambda length, bound: length >= bound),
    "maxItems": _limit("maxItems", list, lambda length, bound: length <= bound),
    "minProperties": _limit("minProperties", dict, lambda length, bound: length >= bound),
    "maxProperties": _limit("maxProperties", dict, lambda length, bound: length <= bound),
}
