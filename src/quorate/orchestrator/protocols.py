"""Every seam of the system. A new variant is a new class behind one of these.

All are structural: a class of yours needs no base class, only the method.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

from .events import Event
from .run import Run
from .tokens import TokenModel
from .types import Candidate, Cluster, Question

__all__ = [
    "Aggregator",
    "Calling",
    "Completing",
    "Equivalence",
    "Extractor",
    "Limited",
    "Model",
    "Sampler",
    "StoppingRule",
    "Tailored",
    "Tallier",
    "TokenModel",
    "Verifier",
    "draws_itself",
    "identity",
]

TOLD = ("kind", "model", "fingerprint", "dtype")
"""What of a model determines its samples, where it has it, beside its name and sampling settings."""


@runtime_checkable
class Model(Protocol):
    """Answers a question: a single model and a whole pipeline alike."""

    @property
    def name(self) -> str: ...

    def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """Events ending in one `Done`.

        Raises:
            QuorateError: no answer can be given.
        """
        ...


@runtime_checkable
class Sampler(Model, Protocol):
    """A model that draws several independent candidates itself, in one request or one batch."""

    def sample(self, question: Question, indices: Sequence[int], run: Run) -> AsyncGenerator[Event, None]:
        """One `CandidateFinished` or `CandidateFailed` for every index; never raises for an upstream's fault.

        The candidate of index i uses `run.sample_seed(i)` where the backend takes a seed a sample.
        Every upstream token goes to `run.record` once. When cancelled, the part of each unfinished
        candidate goes to `run.cut`, and so does each ended one whose event has not been read.
        """
        ...


@runtime_checkable
class Completing(Model, Protocol):
    """A model that can go on with any text, as base models do, without the form of a conversation."""

    def complete(self, body: Mapping[str, Any], run: Run) -> AsyncGenerator[dict[str, Any], None]:
        """The reply to a request of OpenAI's `/v1/completions`, or its chunks where the body says `stream`.

        Every upstream token goes to `run.record` once, however it ends.

        Raises:
            QuorateError: the model failed, or cannot do what is asked.
        """
        ...


@cache
def _has_sample(kind: type) -> bool:
    return callable(getattr(kind, "sample", None))


def draws_itself(model: Model) -> TypeGuard[Sampler]:
    """Whether a model is a `Sampler`; Python 3.11 would look at every member of the protocol at every question."""
    return _has_sample(type(model))


def identity(model: object) -> dict[str, str]:
    """What is known of a model that makes its samples its own, in words that are the same in every process."""
    known = {name: getattr(model, name, None) for name in TOLD}
    return {name: str(value) for name, value in known.items() if value is not None}


@runtime_checkable
class Aggregator(Protocol):
    """Makes one answer out of candidates."""

    @property
    def name(self) -> str: ...

    def aggregate(self, question: Question, candidates: Sequence[Candidate], run: Run) -> AsyncGenerator[Event, None]:
        """Events ending in one `Done`; `candidates` holds at least one that is ok, failed ones included."""
        ...


@runtime_checkable
class Tallier(Protocol):
    """An aggregator that can say how the votes stand at any time."""

    def extract(self, candidate: Candidate) -> str | None:
        """The answer that this candidate votes for; None abstains."""
        ...

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """Clusters by falling weight."""
        ...


@runtime_checkable
class Tailored(Protocol):
    """An aggregator for which it depends on the question what counts as an answer: its tools, its format."""

    def tailored(self, question: Question) -> Tallier:
        """How the votes on this question are counted."""
        ...


@runtime_checkable
class Calling(Protocol):
    """An aggregator that asks models itself; limits on what a request may cost count its calls."""

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it may ask."""
        ...

    def calls(self, n: int) -> int:
        """Most answers of these models that aggregating n candidates takes."""
        ...


class Extractor(Protocol):
    def extract(self, text: str) -> str | None:
        """The answer that a text gives, or None."""
        ...


class Equivalence(Protocol):
    async def classes(self, answers: Sequence[str]) -> list[int]:
        """For each answer the number of its class, from 0; equal numbers mean equivalent answers.

        The partition does not depend on the order of the answers.
        """
        ...


@runtime_checkable
class StoppingRule(Protocol):
    def stop(self, candidates: Sequence[Candidate], tally: Sequence[Cluster]) -> str | None:
        """Why sampling may stop now, in words; None to go on."""
        ...


@runtime_checkable
class Limited(StoppingRule, Protocol):
    """A stopping rule that looks ahead, so it has to know how many samples there can be."""

    def within(self, limit: int) -> StoppingRule:
        """The rule for a stage that draws so many at most."""
        ...


class Verifier(Protocol):
    async def score(self, question: Question, candidate: Candidate) -> float:
        """Higher is better; comparable within one question."""
        ...
