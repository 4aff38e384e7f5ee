"""Every synthesizer, small, over scripted models."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from quorate.orchestrator.context import RunContext

from quorate.aggregators import (
    AggLM,
    Debate,
    Gate,
    Layer,
    MajorityVote,
    MixtureOfAgents,
    ProposeAndAggregate,
    RecursiveSelfAggregation,
    SelfMoA,
    SelfMoASeq,
)
from quorate.orchestrator.events import Done, Event
from quorate.orchestrator.protocols import Aggregator
from quorate.orchestrator.types import Answer, Candidate, Question
from quorate.testing import ScriptedModel

from ..helpers import Exact, candidate

__all__ = ["MAKERS", "Make", "Seeded", "aggregation", "boxed", "vote"]

Make = Callable[..., Aggregator]


def vote() -> MajorityVote:
    """A vote that needs no worker process."""
    return MajorityVote(equivalence=Exact())


def _self_moa(model: ScriptedModel, **options: Any) -> Aggregator:
    return SelfMoA(model, fallback=vote(), **options)


def _seq(model: ScriptedModel, **options: Any) -> Aggregator:
    return SelfMoASeq(model, window=2, fallback=vote(), **options)


def _agglm(model: ScriptedModel, **options: Any) -> Aggregator:
    return AggLM(model, fallback=vote(), **options)


def _moa(model: ScriptedModel, **options: Any) -> Aggregator:
    return MixtureOfAgents(model, layers=[Layer((model,), 2), Layer((model, model), 3)], fallback=vote(), **options)


def _aft(model: ScriptedModel, **options: Any) -> Aggregator:
    return ProposeAndAggregate(model, rounds=2, n=3, fallback=vote(), **options)


def _rsa(model: ScriptedModel, **options: Any) -> Aggregator:
    return RecursiveSelfAggregation(model, subset=2, loops=2, fallback=vote(), **options)


def _debate(model: ScriptedModel, **options: Any) -> Aggregator:
    return Debate([model], rounds=2, fallback=vote(), **options)


def _gate(model: ScriptedModel, **options: Any) -> Aggregator:
    return Gate(_self_moa(model, **options), cheap=vote())


MAKERS: dict[str, Make] = {
    "self-moa": _self_moa,
    "self-moa-seq": _seq,
    "agglm": _agglm,
    "moa": _moa,
    "aft": _aft,
    "rsa": _rsa,
    "debate": _debate,
    "gate": _gate,
}


class Seeded(ScriptedModel):
    """Notes the seed of each sample."""

    seeds: list[int | None]

    async def sample(self, question: Question, indices: Sequence[int], run: RunContext) -> AsyncGenerator[Event, None]:
        self.seeds = [*getattr(self, "seeds", []), *(run.sample_seed(i) for i in indices)]
        async for event in super().sample(question, indices, run):
            yield event


def boxed(*answers: object) -> list[Candidate]:
    return [candidate(i, f"<think>secret</think>I say \\boxed{{{a}}}") for i, a in enumerate(answers)]


async def aggregation(
    aggregator: Aggregator, candidates: Sequence[Candidate], run: RunContext | None = None, question: Question | None = None
) -> Answer:
    """The answer in the end, whatever was streamed before."""
    run = run or RunContext(seed=1, stage="aggregate", live=False)
    answers = [
        event.answer
        async for event in aggregator.aggregate(question or Question.of("What?"), candidates, run)
        if isinstance(event, Done)
    ]
    assert len(answers) == 1
    return answers[0]
