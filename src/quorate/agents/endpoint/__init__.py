"""Any OpenAI-compatible chat server as an agent."""

from quorate.orchestrator.types import Price

from .agent import Endpoint, discover
from .settings import BreakerPolicy, Rate, RetryPolicy, Timeouts

__all__ = ["BreakerPolicy", "Endpoint", "Price", "Rate", "RetryPolicy", "Timeouts", "discover"]
