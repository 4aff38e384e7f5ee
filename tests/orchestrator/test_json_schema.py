"""The structural check of JSON schemas: as the jsonschema library where both look, and in bounded time."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.json_schema import Schema, wants_json
from quorate.orchestrator.types import Question


def accepts(schema: Any, value: Any) -> bool:
    return Schema(schema).accepts(json.loads(json.dumps(value), parse_float=Decimal, parse_int=Decimal))


LEAVES: st.SearchStrategy[Any] = st.sampled_from([None, True, 0, 1, 2.5, -3, "", "a", "abc", [], {}])
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("abc"), v, max_size=3),
    max_leaves=6,
)
TYPES = ["null", "boolean", "string", "number", "integer", "array", "object"]
SIMPLE: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.fixed_dictionaries({"type": st.sampled_from(TYPES) | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"enum": st.lists(LEAVES, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": LEAVES}),
    st.fixed_dictionaries({"$ref": st.sampled_from(["#/$defs/one", "#/$defs/a~1b"])}),
    st.dictionaries(
        st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
        st.integers(-2, 3),
        min_size=1,
    ),
    st.dictionaries(
        st.sampled_from(["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"]),
        st.integers(0, 2),
        min_size=1,
    ),
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    SIMPLE,
    lambda s: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("abc"), s, max_size=2)}),
        st.fixed_dictionaries({"required": st.lists(st.sampled_from("abc"), max_size=2, unique=True)}),
        st.fixed_dictionaries({"properties": st.just({"a": True}), "additionalProperties": s}),
        st.fixed_dictionaries({"items": s}, optional={"prefixItems": st.lists(s, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": s}),
        st.builds(
            lambda word, parts: {word: parts},
            st.sampled_from(["allOf", "anyOf", "oneOf"]),
            st.lists(s, min_size=1, max_size=2),
        ),
    ),
    max_leaves=5,
)


@given(SCHEMAS, VALUES)
@settings(max_examples=200, deadline=None)
def test_it_agrees_with_jsonschema(schema: Any, value: Any) -> None:
    """On every keyword that it knows, against draft 2020-12."""
    whole = {"allOf": [schema], "$defs": {"one": {"type": "number"}, "a/b": {"minLength": 1}}}
    assert accepts(whole, value) == jsonschema.Draft202012Validator(whole).is_valid(value)


def test_one_is_an_integer_however_it_is_spelled() -> None:
    """As the standard says."""
    assert accepts({"type": "integer"}, 1.0)
    assert accepts({"type": "integer"}, 1e30)
    assert not accepts({"type": "integer"}, 1.5)
    assert not accepts({"type": "number"}, True)
    assert accepts({"const": 1}, 1.0)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/nowhere"},
        {"const": json.loads("[" * 90 + "]" * 90)},
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 50}}, "$ref": "#/$defs/a"},
        {"pattern": "(a+)+$"},
        {"patternProperties": {"(a+)+$": False}},
        {"type": "a type of the future"},
        {"required": 3, "enum": "x", "items": 4, "properties": [], "minimum": "2", "anyOf": None, "prefixItems": {}},
    ],
    ids=str,
)
def test_absurd_schemas_hold_nothing_against_a_document(schema: Any) -> None:
    """Endless, foreign, costly or malformed: decided at once, without the network."""
    assert accepts(schema, "a" * 40 + "b")
    assert accepts(schema, {"a" * 40: [1]})


def test_work_is_bounded() -> None:
    """A schema that doubles with every level is given up on."""
    nested: dict[str, Any] = {"$defs": {"0": {"type": "string"}}}
    for i in range(1, 40):
        nested["$defs"][str(i)] = {"anyOf": [{"$ref": f"#/$defs/{i - 1}"}] * 2}
    assert accepts({**nested, "$ref": "#/$defs/39"}, 1)


@pytest.mark.parametrize("schema", [3, "x", None, [], {"a": {1, 2}}, {"minimum": float("nan")}], ids=str)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    """With one clear error."""
    with pytest.raises(BadInput, match="JSON schema"):
        Schema(schema)


@pytest.mark.parametrize(
    ("form", "wanted", "objects", "lists"),
    [
        (None, False, True, True),
        ({"type": "text"}, False, True, True),
        ({"type": "json_object"}, True, True, False),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}, True, False, True),
        ({"type": "json_schema"}, True, True, True),
        ({"type": "json_schema", "json_schema": {"schema": "x"}}, True, True, True),
    ],
)
def test_what_a_response_format_asks_for(form: Any, wanted: bool, objects: bool, lists: bool) -> None:
    """JSON at all, an object, or what a schema says; nonsense asks for nothing."""
    question = Question.of("?").model_copy(update={"response_format": form})
    assert wants_json(question) is wanted
    schema = Schema.of(question)
    assert (schema.accepts({}), schema.accepts([])) == (objects, lists)


def test_deep_strict_schemas_are_decided() -> None:
    """As OpenAI's strict mode has them: each level costs one step, not two."""
    schema: dict[str, Any] = {"type": "integer"}
    good, bad = 1, "x"
    for _ in range(25):
        schema = {"type": "object", "properties": {"a": schema}, "additionalProperties": False, "required": ["a"]}
        good, bad = {"a": good}, {"a": bad}  # type: ignore[assignment]
    assert accepts(schema, good)
    assert not accepts(schema, bad)


def test_large_enums_are_read_once() -> None:
    """Not once for every item of a document."""
    assert accepts({"items": {"enum": list(range(2000))}}, list(range(2000)))
    assert not accepts({"items": {"enum": list(range(2000))}}, [*range(2000), 2001])
