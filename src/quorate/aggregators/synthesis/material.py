"""What a model reads of the candidates: in a seeded order, without thinking, cut to its context.

Nothing is dropped in silence: a text that was cut, or that says nothing outside its thinking, is told
as a `Degradation` with the code `candidate_cut`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.types import Candidate, Degradation

from ..markup import visible
from .context import TokenBudget, truncate_middle


class LabelledText(NamedTuple):
    """One text with the name that notes give it."""

    label: str
    text: str


@dataclass(frozen=True)
class Material:
    """The texts as they fit, and what had to be left out of them."""

    texts: tuple[str, ...]
    notes: tuple[Degradation, ...]


def order_canonically(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that are ok, in an order that depends on their content alone."""
    return sorted((c for c in candidates if c.ok), key=lambda c: (c.text, c.model, c.index))


def shuffle_candidates(candidates: Iterable[Candidate], run: RunContext) -> list[Candidate]:
    """Those that are ok, in an order drawn by the run's seed and node, whatever order they came in."""
    found = order_canonically(candidates)
    run.rng("order").shuffle(found)
    return found


def visible_answer(candidate: Candidate) -> str:
    """What the candidate says after its thinking, its tool calls as JSON."""
    calls = [json.dumps(dict(call), ensure_ascii=False, sort_keys=True) for call in candidate.tool_calls]
    return "\n".join([visible(candidate.text).strip(), *calls]).strip()


def label_candidate(candidate: Candidate) -> LabelledText:
    """A candidate as it is read, under its index."""
    return LabelledText(f"#{candidate.index}", visible_answer(candidate))


def pack(items: Sequence[LabelledText], budget: TokenBudget, where: str) -> Material:
    """The texts cut to the budget; those that say nothing are left out.

    Args:
        items: in the order in which they are read.
        budget: for all of them together.
        where: who reads them, for the notes.
    """
    said = [(label, text) for label, text in items if text]
    silent = {label: "it says nothing outside its thinking" for label, text in items if not text}
    kept = budget.lengths([text for _, text in said])
    cut = {
        label: f"the aggregator read {length} of {len(text)} characters"
        for (label, text), length in zip(said, kept, strict=True)
        if length < len(text)
    }
    return Material(
        texts=tuple(truncate_middle(text, length) for (_, text), length in zip(said, kept, strict=True)),
        notes=tuple(
            Degradation(code="candidate_cut", where=f"{where} {label}", detail=detail)
            for label, detail in (silent | cut).items()
        ),
    )
