"""JSON by value, and in time that hostile text cannot stretch."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.structured.documents import find_document
from quorate.orchestrator.json_values import MAX_CHARACTERS, Json, parse_json, to_canonical, to_json

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def of(text: str) -> str:
    found = parse_json(text)
    assert found is not None
    return found.canonical


def shuffled(value: Any, order: Any) -> Any:
    """The value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], order) for key in order(list(value))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_the_canonical_form_is_its_own(value: Any) -> None:
    """Canonicalisation is idempotent, and changes no value."""
    once = of(json.dumps(value))
    assert of(once) == once
    assert json.loads(once, parse_int=float) == json.loads(json.dumps(value), parse_int=float)


@given(VALUES, st.randoms(use_true_random=False), st.sampled_from([None, 2]))
@settings(max_examples=60, deadline=None)
def test_keys_and_white_space_mean_nothing(value: Any, random: Any, indent: int | None) -> None:
    """The same value in any order of keys and any layout has one form."""
    other = shuffled(value, lambda keys: random.sample(keys, len(keys)))
    assert of(json.dumps(other, indent=indent)) == of(json.dumps(value, separators=(",", ":")))


@pytest.mark.parametrize(
    ("same", "form"),
    [
        (("1", "1.0", "1e0", "10E-1", "0.1e+1", " 1 "), "1"),
        (("0", "-0", "0.0", "-0e99", "0e-99"), "0"),
        (("-12.50", "-1.25e1", "-1250e-2"), "-12.5"),
        (("1e30", "10e29"), "1e30"),
        (("1e-30", "0.1e-29"), "1e-30"),
        (("100000000000000000001",), "100000000000000000001"),
        (("0.05", "5e-2"), "0.05"),
        (('"a\\u0062c"', '"abc"'), '"abc"'),
        (('{"a": 1, "a": 2}', '{"a": 2.0}'), '{"a":2}'),
        (("true",), "true"),
    ],
)
def test_equal_values_have_one_form(same: tuple[str, ...], form: str) -> None:
    """Numbers count by value, exactly; strings by their characters; of a repeated key the last counts."""
    assert {of(text) for text in same} == {form}


def test_what_differs_stays_apart() -> None:
    """No coercion between kinds, and no rounding of long identifiers."""
    texts = ["1", '"1"', "true", "null", "[1]", "9007199254740993", "9007199254740992", "0.1", "[]", "{}", '""']
    assert len({of(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    "text",
    ["", "{", "{'a': 1}", "NaN", "[Infinity]", "1 2", "[" * 100_000, "[" * 70 + "]" * 70, "1e" + "9" * 30, "01"],
    ids=lambda text: text[:10],
)
def test_what_is_no_document(text: str) -> None:
    """Malformed, not finite, too deep or with an absurd exponent: none, and no error."""
    assert parse_json(text) is None


def test_a_document_has_a_length() -> None:
    """What is too long is not even read."""
    assert parse_json(json.dumps("x" * MAX_CHARACTERS)) is None
    assert parse_json(" " * (MAX_CHARACTERS - 1) + "1") is not None


def test_half_a_surrogate_pair_can_be_told() -> None:
    """An escape of half a character becomes a replacement that UTF-8 can hold."""
    assert of('"\\ud800"').encode() == '"\ufffd"'.encode()


def test_a_huge_exponent_is_not_written_out() -> None:
    """A number of twelve characters cannot become a gigabyte."""
    assert len(of("1e999999999")) < 20
    assert to_canonical(Decimal("-1e-999999")) == "-1e-999999"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"a": 1}', '{"a":1}'),
        ('<think>{"a": 2}</think> {"a": 1}', '{"a":1}'),
        ('Here it is:\n```json\n{"a": 1}\n```\nEnjoy.', '{"a":1}'),
        ('```\n{"a": 2}\n```\nor rather\n```JSON\n{"a": 1}\n```', '{"a":1}'),
        ('```json\n{"a": 1}\n```\n```python\nprint()\n```', '{"a":1}'),
        ('```{"a": 1}```', '{"a":1}'),
        ('The answer is {"a": 1}', '{"a":1}'),
        ('{"a": 1}\n\nReferences: [1]', '{"a":1}'),
        ('Result: {"a": {"b": 1}}. Hope it helps', '{"a":{"b":1}}'),
        ('First {"a": 1}, then {"a": 2}', None),
        ('{"a": 1} for {x}', None),
        ("a set {1, 2}", None),
        ("[1] says so", None),
        ('{"a":' * 50_000, None),
        ('<think>{"a": 1}', None),
        ("```" * 50_000, None),
    ],
    ids=lambda value: (value or "none")[:12],
)
def test_where_a_document_is_looked_for(text: str, form: str | None) -> None:
    """The whole visible text, else the last fenced block that is JSON, else the only object in prose."""
    found = find_document(text)
    assert (found and found.canonical) == form


def test_writing_keeps_the_order_unless_sorted() -> None:
    """An assembled document reads like the model's own."""
    value: Json = {"b": [Decimal("1.0"), None], "a": "é"}
    assert to_json(value) == '{"b":[1,null],"a":"é"}'
    assert to_canonical(value) == '{"a":"é","b":[1,null]}'
