"""Who answers: chat servers, models in this process, recorded answers.

The names load when they are first used, so that an endpoint needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .embedded import Embedded as Embedded
    from .endpoint import BreakerPolicy as BreakerPolicy
    from .endpoint import ClientEndpoint as ClientEndpoint
    from .endpoint import Endpoint as Endpoint
    from .endpoint import Price as Price
    from .endpoint import Rate as Rate
    from .endpoint import RetryPolicy as RetryPolicy
    from .endpoint import Timeouts as Timeouts
    from .endpoint import discover as discover
    from .fallback import Fallback as Fallback
    from .hedged import Hedged as Hedged
    from .pool import Pool as Pool
    from .pool import RoundRobin as RoundRobin
    from .recorded import Recorded as Recorded
    from .reward import RerankModel as RerankModel
    from .reward import RewardModel as RewardModel
    from .reward import ScoreModel as ScoreModel
    from .vllm import VLLM as VLLM

_HOME = {
    "BreakerPolicy": "endpoint",
    "ClientEndpoint": "endpoint",
    "Embedded": "embedded",
    "Endpoint": "endpoint",
    "Fallback": "fallback",
    "Hedged": "hedged",
    "Pool": "pool",
    "Price": "endpoint",
    "Rate": "endpoint",
    "Recorded": "recorded",
    "RerankModel": "reward",
    "RetryPolicy": "endpoint",
    "RewardModel": "reward",
    "RoundRobin": "pool",
    "ScoreModel": "reward",
    "Timeouts": "endpoint",
    "VLLM": "vllm",
    "discover": "endpoint",
}
"""Where each name lives, relative to this package."""

__all__ = [
    "VLLM",
    "BreakerPolicy",
    "ClientEndpoint",
    "Embedded",
    "Endpoint",
    "Fallback",
    "Hedged",
    "Pool",
    "Price",
    "Rate",
    "Recorded",
    "RerankModel",
    "RetryPolicy",
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
