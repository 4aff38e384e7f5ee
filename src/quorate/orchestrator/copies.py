"""Copies among samples: a server that ignores the temperature, or gives every request one seed, repeats one text.

A vote over copies is a vote of one, however many there are, so it is said. Short answers agree by themselves, and the
small models that run in this process may be sure of every word; a long text that a server repeats was not sampled.
"""

from __future__ import annotations

from collections.abc import Sequence

from .protocols import Model
from .types import Candidate, Degradation, Question

__all__ = ["note_copies"]

FEWEST = 3
"""Samples of a model that are alike."""
SHORTEST = 100
"""Characters of a text that do not come out alike by themselves."""


def note_copies(
    question: Question, models: Sequence[Model], candidates: Sequence[Candidate], node: str
) -> list[Degradation]:
    """What is to be said of each served model whose samples are all one text although they were to differ.

    Args:
        question: with the sampling settings of the stage, which those of its models complete.
        models: that were asked.
        candidates: what they gave.
        node: where.
    """
    by_agent: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.ok and len(candidate.text) >= SHORTEST:
            by_agent.setdefault(candidate.agent, []).append(candidate)
    copied = {
        agent: samples
        for agent, samples in by_agent.items()
        if len(samples) >= FEWEST and len({(c.text, c.reasoning) for c in samples}) == 1
    }
    if not copied:
        return []
    served = [model for model in models if model.identity.kind == "endpoint"]
    sampled = {m.name for m in served if question.sampling.over(m.identity.sampling).temperature != 0}
    return [
        Degradation(
            code="samples_identical",
            where=f"{node}: {agent}",
            detail=f"{len(samples)} samples are one and the same text of {len(samples[0].text)} characters: "
            "does the server sample, and take the seed of each request?",
        )
        for agent, samples in copied.items()
        if agent in sampled
    ]
