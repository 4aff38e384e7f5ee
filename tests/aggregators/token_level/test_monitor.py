"""Monitors: forbidden tokens are never written, whatever writes together, and nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.token_level import SAFE, AtRandom, Calculator, Glimpse, Mix, TextMonitor
from quorate.aggregators.token_level.monitor import Watch
from quorate.aggregators.token_level.token_bytes import END, TokenBytes
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.tokens import DraftAsk, Draw, TopDistribution
from quorate.orchestrator.types import Question

from .laws import is_far
from .writers import model

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers")


class Begins(TextMonitor):
    """An answer begins with a text."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def watch(self, text: bytes) -> Callable[[bytes], bool] | None:
        left = self.text.removeprefix(text) if self.text.startswith(text) else b""
        return (lambda key: key != END and left.startswith(key)) if left else None


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("rolls: 7 * 12 = ", ["8", "84", "84\n", " ", "$"], ["9", "85", "8\n", "840", "-", ""]),
        ("rolls: 7 * 12 = 8", ["4", "4\nAnswer", "4."], ["", "5", "\n", " ", "44", ","]),
        ("rolls: 7 * 12 = 84", ["", "\n", " rolls", "."], ["0", "4"]),
        ("7*12=", ["84"], ["12"]),
        ("12 / 4 = ", ["3"], ["4"]),
    ],
)
def test_only_right_results_may_follow(text: str, yes: list[str], no: list[str]) -> None:
    """Digits that lead to it, and what is no digit before them."""
    may = Calculator().watch(text.encode())
    assert may is not None
    assert [key for key in yes if not may(key.encode())] == []
    assert [key for key in no if may(key.encode())] == []
    assert END == b""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7 * 12",
        "7 / 2 = ",
        "3 - 5 = ",
        "0.5 + 1 = ",
        "2 + 3 * 4 = ",
        "(2 + 3) = ",
        "7 * 12 = 9",
        "a = ",
        "1 / 0 = ",
    ],
)
def test_nothing_is_said_of_anything_else(text: str) -> None:
    """No equation, no whole result, decimals, parts of longer calculations, results that are wrong already."""
    assert Calculator().watch(text.encode()) is None


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["bytes", "spaces"]), st.integers(0, 999), st.sampled_from([0.0, 1.0]), st.integers(0, 3))
def test_every_way_of_writing_holds_to_it(kind: str, seed: int, temperature: float, way: int) -> None:
    """Alone, SAFE, in turns and glimpsed: what all monitors want comes, and behind an equation its result or none."""
    models: list[Any] = [model(kind, seed), model("bytes", seed + 1)]
    rules = [None, None, Mix(), Glimpse(AtRandom(0.5), ("e", " "))]
    monitors = [Begins(b"36 + 5 = "), Calculator()]
    writers = SAFE(models[: 1 + (way > 0)], rule=rules[way], monitors=monitors)
    question = Question.of("What is it?").with_params(max_tokens=14, temperature=temperature)
    text = writers.answer_sync(question, seed=seed).text
    assert re.match(r"36 \+ 5 = ?\s*(?:41(?!\d)|4$|[^\d\s+-]|$)", text) or "36 + 5 = ".startswith(text)


async def test_samples_are_the_models_own_among_what_is_allowed() -> None:
    """Chi-square of 3,000 first tokens against the model's distribution without the forbidden ones."""
    one, watch = model("bytes", 3, together=1.0), Watch([Calculator()])
    await one.open()
    tokens = TokenBytes(one.vocabulary)
    prompt, draws = one.prompt(Question.of("36 + 5 = ")), 3000
    asks = [DraftAsk(n, prompt, 1, draw=Draw(1.0, [u])) for n, u in enumerate(np.random.default_rng(1).random(draws))]
    drafts = [
        watch.restrict_draft(b"36 + 5 = ", tokens, draft, ask.draw)
        for ask, draft in zip(asks, await one.draft(asks), strict=True)
    ]
    may = Calculator().watch(b"36 + 5 = ")
    assert may is not None
    shares = np.exp(one.row(prompt).astype(np.float64))
    keys = tokens.keys
    mass = {key: float(share) for key, share in zip(keys, shares, strict=True) if key is not None and may(key)}
    total = sum(mass.values())
    counts: dict[bytes, int] = {}
    for draft in drafts:
        key = keys[draft.tokens[0]]
        assert key is not None
        counts[key] = counts.get(key, 0) + 1
    assert not is_far(counts, {key: share / total for key, share in mass.items()}, draws)


def test_a_server_that_tells_only_what_is_forbidden_is_no_way_out() -> None:
    """Of its best few none is allowed: all that are allowed count the same, and one of them is written."""
    one = model("bytes", 1)
    tokens = TokenBytes(one.vocabulary)
    told = TopDistribution([(tokens.tokens_of(b"x")[0], -0.1), (tokens.tokens_of(b"y")[0], -2.0)])
    left = Watch([Begins(b"{")]).restrict(b"", tokens, told)
    assert [tokens.key_of(token) for token, _ in left.top(9)] == [b"{"]
    assert not left.exact


async def test_an_answer_that_cannot_go_on_fails() -> None:
    """Nothing may come next: it fails with the reason."""

    class Ends(TextMonitor):
        def watch(self, text: bytes) -> Callable[[bytes], bool] | None:
            return (lambda key: False) if text.startswith(b"36") else None

    stuck = SAFE([model("bytes", 1)], monitors=[Begins(b"36"), Ends()])
    with pytest.raises(NoAnswer, match="no token of its vocabulary may follow '36'"):
        await stuck.answer(Question.of("What is it?").with_params(max_tokens=8))


async def test_without_anything_to_say_nothing_changes() -> None:
    """The same answer, token for token; and another fingerprint only where there is a monitor."""
    question = Question.of("The answer is").with_params(max_tokens=24)
    plain, watched = SAFE([model("bytes", 1)]), SAFE([model("bytes", 1)], monitors=[Calculator()])
    assert (await plain.answer(question)).text == (await watched.answer(question)).text
    assert plain.identity.fingerprint != watched.identity.fingerprint


def test_names_have_them() -> None:
    """`monitors: [calculator]` in the options of any ensemble."""
    from quorate.aggregators.registry import build_ensemble

    models: list[Any] = [model("bytes", 1)]
    made = build_ensemble("safe", models, options={"monitors": ["calculator"]})
    assert isinstance(made, SAFE)
    assert [repr(monitor) for monitor in made.monitors] == ["Calculator()"]
