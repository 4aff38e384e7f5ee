"""A body as a request of one API, or a clear word about what is wrong with it, and where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from .errors import BadField

__all__ = ["parsed"]

M = TypeVar("M", bound=BaseModel)

TOLD = 10
"""Mistakes that one error tells of at most; a list's first wrong item stands for all of them."""


def parsed(body: bytes, form: type[M]) -> M:
    """The request in a body.

    Raises:
        BadField: not JSON (with line and column), or a field that cannot be used (with its path).
    """
    try:
        data = from_json(body, allow_inf_nan=False)
        json.dumps(data, allow_nan=False)
    except ValueError as error:
        raise BadField(f"the body is not valid JSON: {error}", None) from None
    if not isinstance(data, dict):
        raise BadField(f"the body must be a JSON object, not {_kind(data)}", None)
    try:
        return form.model_validate(data)
    except ValidationError as error:
        raise _explained(error, data, form) from None


def _explained(error: ValidationError, data: dict[str, Any], form: type[BaseModel]) -> BadField:
    """The fields that are wrong, each once, in one line."""
    wrong: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False)[:TOLD]:
        wrong.setdefault(_path(detail, data), []).append(_message(detail, form))
    # Of a union that could be read in several ways, the way that got furthest was meant.
    meant = [path for path in wrong if not any(other.startswith((f"{path}.", f"{path}[")) for other in wrong)]
    told = [" or ".join(dict.fromkeys(wrong[path])) for path in meant]
    others = [f"{path}: {message}" for path, message in zip(meant, told, strict=True)][1:]
    return BadField("; ".join([told[0], *others]), meant[0])


def _path(detail: ErrorDetails, data: Any) -> str:
    """Where in the body, as in `messages[0].content`; pydantic's names for branches of a union are left out."""
    path = ""
    for part in detail["loc"]:
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            data, path = data[part], f"{path}[{part}]"
        elif isinstance(data, dict) and part in data:
            data, path = data[part], f"{path}.{part}"
        elif isinstance(data, dict) and detail["type"] == "missing" and part == detail["loc"][-1]:
            path = f"{path}.{part}"
    return path.removeprefix(".")


def _message(detail: ErrorDetails, form: type[BaseModel]) -> str:
    """Pydantic's words, in those of JSON."""
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        return f"unknown field; there is: {', '.join(sorted(_fields(form, detail['loc'][:-1])))}"
    message = detail["msg"].removeprefix("Value error, ")
    for theirs, ours in (("dictionary", "object"), ("mapping", "object"), ("tuple", "array"), ("list", "array")):
        message = message.replace(f"valid {theirs}", ours)
    message = message.replace("valid string", "string")
    return message[0].lower() + message[1:]


def _fields(form: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    """Fields of the object at this place."""
    for part in loc:
        if part in form.model_fields:
            inner = form.model_fields[str(part)].annotation
            branches = [inner, *get_args(inner)]
            form = next((b for b in branches if isinstance(b, type) and issubclass(b, BaseModel)), form)
    return set(form.model_fields)


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
