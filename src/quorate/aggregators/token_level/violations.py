"""Consensus violations: tokens that stood without ensembling and that ensembling would have changed.

SAFE (arXiv 2510.15346, section 3.2) lets the drafter's token stand where every verifier's first choice begins
it, or where its mean probability is above one half. With one tokenizer it is then the mixture's first choice,
so nothing is lost. With several it need not be: a verifier's token that only begins the drafted text may go on
otherwise. This counts how often. The paper exempts tokens at no common boundary; they are counted apart.

Every prefix is put before every model anew, so n tokens cost n drafts and n verifications of whole contexts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

from .conditions import EveryToken
from .engine import Engine, Rule
from .writing import Settings, Step, Why, Writing

if TYPE_CHECKING:
    from .safe import SAFE

__all__ = ["Violation", "Violations", "violations"]

STOOD: tuple[Why, ...] = ("agreed", "sure", "boundary")
"""Reasons for which a token stands while verifiers are there."""
AT_ONCE = 32
"""Prefixes in one batch."""


@dataclass(frozen=True)
class Violation:
    """A token that ensembling would have changed."""

    before: bytes
    """The answer up to it."""
    step: Step
    """The token, why it stood, and every model's first choice."""
    chosen: bytes
    """What all models would have decided; empty for the end of the answer."""


@dataclass(frozen=True)
class Violations:
    """What stood in several answers, and what of it ensembling would have changed."""

    stood: Mapping[Why, int]
    """Tokens by why they stood."""
    found: Sequence[Violation] = field(default=())

    def changed(self, why: Why) -> int:
        """How many of the tokens that stood for this reason would have been others."""
        return sum(violation.step.why == why for violation in self.found)


async def violations(
    ensemble: SAFE, questions: Iterable[Question | str], *, max_tokens: int | None = None
) -> Violations:
    """Answers greedily, then asks all models at every token that stood, with the same base and sharpening.

    Closes the ensemble before and its models afterwards.

    Args:
        ensemble: as it answers, with its weights and rule.
        questions: each is answered once.
        max_tokens: of one answer, in the drafter's tokens.

    Raises:
        BadInput: the ensemble has no consensus to violate, or a verifier was lost on the way.
        QuorateError: a model failed.
    """
    rule = ensemble.rule
    if not isinstance(rule, Rule):
        raise BadInput(f"{ensemble.name}: {rule} has no consensus to violate; count the violations of a safe/A+B")
    await ensemble.aclose()
    async with ensemble.asked() as models:
        writer = rule.engine(models, ensemble.weights)
        every = Rule(EveryToken(), rule.merge, rule.sharpen).engine(models, ensemble.weights)
        stood: Counter[Why] = Counter()
        found: list[Violation] = []
        for question in questions:
            prompts = [model.prompt(Question.of(question)) for model in models]
            writing = await _written(writer, prompts, max_tokens)
            stood += Counter(step.why for step in writing.steps if step.why in STOOD)
            found += await _compared(every, prompts, writing)
        return Violations(stood, tuple(found))


async def _written(writer: Engine, prompts: Sequence[Sequence[int]], max_tokens: int | None) -> Writing:
    settings = Settings(limit=max_tokens or writer.drafter.context, traced=True)
    writing = writer.writing(prompts, settings)
    try:
        while not writing.done:
            await writer.cycle([writing])
    finally:
        writer.release([writing])
    if writing.error is not None:
        raise writing.error
    if writing.lost:
        raise BadInput(f"{writing.lost[0]}: violations are counted with all models; give max_tokens, or shorten it")
    return writing


async def _compared(every: Engine, prompts: Sequence[Sequence[int]], writing: Writing) -> list[Violation]:
    """What all models choose after each prefix that ends before a token that stood."""
    again: list[tuple[Step, Writing]] = []
    size = place = 0
    for step in writing.steps:
        if step.why in STOOD:
            one = every.writing(prompts, Settings(limit=every.drafter.context, traced=True))
            one.ids, one.text = writing.ids[:place], writing.text[:size]
            again.append((step, one))
        size += len(step.key)
        own = step.drafted is None or step.drafted == step.key
        place += 1 if own else len(every.lexicon.spelled(step.key))
    for start in range(0, len(again), AT_ONCE):
        batch = [one for _, one in again[start : start + AT_ONCE]]
        try:
            await every.cycle(batch)
        finally:
            every.release(batch)
    if failed := next((one.error for _, one in again if one.error is not None), None):
        raise failed
    return [
        Violation(one.text[: len(one.text) - len(one.steps[0].key)], step, one.steps[0].key)
        for step, one in again
        if one.steps[0].key != step.key
    ]
