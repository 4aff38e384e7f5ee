"""Every synthesizer, small, over scripted models and given candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from quorate import sample
from quorate.aggregators import (
    AggLM,
    Agreement,
    MajorityVote,
    SelfMoA,
    debate,
    mixture_of_agents,
    propose_and_aggregate,
    recursive_self_aggregation,
    self_moa_seq,
)
from quorate.aggregators.votes.majority import count_votes
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.nodes import SampleNode
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Pipeline, Sampling, gate
from quorate.orchestrator.state import State
from quorate.orchestrator.types import Answer, Candidate, Question, Sampled
from quorate.testing import ScriptedModel

from ..helpers import Exact, candidate

__all__ = ["GRAPHS", "MAKERS", "Make", "Seeded", "answer_from", "boxed", "proposals", "vote"]

Make = Callable[..., Pipeline]
"""From the number of candidates and the model that synthesizes."""


def vote() -> MajorityVote:
    """A vote that needs no worker process."""
    return MajorityVote(equivalence=Exact())


def proposals(n: int, *models: ModelBase) -> Sampling:
    """A stage of n candidates."""
    return sample(models or ScriptedModel(name="proposer"), n=n)


def _self_moa(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return sample(ScriptedModel(name="proposer"), n=n) | SelfMoA(model, fallback=vote(), **options)


def _agglm(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return sample(ScriptedModel(name="proposer"), n=n) | AggLM(model, fallback=vote(), **options)


def _seq(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return self_moa_seq(proposals(n), model, window=2, fallback=vote(), **options)


def _moa(n: int, model: ModelBase, **options: Any) -> Pipeline:
    inner = [proposals(2, model), proposals(3, model, model)]
    return mixture_of_agents(proposals(n), model, inner=inner, fallback=vote(), **options)


def _aft(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return propose_and_aggregate(proposals(n), model, rounds=2, n=3, fallback=vote(), **options)


def _rsa(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return recursive_self_aggregation(proposals(n), model, subset=min(2, n), loops=2, final=vote(), **options)


def _debate(n: int, model: ModelBase, **options: Any) -> Pipeline:
    return debate(proposals(n, model), rounds=2, final=vote(), **options)


def _gate(n: int, model: ModelBase, **options: Any) -> Pipeline:
    expensive = SelfMoA(model, fallback=vote(), **options)
    return gate(proposals(n), vote(), expensive=expensive, rule=Agreement(1.0, min_votes=100))


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
GRAPHS = ("moa", "aft", "rsa", "debate")
"""Those that decide between new candidates."""


class Seeded(ScriptedModel):
    """Notes the seed of each sample."""

    seeds: list[int | None]

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        self.seeds = [*getattr(self, "seeds", []), *(run.sample_seed(slot.index) for slot in slots)]
        await super().sample(question, slots, run)


def boxed(*answers: object) -> list[Candidate]:
    return [candidate(i, f"<think>secret</think>I say \\boxed{{{a}}}") for i, a in enumerate(answers)]


@dataclass(frozen=True)
class GivenCandidates(SampleNode):
    """In place of sampling: these candidates, counted."""

    candidates: tuple[Candidate, ...] = ()

    async def run(self, state: State, run: RunContext) -> Sampled:
        assert self.counted_by is not None
        counter = self.counted_by.counter(state.question, run)
        assert counter is not None
        return await count_votes(counter, Sampled(candidates=self.candidates))


async def answer_from(
    pipeline: Pipeline, candidates: Sequence[Candidate], run: RunContext | None = None, question: Question | None = None
) -> Answer:
    """What the pipeline answers where these candidates were sampled."""
    entry = pipeline.entry
    given = GivenCandidates(entry.name, entry.stage, counted_by=entry.counted_by, candidates=tuple(candidates))
    graph = pipeline.replace(given if node is entry else node for node in pipeline.nodes.values())
    run = run or RunContext(seed=1, live=False)
    return await graph.answer(question or Question.of("What?"), run)
