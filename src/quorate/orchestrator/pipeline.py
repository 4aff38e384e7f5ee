"""A pipeline: a sampling stage and an aggregator, which together are a model again."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .errors import BadInput
from .events import Event
from .model import Answering
from .protocols import Aggregator, Model, StoppingRule, Tailored, Tallier
from .run import Ledger, Run
from .sampling import Sample
from .stages import straight
from .standing import backed
from .types import Candidate, Cluster, Question

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Pipeline"]


class Pipeline(Answering):
    """`sample(...) | aggregate`.

    With checkpoints it runs as a LangGraph graph of its stages, without them stage after stage.

    Args:
        sampler: draws the candidates.
        aggregator: makes one answer of them.
        name: how it is called in answers, configuration and on the wire.
        seconds: for the aggregation; then the vote as it stands is the answer.

    Raises:
        BadInput: seconds is not above 0.
    """

    def __init__(
        self, sampler: Sample, aggregator: Aggregator, *, name: str | None = None, seconds: float | None = None
    ) -> None:
        if seconds is not None and not 0 < seconds < math.inf:
            raise BadInput(f"Pipeline(seconds={seconds!r}): give a number of seconds above 0")
        self.seconds = seconds
        self.sampler = sampler
        self.aggregator = aggregator
        models = "+".join(model.name for model in sampler.models)
        self.name = name or f"{aggregator.name}@{sampler.n}/{models}"

    def named(self, name: str) -> Pipeline:
        """The same pipeline under another name."""
        return Pipeline(self.sampler, self.aggregator, name=name, seconds=self.seconds)

    def sized(self, n: int) -> Pipeline:
        """The same pipeline drawing n candidates."""
        return self._with(self.sampler.sized(n))

    def drawing(self, **changes: Any) -> Pipeline:
        """The same pipeline with other fields of its sampling stage, such as `quorum`, `grace`, `least`, `seconds`."""
        return self._with(replace(self.sampler, **changes))

    def within(self, seconds: float | None) -> Pipeline:
        """The same pipeline whose aggregation has so many seconds; then the vote as it stands is the answer."""
        return Pipeline(self.sampler, self.aggregator, name=self.name, seconds=seconds)

    def stopping(self, rule: StoppingRule) -> Pipeline:
        """The same pipeline with another stopping rule."""
        return self._with(replace(self.sampler, stop=rule))

    def over(self, wrap: Callable[[Model], Model]) -> Pipeline:
        """The same pipeline over other proposers."""
        models = tuple(wrap(model) for model in self.sampler.models)
        return self._with(replace(self.sampler, models=models))

    def _with(self, sampler: Sample) -> Pipeline:
        return Pipeline(sampler, self.aggregator, name=self.name, seconds=self.seconds)

    @cached_property
    def graph(self) -> Graph:
        """The compiled graph; `graph.mermaid()` draws it."""
        from .graph import Graph

        return Graph(self)

    async def stream(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        """See `protocols.Model`; the answer carries all candidates, what was degraded and what it cost."""
        run = replace(run, ledger=Ledger(run.ledger))
        stages = straight(self, question, run) if run.checkpoints is None else self.graph.stream(question, run)
        async with aclosing(stages) as events:
            async for event in events:
                yield event

    def sampling_events(self, question: Question, run: Run) -> AsyncGenerator[Event, None]:
        tallier = _tallier(self.aggregator, question)
        cuts = self.sampler.cuts or run.budget.tokens is not None or run.deadline is not None
        run = run.at("sample", live=run.live or cuts, seconds=self.sampler.seconds)
        return self.sampler.stream(question, run, tallier)

    def aggregation_events(
        self, question: Question, candidates: Sequence[Candidate], tally: Sequence[Cluster], run: Run
    ) -> AsyncGenerator[Event, None]:
        return backed(self.aggregator, question, candidates, tally, run.at("aggregate", seconds=self.seconds))

    async def aclose(self) -> None:
        for owner in (*self.sampler.models, self.aggregator):
            close = getattr(owner, "aclose", None)
            if close is not None:
                await close()

    def __repr__(self) -> str:
        return f"<Pipeline {self.name}>"


def _tallier(aggregator: Aggregator, question: Question) -> Tallier | None:
    """Who counts the votes while this question is sampled."""
    if isinstance(aggregator, Tailored):
        return aggregator.tailored(question)
    return aggregator if isinstance(aggregator, Tallier) else None
