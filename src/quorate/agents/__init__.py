"""Who answers: chat servers, models in this process, recorded answers.

The names load when they are first used, so that an endpoint needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import Agent as Agent
    from .chain import Fallback as Fallback
    from .chain import Pool as Pool
    from .chain import RoundRobin as RoundRobin
    from .embedded import Embedded as Embedded
    from .endpoint import Breaking as Breaking
    from .endpoint import Endpoint as Endpoint
    from .endpoint import Price as Price
    from .endpoint import Rate as Rate
    from .endpoint import Retries as Retries
    from .endpoint import Timeouts as Timeouts
    from .endpoint import discover as discover
    from .hedged import Hedged as Hedged
    from .recorded import Recorded as Recorded
    from .reward import RerankModel as RerankModel
    from .reward import RewardModel as RewardModel
    from .reward import ScoreModel as ScoreModel
    from .vllm import VLLM as VLLM

_HOME = {
    "Agent": "agent",
    "Breaking": "endpoint",
    "Embedded": "embedded",
    "Endpoint": "endpoint",
    "Fallback": "chain",
    "Hedged": "hedged",
    "Pool": "chain",
    "Price": "endpoint",
    "Rate": "endpoint",
    "Recorded": "recorded",
    "RerankModel": "reward",
    "Retries": "endpoint",
    "RewardModel": "reward",
    "RoundRobin": "chain",
    "ScoreModel": "reward",
    "Timeouts": "endpoint",
    "VLLM": "vllm",
    "discover": "endpoint",
}
"""Where each name lives, relative to this package."""

__all__ = [
    "VLLM",
    "Agent",
    "Breaking",
    "Embedded",
    "Endpoint",
    "Fallback",
    "Hedged",
    "Pool",
    "Price",
    "Rate",
    "Recorded",
    "RerankModel",
    "Retries",
    "RewardModel",
    "RoundRobin",
    "ScoreModel",
    "Timeouts",
    "discover",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
