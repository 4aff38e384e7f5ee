"""quorate: many model answers in, one better answer out.

    from quorate import Endpoint, MajorityVote, sample

    qwen = Endpoint("Qwen/Qwen3-8B", base_url="http://localhost:8000/v1")
    vote = sample(qwen, n=16) | MajorityVote()
    answer = vote.answer_sync("What is 17 * 24?")

The public names load when they are first used, so `import quorate` is quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agents import VLLM as VLLM
    from .agents import ClientEndpoint as ClientEndpoint
    from .agents import Embedded as Embedded
    from .agents import Endpoint as Endpoint
    from .agents import Fallback as Fallback
    from .agents import Hedged as Hedged
    from .agents import Pool as Pool
    from .agents import Recorded as Recorded
    from .agents.prompted import prompted as prompted
    from .aggregators import AdaptiveConsistency as AdaptiveConsistency
    from .aggregators import MajorityVote as MajorityVote
    from .aggregators import SelfMoA as SelfMoA
    from .config.file import load_config as load_config
    from .orchestrator.checkpoints import Checkpoints as Checkpoints
    from .orchestrator.context import Budget as Budget
    from .orchestrator.context import RunContext as RunContext
    from .orchestrator.errors import QuorateError as QuorateError
    from .orchestrator.graph import Graph as Graph
    from .orchestrator.model import Agent as Agent
    from .orchestrator.model import ModelBase as ModelBase
    from .orchestrator.pipeline import Pipeline as Pipeline
    from .orchestrator.pipeline import cascade as cascade
    from .orchestrator.pipeline import gate as gate
    from .orchestrator.pipeline import layers as layers
    from .orchestrator.pipeline import rounds as rounds
    from .orchestrator.pipeline import route as route
    from .orchestrator.pipeline import sample as sample
    from .orchestrator.protocols import Aggregator as Aggregator
    from .orchestrator.sampling import SamplingStage as SamplingStage
    from .orchestrator.state import Edge as Edge
    from .orchestrator.state import Node as Node
    from .orchestrator.types import Answer as Answer
    from .orchestrator.types import Candidate as Candidate
    from .orchestrator.types import Message as Message
    from .orchestrator.types import Question as Question
    from .orchestrator.types import Sampled as Sampled
    from .orchestrator.types import SamplingParams as SamplingParams
    from .orchestrator.types import Usage as Usage

__version__ = "0.1.0"

_HOME = {
    "AdaptiveConsistency": "aggregators",
    "Agent": "orchestrator.model",
    "Aggregator": "orchestrator.protocols",
    "Answer": "orchestrator.types",
    "Budget": "orchestrator.context",
    "Candidate": "orchestrator.types",
    "Checkpoints": "orchestrator.checkpoints",
    "ClientEndpoint": "agents",
    "Edge": "orchestrator.state",
    "Embedded": "agents",
    "Endpoint": "agents",
    "Fallback": "agents",
    "Graph": "orchestrator.graph",
    "Hedged": "agents",
    "MajorityVote": "aggregators",
    "Message": "orchestrator.types",
    "ModelBase": "orchestrator.model",
    "Node": "orchestrator.state",
    "Pipeline": "orchestrator.pipeline",
    "Pool": "agents",
    "Question": "orchestrator.types",
    "QuorateError": "orchestrator.errors",
    "Recorded": "agents",
    "RunContext": "orchestrator.context",
    "Sampled": "orchestrator.types",
    "SamplingParams": "orchestrator.types",
    "SamplingStage": "orchestrator.sampling",
    "SelfMoA": "aggregators",
    "Usage": "orchestrator.types",
    "VLLM": "agents",
    "cascade": "orchestrator.pipeline",
    "gate": "orchestrator.pipeline",
    "layers": "orchestrator.pipeline",
    "load_config": "config.file",
    "prompted": "agents.prompted",
    "rounds": "orchestrator.pipeline",
    "route": "orchestrator.pipeline",
    "sample": "orchestrator.pipeline",
}
"""Where each public name lives, relative to this package."""

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604 - all are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
