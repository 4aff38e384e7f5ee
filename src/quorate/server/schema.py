"""The body of a chat request: OpenAI's fields, and our own in `quorate`.

Unknown fields at the top are tolerated: what concerns sampling travels on to the models as it is. In
`quorate` they are refused, because a misspelt limit that is ignored costs money.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic_core import ErrorDetails, from_json

from quorate.orchestrator.run import Budget
from quorate.orchestrator.types import Frozen, Message, Sampling

from .errors import BadField

__all__ = ["ChatRequest", "Control", "parsed"]

Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Count = Annotated[Whole, Field(ge=1)]
Name = Annotated[str, Field(min_length=1, max_length=512)]
Seed = Annotated[Whole, Field(ge=-(2**63), lt=2**63)]
Stop = Annotated[str, Field(min_length=1)]

TOLD = 10
"""Mistakes that one error tells of at most; a list's first wrong item stands for all of them."""

ABOUT_THE_CALLER = frozenset({"metadata", "store", "user"})
"""OpenAI's fields that say nothing about sampling; they stay here."""


class Control(Frozen):
    """The body's `quorate` object: how this one request is answered."""

    pipeline: Name | None = None
    """A configured pipeline, or `PIPELINE[@N]` which is put over `model`."""
    n: Count | None = None
    """Samples that the pipeline draws."""
    budget: Budget | None = None
    trace: Flag = False
    """Whether the reply lists every candidate."""
    progress: Flag | None = None
    """Whether a stream tells of the vote's progress; the server's setting if not given."""


class StreamOptions(BaseModel):
    include_usage: Flag | None = None


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    model: Name
    messages: Annotated[list[Message], Field(fail_fast=True)] = Field(min_length=1)
    n: Count | None = None
    """Independent answers of the model or pipeline; not the samples of a vote (`quorate.n`)."""
    seed: Seed | None = None
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    """The newer name; wins over `max_tokens`."""
    temperature: Annotated[Number, Field(ge=0)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Whole, Field(ge=-1)] | None = None
    logprobs: Flag | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[Mapping[str, Any]], Field(fail_fast=True)] | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    response_format: Mapping[str, Any] | None = None
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    quorate: Control | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling(self) -> Sampling:
        """The settings that reach the models; what is null or missing is left to them."""
        extra = {k: v for k, v in (self.model_extra or {}).items() if v is not None and k not in ABOUT_THE_CALLER}
        given = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "stop": (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()) or None,
            "seed": self.seed,
            "top_logprobs": (self.top_logprobs or 0) if self.logprobs else None,
            "extra": extra or None,
        }
        return Sampling(**{name: value for name, value in given.items() if value is not None})


def parsed(body: bytes) -> ChatRequest:
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
        request = ChatRequest.model_validate(data)
    except ValidationError as error:
        raise _explained(error, data) from None
    if request.top_logprobs is not None and not request.logprobs:
        raise BadField("needs logprobs to be true", "top_logprobs")
    return request


def _explained(error: ValidationError, data: dict[str, Any]) -> BadField:
    """The fields that are wrong, each once, in one line."""
    wrong: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False, include_context=False)[:TOLD]:
        wrong.setdefault(_path(detail, data), []).append(_message(detail))
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


def _message(detail: ErrorDetails) -> str:
    """Pydantic's words, in those of JSON."""
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] == "extra_forbidden":
        known = Budget.model_fields if "budget" in detail["loc"] else Control.model_fields
        return f"unknown field; there is: {', '.join(sorted(known))}"
    message = detail["msg"].replace("valid dictionary", "object").replace("valid mapping", "object")
    message = message.replace("valid tuple", "array").replace("valid list", "array").replace("valid string", "string")
    return message[0].lower() + message[1:]


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
