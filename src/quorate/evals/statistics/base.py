"""What all statistics share: the level, an estimate with its interval, and the libraries they need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from quorate.orchestrator.errors import MissingExtra
from quorate.orchestrator.frozen import Frozen

LEVEL = 0.95


class Result(Frozen):
    """Base of everything measured: a value that knows its JSON."""

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, texts, lists and dictionaries."""
        return self.model_dump(mode="json")


class Estimate(Result):
    """A mean over questions with its two-sided interval."""

    value: float
    low: float
    high: float


def require() -> None:
    """Fails now rather than after hours of sampling.

    Raises:
        MissingExtra: scipy or statsmodels is not installed.
    """
    try:
        for library in ("scipy.optimize", "scipy.stats", "statsmodels.stats.proportion"):
            import_module(library)
    except ImportError as error:
        raise MissingExtra("eval", "the statistics of an evaluation") from error
