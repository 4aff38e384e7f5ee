"""quorate: many model answers in, one better answer out.

    from quorate import Endpoint, MajorityVote, sample

    qwen = Endpoint("Qwen/Qwen3-8B", base_url="http://localhost:8000/v1")
    vote = sample(qwen, n=16) | MajorityVote()
    answer = vote.answer_sync("What is 17 * 24?")

The public names load when they are first used, so `import quorate` is quick and needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.orchestrator.lazy import lazy_names

if TYPE_CHECKING:
    from quorate.orchestrator.stage import SamplingStage as SamplingStage

    from .agents import VLLM as VLLM
    from .agents import ClientEndpoint as ClientEndpoint
    from .agents import Embedded as Embedded
    from .agents import Endpoint as Endpoint
    from .agents import Fallback as Fallback
    from .agents import Hedged as Hedged
    from .agents import Pool as Pool
    from .agents import Recorded as Recorded
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
    from .orchestrator.prompted import prompted as prompted
    from .orchestrator.protocols import Aggregator as Aggregator
    from .orchestrator.state import Edge as Edge
    from .orchestrator.state import Node as Node
    from .orchestrator.types import Answer as Answer
    from .orchestrator.types import Candidate as Candidate
    from .orchestrator.types import Message as Message
    from .orchestrator.types import Question as Question
    from .orchestrator.types import Sampled as Sampled
    from .orchestrator.types import SamplingParams as SamplingParams
    from .orchestrator.usage import Usage as Usage

__version__ = "0.1.0"

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".agents": "ClientEndpoint Embedded Endpoint Fallback Hedged Pool Recorded VLLM",
        ".aggregators": "AdaptiveConsistency MajorityVote SelfMoA",
        ".config.file": "load_config",
        ".orchestrator.checkpoints": "Checkpoints",
        ".orchestrator.context": "Budget RunContext",
        ".orchestrator.errors": "QuorateError",
        ".orchestrator.graph": "Graph",
        ".orchestrator.model": "Agent ModelBase",
        ".orchestrator.pipeline": "Pipeline cascade gate layers rounds route sample",
        ".orchestrator.prompted": "prompted",
        ".orchestrator.protocols": "Aggregator",
        ".orchestrator.stage": "SamplingStage",
        ".orchestrator.state": "Edge Node",
        ".orchestrator.types": "Answer Candidate Message Question Sampled SamplingParams Usage",
    },
    "__version__",
)
__all__ = __dir__()  # noqa: PLE0605 - a list of strings
