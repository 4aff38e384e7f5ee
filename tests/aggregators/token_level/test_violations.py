"""Consensus violations: none where the theory promises none, and counted where there are some."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.token_level import (
    SAFE,
    Adaptive,
    EnsembleRule,
    Fixed,
    GaC,
    Geometric,
    Mix,
    Safe,
    UniTE,
    Violations,
    count_violations,
)
from quorate.aggregators.token_level.conditions import VerifierVote
from quorate.aggregators.token_level.decode_state import Why
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Question

from .writers import model

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers")

once = st.sampled_from(["bytes", "pieces", "words"])
"""Kinds in which no text has two ids: there the first choice of tokens is the first choice of texts."""
seeds = st.integers(0, 10_000)
quick = settings(max_examples=8, deadline=None)
ASKED = "The answer is 365."


def count_all(models: Sequence[Any], rule: EnsembleRule, limit: int = 16, **given: Any) -> Violations:
    return asyncio.run(count_violations(SAFE(models, rule=rule, **given), [ASKED], max_tokens=limit))


@quick
@given(once, seeds, st.integers(2, 3), st.sampled_from([GaC(), UniTE(3)]), st.sampled_from([None, Geometric()]))
def test_one_tokenizer_has_none(kind: str, seed: int, count: int, merge: Any, sharpen: Any) -> None:
    """What all like best, and what has more than half of the mass, is the mixture's first choice, weighted or not."""
    models = [model(kind, seed + n) for n in range(count)]
    weights = {one.name: 1.0 + n for n, one in enumerate(models)}
    found = count_all(models, EnsembleRule(Safe(Adaptive()), merge, sharpen), weights=weights)
    assert found.stood.get("boundary", 0) == 0
    assert found.found == ()


@quick
@given(once, once, seeds, st.sampled_from([GaC(), UniTE(3)]))
def test_the_same_first_text_is_never_changed(first: str, second: str, seed: int, merge: Any) -> None:
    """Across tokenizers, an agreed token is only changed where some first choice is another text."""
    found = count_all([model(first, seed), model(second, seed + 1)], EnsembleRule(Safe(Fixed(5)), merge))
    for violation in found.found:
        if violation.step.why == "agreed":
            assert any(choice.key != violation.step.key for choice in violation.step.choices)


@dataclass(frozen=True)
class Lax(Safe):
    """Lets everything stand."""

    def keep_draft(self, drafted: float, votes: Sequence[VerifierVote]) -> Why | None:
        return "sure"


@pytest.mark.parametrize("seed", [3, 11])
def test_they_are_counted(seed: int) -> None:
    """Where everything stands, the count is that of the drafter's tokens which are not the argmax of the mean."""
    models = [model("bytes", seed), model("bytes", seed + 1)]
    found = count_all(models, EnsembleRule(Lax(Fixed(5)), GaC()), limit=30)
    ids, others = models[0].prompt(Question.of(ASKED)), 0
    for _ in range(30):
        rows = [np.exp(one.row(ids).astype(np.float64)) for one in models]
        ids = [*ids, int(rows[0].argmax())]
        others += int((rows[0] + rows[1]).argmax()) != ids[-1]
        if ids[-1] in models[0].vocabulary.ends:
            break
    assert others > 0
    assert found.count_changed("sure") == others == len(found.found)
    assert found.count_changed("agreed") == 0
    assert all(violation.chosen != violation.step.key for violation in found.found)


def test_what_cannot_be_counted_is_refused() -> None:
    """An ensemble without consensus, and a verifier that is lost on the way."""
    with pytest.raises(BadInput, match="no consensus"):
        asyncio.run(count_violations(SAFE([model("bytes", 1), model("bytes", 2)], rule=Mix()), [ASKED]))
    short = model("spaces", 2, context=20)
    with pytest.raises(BadInput, match="all models"):
        count_all([model("bytes", 1), short], EnsembleRule(Safe(Fixed(5)), GaC()), limit=40)
