"""Models with real tokenizers that write together: exact bytes, the laws, and no pair that fails."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from quorate.aggregators.token_level import (
    Adaptive,
    EnsembleRule,
    EveryToken,
    Fixed,
    GaC,
    Mix,
    PrefixMass,
    Safe,
    UniTE,
    alignment,
)
from quorate.aggregators.token_level.decode_state import DecodeState
from quorate.aggregators.token_level.engine import EnsembleStrategy
from quorate.aggregators.token_level.token_bytes import TokenBytes

from .random_models import list_tokenizers, load_model, load_vocabulary, read_prompt, write_with

LIMIT = 20
RULES: dict[str, EnsembleStrategy] = {
    "safe": EnsembleRule(Safe(Adaptive()), UniTE(), PrefixMass()),
    "safe, GaC": EnsembleRule(Safe(Adaptive()), GaC(), PrefixMass()),
    "unite": EnsembleRule(EveryToken(), UniTE()),
    "gac": EnsembleRule(EveryToken(), GaC()),
    "mix": Mix(),
}
PAIRS = list(permutations(list_tokenizers(), 2))
RING = random.Random(17).sample(list_tokenizers(), len(list_tokenizers()))
SOME = list(zip(RING, RING[1:] + RING[:1], strict=True))
"""Each drafts once and verifies once."""
pairs = pytest.mark.parametrize(
    ("drafter", "verifier"),
    [pytest.param(*pair, marks=() if pair in SOME else pytest.mark.slow, id="-".join(pair)) for pair in PAIRS],
)
names = pytest.mark.parametrize("name", list_tokenizers())


def write(
    rule: EnsembleStrategy, *models: str, temperature: float = 0.0, weights: tuple[float, ...] = ()
) -> DecodeState:
    """One answer of so many models."""
    engine = rule.make_engine([load_model(name, n) for n, name in enumerate(models)], weights or [1.0] * len(models))
    prompts = [read_prompt(name) for name in models]
    return write_with(engine, prompts, limit=LIMIT, temperature=temperature, seed=3)


@pytest.mark.timeout(900)
@pairs
def test_pairs_write_together(drafter: str, verifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Greedy and sampled, by every rule: what is written is its tokens' bytes, and nobody is lost."""
    vocabulary = load_vocabulary(drafter)
    for name, rule in RULES.items():
        for temperature in (0.0, 1.0):
            state = write(rule, drafter, verifier, temperature=temperature)
            assert state.lost == []
            assert state.finish_reason in ("stop", "length")
            assert b"".join(step.key for step in state.steps) == state.text
            assert state.characters.whole == state.text.decode(errors="replace")
            assert len(state.steps) == sum(state.counts.values()) > 0
            if name != "mix":
                assert b"".join(vocabulary.bytes_of(token) or b"" for token in state.ids) == state.text
    safe = write(RULES["safe"], drafter, verifier)
    monkeypatch.setattr(alignment, "SLACK", 1 << 30)  # every text is read from its beginning
    plain = write(EnsembleRule(Safe(Fixed(1)), UniTE(), PrefixMass()), drafter, verifier)
    assert (plain.text, plain.ids) == (safe.text, safe.ids)
    assert [(step.key, step.why) for step in plain.steps] == [(step.key, step.why) for step in safe.steps]


@names
def test_a_model_with_itself_is_itself(name: str) -> None:
    """[M, M] writes M's greedy tokens and ensembles nothing."""
    engine = RULES["safe"].make_engine([load_model(name), load_model(name)], [1.0, 1.0])
    state = write_with(engine, [read_prompt(name)] * 2, limit=LIMIT)
    alone = write(RULES["safe"], name)
    assert state.ids == alone.ids
    assert set(state.counts) <= {"agreed", "textless"}
    assert set(alone.counts) <= {"alone", "textless"}


@names
def test_a_weight_of_nothing_drops_out(name: str) -> None:
    """With all the weight on the drafter, what is decided together is what it likes best."""
    other = next(one for one in list_tokenizers() if one != name)
    state, token_bytes = write(RULES["gac"], name, other, weights=(1.0, 1e-12)), TokenBytes(load_vocabulary(name))
    decided = [step for step in state.steps if step.why == "ensembled"]
    assert decided
    for step in decided:
        first = step.choices[0].key
        # A text with several tokens may have more of the mass than the likeliest token.
        assert step.key == first or first is None or len(token_bytes.tokens_of(step.key)) > 1
