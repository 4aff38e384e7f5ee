"""Fields that requests of every API share: OpenAI's for sampling, and our own in `quorate`.

Unknown fields at the top are tolerated: what concerns sampling travels on to the models as it is. In
`quorate` they are refused, because a misspelt limit that is ignored costs money.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from quorate.config.nodes import StopConfig
from quorate.orchestrator.context import Budget
from quorate.orchestrator.frozen import Frozen
from quorate.orchestrator.types import SamplingParams

from ..http.errors import BadField

__all__ = [
    "ABOUT_THE_CALLER",
    "Control",
    "Count",
    "Flag",
    "ModelRequest",
    "Name",
    "Number",
    "Stop",
    "StreamOptions",
    "TopLogprobs",
    "Whole",
    "read_text",
]

Flag = Annotated[bool, Strict()]


def _to_whole(value: Any) -> Any:
    """JSON has one kind of number: 2.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(_to_whole)
"""Stands behind the bounds of a whole number, so that the JSON schema shows them."""
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Count = Annotated[int, Strict(), Field(ge=1, lt=2**31), Whole]
Name = Annotated[str, Field(min_length=1, max_length=512)]
TopLogprobs = Annotated[int, Strict(), Field(ge=0, le=20), Whole]
Seed = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63), Whole]
Stop = Annotated[str, Field(min_length=1)]
Penalty = Annotated[Number, Field(ge=-2, le=2)]
Bias = Annotated[Number, Field(ge=-100, le=100)]

ABOUT_THE_CALLER = frozenset({"metadata", "safety_identifier", "store", "user"})
"""OpenAI's fields that say nothing about sampling; they stay here."""


def read_text(item: Mapping[str, Any], name: str, where: str, *, empty: bool = False) -> str:
    """A text in an object of the body.

    Args:
        item: the object.
        name: of the field.
        where: the object's path.
        empty: whether it may be the empty text.

    Raises:
        BadField: it is none.
    """
    value = item.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise BadField("must be text", f"{where}.{name}")
    return value


class Control(Frozen):
    """The body's `quorate` object: how this one request is answered."""

    pipeline: Name | None = None
    """A configured pipeline, or `PIPELINE[@N]` which is put over `model`."""
    n: Count | None = None
    """Samples that the pipeline draws."""
    stop: Name | StopConfig | None = None
    """When it stops before n: a rule's name, or `{"rule": NAME}` with the rule's options beside it."""
    quorum: Count | Annotated[Number, Field(gt=0, lt=1)] | None = None
    """Good samples that will do, as a number or as a share of n; the others are cancelled after `grace`."""
    grace: Annotated[Number, Field(ge=0)] | None = None
    """Seconds."""
    min_candidates: Count | None = None
    """With fewer good samples in the end there is an error instead of an answer."""
    sample_seconds: Annotated[Number, Field(gt=0)] | None = None
    """For sampling; then the samples that there are go on to the aggregator."""
    aggregate_seconds: Annotated[Number, Field(gt=0)] | None = None
    """For the aggregator; then the vote as it stands is the answer."""
    threshold: Number | None = None
    """The score that every answer of a cascade but the last one's needs, in place of its own."""
    budget: Budget | None = None
    """Hard limits of the whole request."""
    trace: Flag = False
    """Whether the reply lists every candidate."""
    progress: Flag | None = None
    """Whether a stream tells of the vote's progress; the server's setting if not given."""

    @property
    def sampling_stage(self) -> dict[str, Any]:
        """What of the sampling stage is to be different."""
        given = {
            "quorum": self.quorum,
            "grace": self.grace,
            "min_candidates": self.min_candidates,
            "seconds": self.sample_seconds,
        }
        return {name: value for name, value in given.items() if value is not None}

    def given(self, *names: str) -> list[str]:
        """Those of these fields that are set."""
        return [name for name in names if getattr(self, name) is not None]

    @property
    def rule(self) -> StopConfig | None:
        """The stopping rule, in its long form."""
        return StopConfig(rule=self.stop) if isinstance(self.stop, str) else self.stop


NOTHING_SPECIAL = Control()


class StreamOptions(BaseModel):
    """OpenAI's settings of a stream."""

    include_usage: Flag | None = None


class ModelRequest(BaseModel):
    """What can be said to a model by any API."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)

    stays: ClassVar[frozenset[str]] = ABOUT_THE_CALLER
    """Fields without meaning to models."""

    model: Name
    temperature: Annotated[Number, Field(ge=0)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Strict(), Field(ge=-1), Whole] | None = None
    seed: Seed | None = None
    """Makes the request reproducible; every sample's seed derives from it."""
    stop: Stop | Annotated[list[Stop], Field(fail_fast=True)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: Mapping[str, Bias] | None = None
    user: str | None = None
    metadata: Mapping[str, Any] | None = None
    stream: Flag | None = None
    quorate: Control | None = None

    @property
    def control(self) -> Control:
        """How it is answered."""
        return self.quorate or NOTHING_SPECIAL

    def make_sampling(self, *, max_tokens: int | None, top_logprobs: int | None, **extra: Any) -> SamplingParams:
        """The settings that reach the models; what is null or missing is left to them."""
        extra |= {name: getattr(self, name) for name in ("frequency_penalty", "presence_penalty", "logit_bias")}
        extra |= {name: value for name, value in (self.model_extra or {}).items() if name not in self.stays}
        given = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "max_tokens": max_tokens,
            "stop": (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()) or None,
            "seed": self.seed,
            "top_logprobs": top_logprobs,
            "extra": {name: value for name, value in extra.items() if value is not None} or None,
        }
        return SamplingParams(**{name: value for name, value in given.items() if value is not None})
