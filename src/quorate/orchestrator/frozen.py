"""The base of every value, and what is wrong with one, in words for those who wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import BadInput

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from pydantic_core import ErrorDetails
else:
    ModelMetaclass = type(BaseModel)


_build = type.__call__


class _Refusing(ModelMetaclass):
    """Whoever builds a value by its class gets a `BadInput` in our words; pydantic's own parsing does not come here."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - a metaclass
        if args:
            raise BadInput(f"{cls.__name__}(...): give each field by its name; there is: {', '.join(cls.model_fields)}")  # type: ignore[attr-defined]
        try:
            return _build(cls, **kwargs)
        except ValidationError as error:
            field, words = first_fault(error)
            known = f"; there is: {', '.join(cls.model_fields)}" if words == UNKNOWN else ""  # type: ignore[attr-defined]
            # The value is not told: it may be a key.
            raise BadInput(f"{cls.__name__}({field}): {words}{known}") from None


class Frozen(BaseModel, metaclass=_Refusing):
    """Base of every value: immutable, compared by content, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


UNKNOWN = "unknown field"
_FORMS = {
    "dictionary": "should be a mapping, as {a: b}",
    "tuple": "should be a list, as [a, b]",
    "list": "should be a list, as [a, b]",
}


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The field that is wrong first, with dots and empty where it is the whole, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), explain_fault(first)


def explain_fault(fault: ErrorDetails) -> str:
    """What is wrong, without pydantic's names for it."""
    match fault["type"]:
        case "extra_forbidden":
            return UNKNOWN
        case "missing":
            return "is missing"
        case "too_short":
            return f"needs at least {fault['ctx']['min_length']}"
        case "union_tag_invalid":
            return f"no type {fault['ctx']['tag']!r}; there is: {fault['ctx']['expected_tags'].replace(chr(39), '')}"
    said = fault["msg"].removeprefix("Value error, ")
    for kind, words in _FORMS.items():
        if said.startswith(f"Input should be a valid {kind}"):
            return words
    said = said.replace("Input should be a valid string", "should be text")
    return said.replace("Input should", "should").replace("String should", "should")
