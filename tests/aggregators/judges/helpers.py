"""Judges that decide as a test says, and candidates for them."""

from __future__ import annotations

import re
from collections.abc import Callable

from quorate.aggregators import MajorityVote
from quorate.orchestrator.types import Candidate, Question
from quorate.testing import ScriptedModel
from tests.aggregators.helpers import Exact, candidate

__all__ = ["boxed", "numbers", "prefers", "says", "vote"]


def boxed(*answers: object) -> list[Candidate]:
    return [candidate(i, f"it is \\boxed{{{answer}}}") for i, answer in enumerate(answers)]


def numbers(question: Question) -> list[int]:
    """The answers of the candidates that a judge was shown, in their order."""
    return [int(number) for number in re.findall(r"boxed\{(\d+)\}", question.messages[-1].text)]


def prefers(key: Callable[[int], float]) -> ScriptedModel:
    """A judge without bias: names the candidate whose answer has the highest key."""

    def line(question: Question, index: int) -> str:
        shown = numbers(question)
        return f"Chosen: {1 + shown.index(max(shown, key=key))}"

    return ScriptedModel(line, name="judge")


def says(line: str | Exception) -> ScriptedModel:
    """A judge that always says the same."""
    return ScriptedModel([line], name="judge")


def vote() -> MajorityVote:
    return MajorityVote(equivalence=Exact())
