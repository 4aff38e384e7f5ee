"""A pipeline: a sampling stage and an aggregator, which together are a model again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from .events import Event
from .model import Answering
from .protocols import Aggregator, Model, StoppingRule, Tailored, Tallier
from .run import Ledger, Run
from .sampling import Sample
from .stages import straight
from .types import Candidate, Question

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
    """

    def __init__(self, sampler: Sample, aggregator: Aggregator, *, name: str | None = None) -> None:
        self.sampler = sampler
        self.aggregator = aggregator
        models = "+".join(model.name for model in sampler.models)
        self.name = name or f"{aggregator.name}@{sampler.n}/{models}"

    def named(self, name: str) -> Pipeline:
        """The same pipeline under another name."""
        return Pipeline(self.sampler, self.aggregator, name=name)

    def sized(self, n: int) -> Pipeline:
        """The same pipeline drawing n candidates."""
        return Pipeline(replace(self.sampler, n=n), self.aggregator, name=self.name)

    def stopping(self, rule: StoppingRule) -> Pipeline:
        """The same pipeline with another stopping rule."""
        return Pipeline(replace(self.sampler, stop=rule), self.aggregator, name=self.name)

    def over(self, wrap: Callable[[Model], Model]) -> Pipeline:
        """The same pipeline over other proposers."""
        models = tuple(wrap(model) for model in self.sampler.models)
        return Pipeline(replace(self.sampler, models=models), self.aggregator, name=self.name)

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
        live = run.live or self.sampler.stop is not None or run.budget.tokens is not None
        return self.sampler.stream(question, run.at("sample", live=live), tallier)

    def aggregation_events(
        self, question: Question, candidates: Sequence[Candidate], run: Run
    ) -> AsyncGenerator[Event, None]:
        return self.aggregator.aggregate(question, candidates, run.at("aggregate"))

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
