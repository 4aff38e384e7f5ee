"""Who answers: chat servers, models in this process, recorded answers.

The names load when they are first used, so that an endpoint needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.orchestrator.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".embedded": "Embedded",
        ".endpoint": "BreakerPolicy ClientEndpoint Endpoint Price Rate RetryPolicy Timeouts discover",
        ".fallback": "Fallback",
        ".hedged": "Hedged",
        ".pool": "Pool RoundRobin",
        ".recorded": "Recorded",
        ".reward": "RerankModel RewardModel ScoreModel",
        ".vllm": "VLLM",
    },
)
__all__ = __dir__()  # noqa: PLE0605 - a list of strings
