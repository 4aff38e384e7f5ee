"""Mixture sampling: one model speaks at a time, and the text is distributed as the mixture."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.token_level import SAFE, Mix
from quorate.aggregators.token_level.decode_state import DecodeParams, DecodeState
from quorate.aggregators.token_level.mixture_sampling import MixtureSamplingEngine
from quorate.aggregators.token_level.token_bytes import END, ends_with_character, to_characters
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.types import Question
from quorate.testing import FormulaTokens

from .laws import is_far, mix
from .writers import KINDS, model, vocabulary

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers")

kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 10_000)
quick = settings(max_examples=12, deadline=None)


def speak(
    models: Sequence[Any], *, weights: Sequence[float] | None = None, most: int = 16, **given: Any
) -> DecodeState:
    """One answer, spoken to its end."""
    engine = MixtureSamplingEngine(models, weights or [1.0] * len(models), most)
    state = engine.start([[5]] * len(models), DecodeParams(**{"limit": 24, "traced": True, "seed": 1, **given}))

    async def to_the_end() -> None:
        while not state.done:
            await engine.cycle([state])

    asyncio.run(to_the_end())
    engine.release([state])
    if state.error is not None:
        raise state.error
    return state


@quick
@given(kinds, seeds, st.integers(1, 3), st.sampled_from([0.0, 1.0]), st.integers(1, 9))
def test_a_model_with_itself_is_itself(kind: str, seed: int, copies: int, temperature: float, most: int) -> None:
    """[M, M] says M's own ids, greedy or sampled with the same seed, however long turns are."""
    one = model(kind, seed)
    alone = speak([one], temperature=temperature, seed=seed)
    both = speak([one] * (1 + copies), temperature=temperature, seed=seed, most=most)
    assert (both.ids, both.text) == (alone.ids, alone.text)


@quick
@given(kinds, seeds)
def test_greedily_every_token_is_its_speakers_best(kind: str, seed: int) -> None:
    """Of one tokenizer: each token is the likeliest of the model that the trace names, after all that was said."""
    models = [model(kind, seed), model(kind, seed + 1)]
    written = speak(models, seed=seed, limit=40)
    known, ends = vocabulary(kind), models[0].vocabulary.ends
    ids = [*written.ids, *(sorted(ends)[:1] if written.finish_reason == "stop" else [])]
    for place, (token, step) in enumerate(zip(ids, written.steps, strict=True)):
        bests = [int(one.row([5, *written.ids[:place]]).argmax()) for one in models]
        if step.choices:
            best = bests[step.choices[0].model]
            assert token == best or {token, best} <= ends
        else:
            assert known.bytes_of(token) is None
    assert set(written.counts) <= {"spoken", "textless"}


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0)])
@pytest.mark.parametrize("temperature", [1.0, 0.8])
def test_the_next_token_is_distributed_as_the_mixture(weights: tuple[float, float], temperature: float) -> None:
    """Chi-square of 4,000 second tokens after the same first one against the weighted mean of one tokenizer."""
    models = [model("bytes", 3, together=1.0), model("bytes", 4, together=1.0)]
    engine, draws = MixtureSamplingEngine(models, weights), 4000
    states = [
        engine.start([[5], [5]], DecodeParams(limit=1, temperature=temperature, seed=seed, traced=True))
        for seed in range(draws)
    ]
    asyncio.run(engine.cycle(states))
    counts: dict[bytes, int] = {}
    for state in states:
        counts[state.steps[0].key] = counts.get(state.steps[0].key, 0) + 1
    assert not is_far(counts, mix(models, [5], temperature, weights), draws)


def test_the_speaker_is_independent_of_what_was_said() -> None:
    """Chi-square of 3,000 second tokens that follow the commonest first one, against the mean after it."""
    models = [model("bytes", 3, together=2.0), model("bytes", 4, together=2.0)]
    engine = MixtureSamplingEngine(models, [1.0, 1.0])
    states = [
        engine.start([[5], [5]], DecodeParams(limit=2, temperature=0.5, seed=seed, traced=True)) for seed in range(9000)
    ]

    async def to_the_end() -> None:
        while any(not state.done for state in states):
            await engine.cycle(states)

    asyncio.run(to_the_end())
    firsts = [state.ids[0] for state in states if state.ids]
    common = max(set(firsts), key=firsts.count)
    counts: dict[bytes, int] = {}
    for state in states:
        if state.ids[:1] == [common]:
            counts[state.steps[1].key] = counts.get(state.steps[1].key, 0) + 1
    draws = sum(counts.values())
    assert draws > 500
    assert not is_far(counts, mix(models, [5, common], 0.5), draws)


@quick
@given(st.lists(kinds, min_size=2, max_size=3), seeds, st.sampled_from([0.0, 1.0]))
def test_bytes_are_what_the_speakers_said(found: list[str], seed: int, temperature: float) -> None:
    """Whatever the tokenizers, the text is the tokens' bytes in order, each a token of the model that said it."""
    models = [model(kind, seed + n) for n, kind in enumerate(found)]
    written = speak(models, temperature=temperature, seed=seed)
    assert b"".join(step.key for step in written.steps if step.key != END) == written.text
    assert written.characters.whole == written.text.decode(errors="replace")
    for token, step in zip(written.ids, written.steps, strict=False):
        if step.choices:
            assert vocabulary(found[step.choices[0].model]).bytes_of(token) == step.key
    assert set(written.counts) <= {"spoken", "boundary", "textless"}


@quick
@given(kinds, kinds, seeds)
def test_speakers_change_at_boundaries_of_both(first: str, second: str, seed: int) -> None:
    """Before another tokenizer takes over, the text with the token that the model before had in mind is cut there."""
    models = [model(first, seed), model(second, seed + 1)]
    written = speak(models, seed=seed, limit=40)
    told = [step for step in written.steps if step.choices]
    sizes, size = [], 0
    for step in told:
        sizes.append(size)
        size += len(step.key)
    turns = [place for place in range(1, len(told)) if told[place].choices[0].model != told[place - 1].choices[0].model]
    for place in turns if first != second else ():
        text, lexicon = written.text[: sizes[place]], vocabulary([first, second][told[place].choices[0].model])
        assert ends_with_character(text)
        _, ends = lexicon.encode(to_characters(text))
        assert (ends or [0])[-1] == sizes[place]


def test_only_the_speaker_is_asked() -> None:
    """A weight near nothing asks its model nothing, and each model's calls are of its own turns."""
    models = [model("bytes", 1), model("spaces", 2)]
    written = speak(models, weights=[1.0, 1e-12])
    assert models[1].calls == 0
    assert written.spent[1].requests == 0
    assert models[0].calls == -(-len(written.steps) // 16)
    assert written.spent[0].completion == len(written.steps)


def test_filters_cut_each_speakers_own_distribution() -> None:
    """Top-k of 1 is greedy, and top-k of 3 says nothing but the speaker's three likeliest."""
    models = [model("bytes", 3), model("bytes", 4)]
    assert speak(models, temperature=1.0, top_k=1).ids == speak(models).ids
    written = speak(models, temperature=1.5, top_k=3, limit=40)
    for place, (token, step) in enumerate(zip(written.ids, written.steps, strict=False)):
        row = models[step.choices[0].model].row([5, *written.ids[:place]])
        assert token in row.argsort()[-3:]


class Dying(FormulaTokens):
    """A model whose server goes away after some drafts."""

    async def draft(self, asks: Any) -> Any:
        from quorate.orchestrator.errors import UpstreamError

        if self.calls >= (self._dies or 0):
            raise UpstreamError("the connection was lost")
        return await super().draft(asks)


async def test_models_that_fail_or_are_full_are_left_out() -> None:
    """The others go on, marked; the answer fails with the last of them, and ends where nobody has room."""
    question = Question.of("The answer is 365 apples.").with_params(max_tokens=24)
    dying = Dying(vocabulary("spaces"), 2, dies=1, name="spaces-2")
    answer = await SAFE([model("bytes", 1), dying], rule=Mix()).answer(question, seed=1)
    assert [note.code for note in answer.degraded] == ["verifier_lost"]
    assert answer.candidates[0].ensembling.tokens == 24  # type: ignore[union-attr]
    with pytest.raises(NoAnswer, match="connection was lost"):
        await SAFE([Dying(vocabulary("bytes"), 1, dies=1)], rule=Mix()).answer(question)
    room = len(model("bytes", 1).prompt(question)) + 5
    short = [model("bytes", seed, context=room) for seed in (1, 2)]
    cut = await SAFE(short, rule=Mix()).answer(question)
    assert cut.finish_reason == "length"
    with pytest.raises(NoAnswer, match="shorten it"):
        await SAFE([model("bytes", 1, context=4)], rule=Mix()).answer(question)


async def test_names_make_them() -> None:
    """`mix/A+B` and `safe/A`: the first by its options, the second the model itself in the same engine."""
    from quorate.config.catalog import Catalog

    models = {f"{kind}-{seed}": model(kind, seed) for kind, seed in (("bytes", 1), ("spaces", 2))}
    catalog = Catalog(models)  # type: ignore[arg-type]
    mix = catalog.resolve("mix/bytes-1+spaces-2")
    assert isinstance(mix, SAFE)
    assert mix.name == "mix/bytes-1+spaces-2"
    question = Question.of("The answer is 365 apples.").with_params(max_tokens=24)
    first, second = [await mix.answer(question, seed=3) for _ in range(2)]
    assert first.text == second.text
    assert set(first.candidates[0].ensembling.counts) <= {"spoken", "boundary"}  # type: ignore[union-attr]
    assert {node.model for node in first.nodes} == set(models)
    single = [await catalog.resolve(f"{way}/bytes-1").answer(question, RunContext()) for way in ("safe", "mix")]
    assert single[0].text == single[1].text
    with pytest.raises(BadInput, match="at least 1 token"):
        Mix(most=0)
