"""The chance to be right by what each model made of the most similar questions of the bank.

Similarity is the cosine of the words that occur, rare ones weighing more (inverse document frequency). Few or distant
neighbours say little, so a model's rate over all questions counts beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from math import fsum, sqrt
from typing import Annotated

from pydantic import Field, FiniteFloat

from quorate.orchestrator.frozen import Frozen

from .words import list_words

NEIGHBOURS = 40
PRIOR = 5.0
"""Neighbours of similarity 1 that a model's rate over all questions counts for."""


class Neighbours(Frozen):
    """Questions of the bank, and how right each model was."""

    words: Mapping[str, FiniteFloat]
    """With their weights."""
    questions: tuple[tuple[int, ...], ...]
    """The words of each, by their places."""
    right: Mapping[str, tuple[Annotated[float, Field(ge=0, le=1)], ...]]
    """By model, one a question."""

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _weights(self) -> Sequence[float]:
        return tuple(self.words.values())

    @cached_property
    def _postings(self) -> Mapping[int, Sequence[tuple[int, float]]]:
        """By word the questions that hold it, and what it counts in their cosine."""
        found = defaultdict(list)
        for number, held in enumerate(self.questions):
            length = sqrt(fsum(self._weights[place] ** 2 for place in held)) or 1.0
            for place in held:
                found[place].append((number, self._weights[place] / length))
        return found

    def find(self, text: str) -> list[tuple[int, float]]:
        """The most similar questions with their cosines, the nearest first; of equals the first in the bank."""
        held = {self._places[word] for word in list_words(text) if word in self._places}
        length = sqrt(fsum(self._weights[place] ** 2 for place in held))
        cosines: dict[int, float] = defaultdict(float)
        for place in sorted(held):
            for number, weight in self._postings.get(place, ()):
                cosines[number] += self._weights[place] * weight / length
        ranked = sorted(cosines.items(), key=lambda item: (-round(item[1], 9), item[0]))
        return ranked[:NEIGHBOURS]

    def chances(self, text: str, rates: Mapping[str, float]) -> dict[str, float]:
        """Of each model the chance to be right on a question.

        Args:
            text: the question.
            rates: over all questions.
        """
        near = self.find(text)
        total = fsum(cosine for _, cosine in near) + PRIOR
        return {
            name: min(1.0, (fsum(cosine * marks[n] for n, cosine in near) + PRIOR * rates[name]) / total)
            for name, marks in self.right.items()
        }
