"""Any OpenAI-compatible chat server as an agent."""

from quorate.orchestrator.identity import Price

from ..settings import BreakerPolicy, Rate, RetryPolicy, Timeouts
from .agent import Endpoint, discover
from .client import ClientEndpoint

__all__ = ["BreakerPolicy", "ClientEndpoint", "Endpoint", "Price", "Rate", "RetryPolicy", "Timeouts", "discover"]
