"""How an answer is read out of a text, and when two of them are one: the seams, and what a run says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Extractor(Protocol):
    def extract(self, text: str) -> str | None:
        """The answer that a text gives, or None."""
        ...


class Equivalence(Protocol):
    async def classes(self, answers: Sequence[str]) -> list[int]:
        """For each answer the number of its class, from 0; equal numbers mean equivalent answers.

        The partition does not depend on the order of the answers.
        """
        ...


@dataclass(frozen=True)
class AnswerReader:
    """What counts as an answer in one run, where a vote was not told when it was made.

    An evaluation knows the form of the answers to its questions (a letter, a program, a literal); the pipelines
    that it compares do not.
    """

    extractor: Extractor
    equivalence: Equivalence
