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
from dataclasses import dataclass, field, replace

from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

from .conditions import EveryToken
from .decode_state import CommittedToken, DecodeParams, DecodeState, Why
from .engine import DraftAndVerify, EnsembleRule
from .monitor import Monitor
from .safe import SAFE

STOOD: tuple[Why, ...] = ("agreed", "sure", "boundary")
"""Reasons for which a token stands while verifiers are there."""
AT_ONCE = 32
"""Prefixes in one batch."""


@dataclass(frozen=True)
class Violation:
    """A token that ensembling would have changed."""

    before: bytes
    """The answer up to it."""
    step: CommittedToken
    """The token, why it stood, and every model's first choice."""
    chosen: bytes
    """What all models would have decided; empty for the end of the answer."""


@dataclass(frozen=True)
class Violations:
    """What stood in several answers, and what of it ensembling would have changed."""

    stood: Mapping[Why, int]
    """Tokens by why they stood."""
    found: Sequence[Violation] = field(default=())

    def count_changed(self, why: Why) -> int:
        """How many of the tokens that stood for this reason would have been others."""
        return sum(violation.step.why == why for violation in self.found)


async def count_violations(
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
    if not isinstance(rule, EnsembleRule):
        raise BadInput(f"{ensemble.name}: {rule} has no consensus to violate; count the violations of a safe/A+B")
    await ensemble.aclose()
    async with ensemble.open_models() as models:
        engine = rule.make_engine(models, ensemble.weights)
        every = replace(rule, conditions=EveryToken()).make_engine(models, ensemble.weights)
        stood: Counter[Why] = Counter()
        found: list[Violation] = []
        for question in questions:
            prompts = [model.prompt(Question.of(question)) for model in models]
            state = await _write(engine, prompts, max_tokens, ensemble.monitors)
            stood += Counter(step.why for step in state.steps if step.why in STOOD)
            found += await _compare(every, prompts, state)
        return Violations(stood, tuple(found))


async def _write(
    engine: DraftAndVerify, prompts: Sequence[Sequence[int]], max_tokens: int | None, monitors: Sequence[Monitor]
) -> DecodeState:
    params = DecodeParams(limit=max_tokens or engine.drafter.context, traced=True, monitors=monitors)
    state = engine.start(prompts, params)
    try:
        while not state.done:
            await engine.cycle([state])
    finally:
        engine.release([state])
    if state.error is not None:
        raise state.error
    if state.lost:
        raise BadInput(f"{state.lost[0]}: violations are counted with all models; give max_tokens, or shorten it")
    return state


async def _compare(every: DraftAndVerify, prompts: Sequence[Sequence[int]], state: DecodeState) -> list[Violation]:
    """What all models choose after each prefix that ends before a token that stood."""
    again: list[tuple[CommittedToken, DecodeState]] = []
    size = place = 0
    for step in state.steps:
        if step.why in STOOD:
            one = every.start(prompts, replace(state.params, limit=every.drafter.context))
            one.ids, one.text = state.ids[:place], state.text[:size]
            again.append((step, one))
        size += len(step.key)
        own = step.drafted is None or step.drafted == step.key
        place += 1 if own else len(every.drafter_bytes.spell(step.key))
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
