"""Laws of token-level ensembling, on formula models over tokenizers of several kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.token_level import (
    Adaptive,
    CrossMax,
    EntropyWeights,
    EveryToken,
    Fixed,
    GaC,
    Geometric,
    PrefixMass,
    UniTE,
)
from quorate.aggregators.token_level.mixture import NextTokenView, entropy_of
from quorate.aggregators.token_level.token_bytes import END, TokenBytes
from quorate.orchestrator.tokens import DenseDistribution, TopDistribution
from quorate.testing.tokens import FormulaTokens

from .laws import is_far, mix
from .writers import KINDS, make_engine, model, vocabulary, write

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers")

kinds = st.sampled_from(KINDS)
once = st.sampled_from(["bytes", "pieces", "words"])
"""Kinds in which no text has two ids."""
seeds = st.integers(0, 10_000)
quick = settings(max_examples=12, deadline=None)


def alone(one: FormulaTokens, prompt: Sequence[int] = (5,), limit: int = 24) -> list[int]:
    """The greedy ids of one model, its end token included."""
    ids: list[int] = []
    while len(ids) < limit:
        ids.append(int(one.row([*prompt, *ids]).argmax()))
        if ids[-1] in one.vocabulary.ends:
            return ids[:-1]
    return ids


@quick
@given(kinds, seeds, st.integers(1, 8), st.integers(1, 3))
def test_a_model_with_itself_is_itself(kind: str, seed: int, n: int, copies: int) -> None:
    """[M, M] and [M, M, M, M] write exactly M's greedy ids and ensemble nothing, however long drafts are."""
    one = model(kind, seed)
    for lookahead in (Fixed(n), Adaptive()):
        written = write(make_engine([one] * (1 + copies), lookahead=lookahead, base=UniTE(), sharpening=PrefixMass()))
        assert written.ids == alone(one)
        assert set(written.counts) <= {"agreed", "textless"}


@quick
@given(once, kinds, seeds)
def test_a_weight_near_one_is_the_drafter(drafter: str, verifier: str, seed: int) -> None:
    """With all the weight on the drafter the answer is the drafter's; with none on the others these are left out."""
    first, second = model(drafter, seed), model(verifier, seed + 1)
    assert write(make_engine([first, second], weights=[1.0, 1e-12], base=GaC())).ids == alone(first)


@quick
@given(kinds, kinds, seeds, st.sampled_from([GaC(), UniTE(4)]), st.sampled_from([None, PrefixMass(), Geometric()]))
def test_a_greedy_answer_does_not_depend_on_the_drafts(
    drafter: str, verifier: str, seed: int, merge: Any, sharpen: Any
) -> None:
    """Drafts of 1, 2, 5 and 13 tokens, adaptive ones and ones that end at unsure tokens: the same bytes and reasons."""
    models = [model(drafter, seed), model(verifier, seed + 1)]
    rules = [Fixed(1), Fixed(2), Fixed(5), Fixed(13), Fixed(9, until=0.6), Adaptive()]
    written = [write(make_engine(models, lookahead=rule, base=merge, sharpening=sharpen)) for rule in rules]
    assert len({(w.text, tuple(w.ids), tuple((s.key, s.why) for s in w.steps)) for w in written}) == 1


@quick
@given(st.lists(kinds, min_size=3, max_size=3), seeds, st.sampled_from([GaC(), UniTE()]))
def test_the_order_of_verifiers_is_nothing(found: list[str], seed: int, merge: Any) -> None:
    """Permuted verifiers, with their weights, give the same answer to the last bit of every probability."""
    drafter = model("bytes", seed)
    others = [(model(kind, seed + 1 + n), 0.3 + n) for n, kind in enumerate(found)]
    written = []
    for order in permutations(others):
        weights = [1.0, *(weight for _, weight in order)]
        written.append(write(make_engine([drafter, *(one for one, _ in order)], weights=weights, base=merge)))
    assert len({(w.text, tuple((s.key, s.why, s.mass) for s in w.steps)) for w in written}) == 1


@quick
@given(once, seeds, st.integers(2, 3))
def test_one_tokenizer_is_brute_force(kind: str, seed: int, count: int) -> None:
    """Models of one tokenizer write the argmax of their mean at every step, whether all are asked or only some."""
    models = [model(kind, seed + n) for n in range(count)]
    ids: list[int] = []
    silent = [t for t in range(vocabulary(kind).size) if vocabulary(kind).bytes_of(t) is None]
    while len(ids) < 24:
        mean = np.mean([np.exp(one.row([5, *ids]).astype(np.float64)) for one in models], axis=0)
        mean[[t for t in silent if t not in models[0].vocabulary.ends]] = 0
        best = int(mean.argmax())
        if best in models[0].vocabulary.ends:
            break
        ids.append(best)
    for conditions in (None, EveryToken()):
        written = write(make_engine(models, conditions=conditions, base=GaC()))
        assert written.text == b"".join(vocabulary(kind).bytes_of(token) or b"" for token in ids)
    safe = write(make_engine(models))
    assert safe.counts.get("boundary", 0) == 0


@quick
@given(kinds, kinds, seeds, st.booleans())
def test_bytes_are_the_tokens_bytes(drafter: str, verifier: str, seed: int, greedy: bool) -> None:
    """What is written is what its tokens say, byte for byte, and the story's keys join to it."""
    written = write(
        make_engine([model(drafter, seed), model(verifier, seed + 1)]), temperature=0.0 if greedy else 1.0, seed=seed
    )
    known = vocabulary(drafter)
    assert b"".join(known.bytes_of(token) or b"" for token in written.ids) == written.text
    assert b"".join(step.key for step in written.steps if step.key != END) == written.text
    assert written.characters.whole == written.text.decode(errors="replace")
    assert sum(written.counts.values()) == len(written.steps)


@pytest.mark.parametrize(("verifier", "temperature"), [("bytes", 1.0), ("spaces", 0.8)])
def test_samples_are_distributed_as_the_mixture(verifier: str, temperature: float) -> None:
    """Chi-square of 4,000 first tokens against the mean of the tempered distributions, texts under 5 pooled."""
    models = [model("bytes", 3, together=1.0), model(verifier, 4, together=1.0)]
    made, draws = make_engine(models, base=GaC(), lookahead=Fixed(1)), 4000
    states = [made.start([[5], [5]], _params(limit=1, temperature=temperature, seed=seed)) for seed in range(draws)]
    asyncio.run(made.cycle(states))
    seen: dict[bytes, int] = {}
    for state in states:
        key = state.steps[0].key
        seen[key] = seen.get(key, 0) + 1
    assert not is_far(seen, mix(models, [5], temperature), draws)


def test_samples_do_not_depend_on_the_drafts() -> None:
    """Random numbers belong to places, so longer drafts draw the same answer."""
    models = [model("bytes", 3), model("spaces", 4)]
    for seed in range(5):
        written = [
            write(make_engine(models, lookahead=Fixed(n)), temperature=1.0, seed=seed, limit=40) for n in (1, 3, 8)
        ]
        assert len({w.text for w in written}) == 1


def test_answers_in_a_batch_are_the_answers_alone() -> None:
    """Seven questions at once, ending at different times, give what each gives by itself."""
    made = make_engine([model("bytes", 3), model("spaces", 4), model("words", 5)])
    prompts = [[[n + 4], [n + 5], [n + 6]] for n in range(7)]
    single = [write(made, prompts=prompt, limit=8 + 4 * n) for n, prompt in enumerate(prompts)]
    together = [made.start(prompt, _params(limit=8 + 4 * n)) for n, prompt in enumerate(prompts)]

    async def run() -> None:
        while any(not state.done for state in together):
            await made.cycle(together)

    asyncio.run(run())
    assert [w.text for w in together] == [w.text for w in single]


def _params(**given: Any) -> Any:
    from quorate.aggregators.token_level.decode_state import DecodeParams

    return DecodeParams(**{"traced": True, **given})


def _views(one: FormulaTokens, *contexts: int, weights: Sequence[float] = ()) -> list[NextTokenView]:
    """What the model expects after each of these tokens, as if these were models of their own."""
    token_bytes = TokenBytes(one.vocabulary)
    shares = weights or [1 / len(contexts)] * len(contexts)
    rows = [DenseDistribution(one.row([token])) for token in contexts]
    return [NextTokenView(token_bytes, row, share) for row, share in zip(rows, shares, strict=True)]


@quick
@given(kinds, seeds, st.integers(5, 60), st.integers(5, 60), st.sampled_from([1, 5, 10]))
def test_no_third_model_forces_a_token(kind: str, seed: int, honest: int, other: int, k: int) -> None:
    """CrossMax: where two of three agree in all, their likeliest token wins, whatever the third says and weighs."""
    views = _views(model(kind, seed, apart=0.0), honest, honest, other, weights=(0.1, 0.1, 0.8))
    merged = CrossMax(k).merge(views)
    own = CrossMax(k).merge(views[:2])
    assert merged.likeliest() == own.likeliest()
    assert float(merged.mass.sum()) == pytest.approx(1)


@quick
@given(kinds, seeds, st.lists(st.integers(5, 60), min_size=2, max_size=4))
def test_the_surer_model_counts_for_more(kind: str, seed: int, contexts: list[int]) -> None:
    """Entropy weights add up to 1, fall with the entropy, and leave models alone that are equally sure."""
    views = _views(model(kind, seed), *contexts)
    weighed = EntropyWeights().weigh(views)
    assert sum(view.weight for view in weighed) == pytest.approx(1)
    ranked = sorted(weighed, key=lambda view: entropy_of(view.distribution))
    assert all(a.weight >= b.weight - 1e-12 for a, b in pairwise(ranked))
    same = EntropyWeights().weigh(_views(model(kind, seed), 7, 7, weights=(0.3, 0.7)))
    assert [view.weight for view in same] == pytest.approx([0.3, 0.7])


def test_the_entropy_of_what_a_server_tells() -> None:
    """Of even shares it is the logarithm of their number, known in full or in part."""
    assert entropy_of(TopDistribution([(n, -3.0) for n in range(8)])) == pytest.approx(2.0794415)
    assert entropy_of(TopDistribution([(1, 0.0)])) == 0
