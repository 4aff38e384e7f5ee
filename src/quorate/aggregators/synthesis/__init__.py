"""Synthesis: models write a new answer from the candidates.

| module | what it does |
|---|---|
| `synthesizer` | one model reads all and writes one answer (Self-MoA) |
| `agglm` | the same with AggLM's prompt, trained or not |
| `sequential` | Self-MoA over a window at a time |
| `layers` | Mixture-of-Agents and propose-and-aggregate |
| `populations` | recursive self-aggregation and debate: a population that is renewed round by round, then votes |
| `material`, `prompt` | what is read of the candidates, and how it is asked |
"""

from __future__ import annotations

from .agglm import AggLM, SteppedAggLM, choose_agglm, find_shipped_aggregator
from .layers import mixture_of_agents, propose_and_aggregate
from .populations import RandomMember, debate, recursive_self_aggregation
from .sequential import self_moa_seq
from .synthesizer import SelfMoA, Synthesizer

__all__ = [
    "AggLM",
    "RandomMember",
    "SelfMoA",
    "SteppedAggLM",
    "Synthesizer",
    "choose_agglm",
    "debate",
    "find_shipped_aggregator",
    "mixture_of_agents",
    "propose_and_aggregate",
    "recursive_self_aggregation",
    "self_moa_seq",
]
