"""`last-letters`: the last letters of names, in order. After Wei et al. 2022, arXiv 2201.11903, section 5."""

from __future__ import annotations

from functools import cached_property
from random import Random

from quorate.orchestrator.protocols import Equivalence

from .base import GeneratedProblem, GeneratedTask, SameWords

__all__ = ["LastLetters"]

_LISTED = (
    "Ada Amir Anna Ben Bruno Carl Clara Dana Diego Ella Emil Eva Felix Flora Gita Greg Hanna Hugo Ida Igor Ines Ivan "
    "Jack Jorge Julia Karim Katya Kofi Laura Leon Lily Luis Marco Maya Mila Nadia Nils Noor Olga Omar Oscar Pablo "
    "Petra Quinn Rafael Rosa Ruth Samuel Selma Sven Tamar Tariq Tess Uma Ursula Victor Vivian Walid Wendy Xavier "
    "Yara Yusuf Zoe Zlatan"
)
_NAMES = tuple(_LISTED.split())
_WORDS = {"easy": (3, 4), "medium": (5, 7), "hard": (8, 12)}


class LastLetters(GeneratedTask):
    """Tiers differ in how many names there are: 3-4, 5-7, 8-12."""

    name = "last-letters"
    cite = "after Wei et al. 2022, arXiv 2201.11903"

    def draw(self, tier: str, rng: Random) -> GeneratedProblem:
        """See `GeneratedTask.draw`."""
        names = rng.sample(_NAMES, rng.randint(*_WORDS[tier]))
        answer = "".join(name[-1] for name in names).lower()
        question = (
            f'Take the last letter of each word in "{" ".join(names)}" and join them, in order and in lower case.'
        )
        return GeneratedProblem(question, answer, f"{len(names)}-words", tuple(names))

    @cached_property
    def equivalence(self) -> Equivalence:
        """The same letters, whatever their case and whether spaced or not."""
        return Letters()


class Letters(SameWords):
    """Letters alone count."""

    def key(self, answer: str) -> str:
        """See `SameWords.key`."""
        return "".join(character for character in answer.casefold() if character.isalnum())
