"""Judges whose bias is known, and a bank of graded answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from quorate.orchestrator.types import Candidate, CandidateSet, Question
from quorate.testing import ScriptedModel

Taste = Callable[[str], float]
"""How good a judge of this taste finds a text."""


def truth(text: str) -> float:
    return float("right" in text.split())


def length(text: str) -> float:
    return len(text.split())


class TasteJudge(ScriptedModel):
    """Prefers what its taste prefers, else says tie; scores 9 where the taste is above 0 and 1 elsewhere.

    Args:
        taste: of texts.
        place: added to the taste of the response shown first.
    """

    def __init__(self, taste: Taste, *, place: float = 0.0, name: str = "judge") -> None:
        super().__init__(self._say, name=name)
        self._taste, self._place = taste, place

    def _say(self, question: Question, _: int) -> str:
        words = question.text
        if "Score: 7" in words:
            return f"Score: {9 if self._taste(shown(words)[0]) > 0 else 1}"
        first, second = (self._taste(text) for text in shown(words))
        gap = first + self._place - second
        return f"Chosen: {'tie' if gap == 0 else 1 if gap > 0 else 2}"


def shown(words: str) -> list[str]:
    """The responses in a judge's prompt, fenced or not."""
    fenced = re.findall(
        r"^=== [0-9a-f]{10} response(?: \d)?\n(.*?)\n\n=== [0-9a-f]{10} (?:response|end)", words, re.M | re.S
    )
    if len(fenced) == 1 and " response 1\n" in words:
        fenced += re.findall(r"response 2\n(.*?)\n\n=== [0-9a-f]{10} end", words, re.S)
    return fenced or re.findall(r"^Response \d:\n(.*?)\n\n", words, re.M | re.S)


def sets(questions: int = 40, *, longer: float = 0.5, seed: int = 0) -> list[CandidateSet]:
    """Questions with two right and two wrong answers, of which in this share the right ones are the longer."""
    rng = random.Random(seed)
    made = []
    for number in range(questions):
        right_long = rng.random() < longer
        texts = [f"{'right' if right else 'wrong'}{' words' * (9 if right == right_long else 2)} {number}.{i}"
                 for i, right in enumerate((True, True, False, False))]  # fmt: skip
        made.append(graded(f"q{number}", texts, (True, True, False, False)))
    return made


def graded(
    item: str, texts: Sequence[str], correct: Sequence[bool | None], question: str = "What is it?"
) -> CandidateSet:
    return CandidateSet(
        task="t",
        item=item,
        question=Question.of(question),
        candidates=tuple(Candidate(index=i, model="m", agent="m", text=text) for i, text in enumerate(texts)),
        correct=tuple(correct),
    )
