"""The most requests to models' servers that one answer can cause, known before the first."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from .protocols import Model


class Amplifying(Protocol):
    """A model that knows how many requests to servers one answer of it may cause."""

    @property
    def max_requests(self) -> int:
        """Most requests for one answer: tried again, hedged, and handed on to others where they fail."""
        ...


def is_amplifying(model: Model) -> TypeGuard[Amplifying]:
    """Whether a model is `Amplifying`."""
    return hasattr(type(model), "max_requests")


def requests_of(model: Model) -> int:
    """Most requests to models' servers that one answer causes, whatever fails; known before the first.

    Samples, layers, rounds, judges and synthesis, each with its tries, hedges and fallbacks. Not in it are scorers and
    embeddings, models that are asked token by token, and what a server refuses for its form, which costs nothing.
    """
    return model.max_requests if is_amplifying(model) else model.calls
