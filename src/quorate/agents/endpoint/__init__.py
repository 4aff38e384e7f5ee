"""Any OpenAI-compatible chat server as an agent."""

from .agent import Endpoint, discover
from .settings import Price, Rate, Retries, Timeouts

__all__ = ["Endpoint", "Price", "Rate", "Retries", "Timeouts", "discover"]
