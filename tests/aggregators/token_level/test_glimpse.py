"""Glimpse: the small model writes, and the large one writes the steps whose first token the small one is unsure of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.token_level import SAFE, AboveEntropy, AtRandom, Glimpse
from quorate.aggregators.token_level.decode_state import DecodeParams, DecodeState
from quorate.aggregators.token_level.mixture import entropy_of
from quorate.aggregators.token_level.token_bytes import END
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.tokens import DenseDistribution
from quorate.orchestrator.types import Question

from .test_mixture_sampling import Dying
from .writers import KINDS, model, vocabulary

pytest.importorskip("numpy")
pytest.importorskip("tokenizers")

kinds, seeds = st.sampled_from(KINDS), st.integers(0, 10_000)
quick = settings(max_examples=12, deadline=None)
MARKS = ("e", " ", "3")


def write(models: Sequence[Any], rule: Glimpse, **given: Any) -> DecodeState:
    """One answer, written to its end."""
    engine = rule.make_engine(models, [1.0] * len(models))
    state = engine.start([[5]] * len(models), DecodeParams(**{"limit": 30, "traced": True, "seed": 1, **given}))

    async def to_the_end() -> None:
        while not state.done:
            await engine.cycle([state])

    asyncio.run(to_the_end())
    engine.release([state])
    assert state.error is None
    return state


@quick
@given(kinds, kinds, seeds, st.sampled_from([0.0, 1.0]))
def test_a_small_model_that_is_never_unsure_writes_alone(small: str, large: str, seed: int, temperature: float) -> None:
    """Above an endless threshold the answer is the small model's own, whatever the other's tokenizer."""
    one, other = model(small, seed), model(large, seed + 1)
    both = write([one, other], Glimpse(AboveEntropy(1e9), MARKS), temperature=temperature, seed=seed)
    alone = write([one], Glimpse(), temperature=temperature, seed=seed)
    assert (both.ids, both.text) == (alone.ids, alone.text)
    assert both.spent[1].requests == 0
    assert set(both.counts) <= {"opened", "boundary", "spoken", "textless"}


@quick
@given(kinds, seeds)
def test_where_every_step_is_sent_the_large_model_writes(kind: str, seed: int) -> None:
    """Of one tokenizer: all is the large model's greedy answer, and the small one only ever opened steps."""
    one, other = model(kind, seed), model(kind, seed + 1)
    both = write([one, other], Glimpse(AtRandom(1.0), MARKS), seed=seed)
    alone = write([other], Glimpse(), seed=seed)
    assert (both.ids, both.text) == (alone.ids, alone.text)
    assert set(both.counts) <= {"routed", "spoken", "textless"}
    assert both.counts.get("textless") or both.spent[0].completion == both.counts["routed"]


@quick
@given(kinds, seeds, st.floats(0.2, 4))
def test_a_step_is_sent_where_the_small_model_is_unsure(kind: str, seed: int, threshold: float) -> None:
    """Every step's first token is the large model's exactly where the small one's entropy there is above."""
    models = [model(kind, seed), model(kind, seed + 1)]
    written = write(models, Glimpse(AboveEntropy(threshold), MARKS), seed=seed)
    ids = [*written.ids, 0]
    for place, step in enumerate(written.steps):
        if step.why in ("opened", "routed"):
            unsure = entropy_of(DenseDistribution(models[0].row([5, *ids[:place]]))) > threshold
            assert (step.why == "routed") == unsure
            assert step.choices[0].model == int(unsure)


@quick
@given(kinds, kinds, seeds, st.sampled_from([0.0, 1.0]), st.booleans())
def test_bytes_are_what_was_said(first: str, second: str, seed: int, temperature: float, served: bool) -> None:
    """Whatever the tokenizers, in process or behind a server: the text is the tokens' bytes, each of its model."""
    found = [first, second]
    models = [model(kind, seed + n, in_process=not served) for n, kind in enumerate(found)]
    written = write(models, Glimpse(AtRandom(0.5), MARKS), temperature=temperature, seed=seed)
    assert b"".join(step.key for step in written.steps if step.key != END) == written.text
    for token, step in zip(written.ids, written.steps, strict=False):
        if step.choices:
            assert vocabulary(found[step.choices[0].model]).bytes_of(token) == step.key


@quick
@given(kinds, seeds)
def test_calls_to_servers_change_nothing(kind: str, seed: int) -> None:
    """Where a step ends does not depend on how many tokens one call asks for."""
    here = [model(kind, seed), model(kind, seed + 1)]
    there = [model(kind, seed + n, in_process=False) for n in range(2)]
    rule = Glimpse(AboveEntropy(2.0), MARKS, most=7)
    assert write(here, rule).text == write(there, rule).text


def test_behind_the_final_mark_the_large_model_writes_all() -> None:
    """No step is opened any more after it."""
    models = [model("bytes", 1), model("bytes", 2)]
    plain = write(models, Glimpse(AboveEntropy(1e9), MARKS), limit=40)
    last = plain.text.decode(errors="replace")[3]
    written = write(models, Glimpse(AboveEntropy(1e9), MARKS, final=last), limit=40)
    behind = written.text.index(last.encode()) + len(last.encode())
    size, late = 0, []
    for step in written.steps:
        if size >= behind:
            late.append(step)
        size += len(step.key)
    assert late
    assert {step.choices[0].model for step in late if step.choices} == {1}


async def test_either_model_may_be_lost() -> None:
    """The other one writes on, marked."""
    question = Question.of("The answer is 365 apples.").with_params(max_tokens=24)
    for place in (0, 1):
        models: list[Any] = [model("bytes", 1), model("spaces", 2)]
        kind = ("bytes", "spaces")[place]
        models[place] = Dying(vocabulary(kind), 1 + place, dies=2, name=models[place].name)
        answer = await SAFE(models, rule=Glimpse(AtRandom(0.7), MARKS)).answer(question, seed=1)
        assert [note.code for note in answer.degraded] == ["verifier_lost"]
        assert len(answer.text) > 3


def test_names_make_it() -> None:
    """`glimpse/SMALL+LARGE`, with its options; what it cannot be is refused by name."""
    from quorate.config.catalog import Catalog

    models = {f"{kind}-{seed}": model(kind, seed) for kind, seed in (("bytes", 1), ("spaces", 2))}
    catalog = Catalog(models)  # type: ignore[arg-type]
    made = catalog.resolve("glimpse/bytes-1+spaces-2")
    assert isinstance(made, SAFE)
    assert made.rule == Glimpse(AboveEntropy(1.0), ("\n\n",))
    with pytest.raises(BadInput, match="takes two models"):
        catalog.resolve("glimpse/bytes-1")
    for wrong in ({"steps": ()}, {"steps": ("",)}, {"final": ""}, {"most": 0}):
        with pytest.raises(BadInput, match="Glimpse"):
            Glimpse(**wrong)
    with pytest.raises(BadInput, match="between 0 and 1"):
        AtRandom(1.5)
    with pytest.raises(BadInput, match="at least 0"):
        AboveEntropy(float("nan"))
