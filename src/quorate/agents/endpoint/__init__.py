"""Any OpenAI-compatible chat server as an agent."""

from quorate.orchestrator.types import Price

from .agent import Endpoint, discover
from .client import ClientEndpoint
from .settings import BreakerPolicy, Rate, RetryPolicy, Timeouts

__all__ = ["BreakerPolicy", "ClientEndpoint", "Endpoint", "Price", "Rate", "RetryPolicy", "Timeouts", "discover"]
