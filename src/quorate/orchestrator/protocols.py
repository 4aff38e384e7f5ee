"""Every seam of the system. A new variant is a new class behind one of these.

Derive from `ModelBase`, `Agent` or `Aggregator` to get all but the one method that makes yours different; the
others are structural, and a class of yours needs no base.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeGuard, runtime_checkable

from .context import RunContext
from .identity import Identity
from .partial import PartialCandidate
from .progress import SamplingProgress
from .types import Answer, Candidate, Cluster, Question, Sampled


@runtime_checkable
class Model(Protocol):
    """Answers a question: a single model and a whole graph alike."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> Identity:
        """What it is; a wrapper hands on the identity of what it wraps."""
        ...

    @property
    def parts(self) -> tuple[Model, ...]:
        """The models that it asks; none where it is a single one."""
        ...

    @property
    def calls(self) -> int:
        """Most answers of single models that one answer of it takes."""
        ...

    @property
    def available(self) -> bool:
        """Whether asking it makes sense now; not while the circuit breakers of its servers are open."""
        ...

    async def answer(self, question: Question, run: RunContext) -> Answer:
        """The answer; what happens on the way goes to `run.emit`, every upstream token to the run's ledger, once.

        When cancelled, it books what was spent before it lets go.

        Raises:
            QuorateError: no answer can be given.
        """
        ...

    async def aclose(self) -> None:
        """Closes connections and workers; the next call opens them again."""
        ...


@runtime_checkable
class Sampler(Model, Protocol):
    """A model that draws several independent candidates itself, in one request or one batch."""

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """Writes each slot to its end; never raises for an upstream's fault, which fails the slots concerned.

        The candidate of index i uses `run.sample_seed(i)` where the backend takes a seed a sample. When cancelled,
        each slot that has not ended is told what it has cost (`PartialCandidate.leave`).
        """
        ...


@runtime_checkable
class Completing(Model, Protocol):
    """A model that can go on with any text, as base models do, without the form of a conversation."""

    def complete(self, body: Mapping[str, Any], run: RunContext) -> AsyncGenerator[dict[str, Any], None]:
        """The reply to a request of OpenAI's `/v1/completions`, or its chunks where the body says `stream`.

        Every upstream token goes to `run.record` once, however it ends.

        Raises:
            QuorateError: the model failed, or cannot do what is asked.
        """
        ...


@runtime_checkable
class Forwarding(Model, Protocol):
    """A model whose server has further APIs: embeddings, ranking."""

    async def forward(self, path: str, body: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
        """The server's reply to a body, in which it puts its own name of the model.

        Args:
            path: below the API's root.
            body: without the model.
            run: books what the server counted.

        Raises:
            UpstreamError: the server failed, or has no such API.
        """
        ...


def is_sampler(model: Model) -> TypeGuard[Sampler]:
    """Whether a model is a `Sampler`; Python 3.11 would look at every member of the protocol at every question."""
    return callable(getattr(type(model), "sample", None))


class VoteCounter(Protocol):
    """Counts the votes on one question, again and again while candidates come."""

    def extract(self, candidate: Candidate) -> str | None:
        """The answer that this candidate votes for; None abstains."""
        ...

    async def tally(self, candidates: Sequence[Candidate]) -> tuple[Cluster, ...]:
        """Clusters by falling weight, whatever the order of the candidates.

        Called again with one candidate more, it looks at that one only.
        """
        ...


class AnswerScorer(Protocol):
    """Says how far an answer can be trusted: why a cascade accepts it."""

    @property
    def name(self) -> str: ...

    def score(self, question: Question, answer: Answer) -> float | None:
        """More is surer; None where it cannot be told, and such an answer is not accepted."""
        ...


class Aggregator(Protocol):
    """Makes one answer out of candidates. Derive from it: all but `aggregate` has a default."""

    name: str

    @property
    def fallback(self) -> Aggregator | None:
        """Answers where this one fails or has no time left, and counts the votes meanwhile."""
        return None

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it may ask."""
        return ()

    def map_models(self, change: Callable[[Model], Model]) -> Self:  # noqa: ARG002 - for those who ask
        """The same over other models."""
        return self

    def calls(self, n: int) -> int:  # noqa: ARG002 - for those who call
        """Most answers of these models that aggregating n candidates takes."""
        return 0

    def counter(self, question: Question, run: RunContext) -> VoteCounter | None:
        """Who counts the votes on this question while it is sampled; None where there is no vote."""
        return None if self.fallback is None else self.fallback.counter(question, run)

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        """One answer; `sampled` holds at least one candidate that is ok, failed ones included.

        Where `sampled.tally` is there, the votes of `counter` have been counted, and the candidates have their
        answers. What did not go as it should is in `degraded` of the answer, without what is in that of `sampled`.

        Raises:
            QuorateError: there is none.
        """
        ...

    async def aclose(self) -> None:
        """Closes the models and workers that it has."""
        for model in self.models:
            await model.aclose()
        if self.fallback is not None:
            await self.fallback.aclose()


@runtime_checkable
class StoppingRule(Protocol):
    def stop(self, progress: SamplingProgress) -> str | None:
        """Why sampling may stop now, in words; None to go on."""
        ...


class Verifier(Protocol):
    async def score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
        """Higher is better; comparable within one question. What it spends goes to the run's ledger."""
        ...


@runtime_checkable
class Router(Protocol):
    async def choose(self, question: Question, models: Sequence[Model], run: RunContext) -> tuple[int, str]:
        """Which of the models shall answer, by its place, and why in words."""
        ...
