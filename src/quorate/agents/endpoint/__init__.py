"""Any OpenAI-compatible chat server as an agent."""

from .agent import Endpoint, discover
from .settings import Breaking, Price, Rate, Retries, Timeouts

__all__ = ["Breaking", "Endpoint", "Price", "Rate", "Retries", "Timeouts", "discover"]
