"""Labelled sets for the tests: one able model among weak ones that share their mistakes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from quorate.aggregators.learned.selector import Example, Spelled, build_example
from quorate.orchestrator.types import Candidate, CandidateSet, Question, TokenLogprob

__all__ = ["crowd", "examples", "labelled", "said"]


def said(
    index: int, answer: str | None, model: str = "m", text: str | None = None, logprob: float | None = None
) -> Candidate:
    """A candidate that states this answer."""
    told = text if text is not None else f"I say {answer}"
    logprobs = None if logprob is None else (TokenLogprob(token="x", logprob=logprob),)
    return Candidate(index=index, model=model, text=told, answer=answer or "", finish_reason="stop", logprobs=logprobs)


def labelled(item: str, candidates: Sequence[Candidate], gold: str = "1", cluster: str = "") -> CandidateSet:
    """What is right is what says the gold answer."""
    return CandidateSet(
        task="t",
        item=item,
        cluster=cluster,
        question=Question.of("What is 3 plus 4?"),
        gold=gold,
        candidates=tuple(candidates),
        correct=tuple(c.answer == gold for c in candidates),
    )


def crowd(questions: int, seed: int = 0) -> list[CandidateSet]:
    """`able` is right on nine of ten questions; three others are so on four of ten, and err alike."""
    rng = random.Random(seed)
    sets = []
    for number in range(questions):
        lot = rng.random() < 0.4
        answers = ["1" if rng.random() < 0.9 else "3", *("1" if lot and rng.random() < 0.9 else "2" for _ in range(3))]
        models = ("able", "weak a", "weak b", "weak c")
        sets.append(
            labelled(f"q{number}", [said(i, a, m) for i, (a, m) in enumerate(zip(answers, models, strict=True))])
        )
    return sets


async def examples(sets: Sequence[CandidateSet], scores: Sequence[Sequence[float | None]] = ()) -> list[Example]:
    """The same as a selector reads them."""
    return [await build_example(one, Spelled(), scores[i] if scores else ()) for i, one in enumerate(sets)]
