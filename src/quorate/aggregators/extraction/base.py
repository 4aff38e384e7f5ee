"""What all extractors share: they read what was said after the thinking, and tidy what they find."""

from __future__ import annotations

from abc import ABC, abstractmethod

from quorate.aggregators.markup import tidy, visible
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Extractor

__all__ = ["Finder", "FirstOf"]


class Finder(ABC):
    """Base of the small extractors: give it `find`, it is an `Extractor`."""

    def extract(self, text: str) -> str | None:
        """The answer, tidied; None (an abstention) where there is none or it is empty."""
        found = self.find(visible(text))
        return (tidy(found) or None) if found is not None else None

    @abstractmethod
    def find(self, text: str) -> str | None:
        """The answer as it stands in a text without thinking."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FirstOf:
    """The first of several extractors that finds something: `FirstOf(Boxed(), LastNumber())`."""

    def __init__(self, *extractors: Extractor) -> None:
        if not extractors:
            raise BadInput("FirstOf() needs at least one extractor")
        self.extractors = extractors

    def extract(self, text: str) -> str | None:
        """The first finding in the order of the extractors, not in that of the text."""
        return next((found for e in self.extractors if (found := e.extract(text))), None)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.extractors))})"
