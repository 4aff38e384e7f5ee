"""The law that tokens are drawn by."""

from __future__ import annotations

import math
from random import Random

import pytest

torch = pytest.importorskip("torch")

from quorate.agents.embedded import batch_engine  # noqa: E402  torch first
from quorate.agents.embedded.batch_engine import SamplingRule, TokenSampler  # noqa: E402

LOGITS = [2.0, -1.0, 0.5, 1.5, 0.0, -3.0, 1.0, 0.2]
DRAWS = 20_000


def frequencies(rule: SamplingRule, *, beside: SamplingRule | None = None) -> list[int]:
    """How often each token is chosen in many rows with seeded uniforms."""
    rules = [rule] * DRAWS + ([beside] if beside else [])
    random = Random(11)
    logits = torch.tensor([LOGITS]).expand(len(rules), -1)
    tokens = TokenSampler(rules).choose(logits, [random.random() for _ in rules])[:DRAWS]
    return [int(count) for count in torch.bincount(tokens, minlength=len(LOGITS))]


def expected(temperature: float, kept: list[int]) -> list[float]:
    """The softmax over the kept tokens."""
    mass = [math.exp(logit / temperature) if i in kept else 0.0 for i, logit in enumerate(LOGITS)]
    return [value / sum(mass) for value in mass]


def chi_square(counts: list[int], law: list[float]) -> float:
    """Pearson's statistic; impossible tokens must not occur at all."""
    assert all(count == 0 for count, p in zip(counts, law, strict=True) if p == 0)
    return sum((count - DRAWS * p) ** 2 / (DRAWS * p) for count, p in zip(counts, law, strict=True) if p > 0)


ALL = list(range(len(LOGITS)))
TOP_P = [0, 3, 6]
"""The smallest set with 0.75 of the mass at temperature 1: 0.36, 0.22 and 0.13 make 0.72, so one more."""


@pytest.mark.parametrize(
    ("rule", "law"),
    [
        (SamplingRule(), expected(1.0, ALL)),
        (SamplingRule(temperature=0.6), expected(0.6, ALL)),
        (SamplingRule(temperature=2.0), expected(2.0, ALL)),
        (SamplingRule(top_k=3), expected(1.0, [0, 3, 6])),
        (SamplingRule(top_k=-1), expected(1.0, ALL)),
        (SamplingRule(top_p=0.7), expected(1.0, TOP_P)),
        (SamplingRule(temperature=0.7, top_k=4, top_p=0.99), expected(0.7, [0, 3, 6, 2])),
        (SamplingRule(min_p=0.3), expected(1.0, [0, 3, 6])),
        (SamplingRule(temperature=2.0, min_p=0.3, top_k=4), expected(2.0, [0, 3, 6, 2])),
        (SamplingRule(min_p=1.0), expected(1.0, [0])),
        (SamplingRule(top_k=1), expected(1.0, [0])),
        (SamplingRule(top_p=1e-6), expected(1.0, [0])),
    ],
)
def test_tokens_follow_the_law(rule: SamplingRule, law: list[float]) -> None:
    """Frequencies fit temperature, top-k, top-p and min-p (chi-square below the 0.999 quantile of 7 degrees)."""
    assert chi_square(frequencies(rule), law) < 24.3


def test_rows_do_not_meddle() -> None:
    """A row with filters changes nothing for rows without."""
    assert frequencies(SamplingRule(temperature=1.3)) == frequencies(
        SamplingRule(temperature=1.3), beside=SamplingRule(top_p=0.5, top_k=2)
    )


def test_temperature_zero_is_greedy() -> None:
    """Temperature 0 takes the likeliest token whatever the uniform, also beside sampling rows."""
    assert frequencies(SamplingRule(temperature=0), beside=SamplingRule(top_p=0.5))[0] == DRAWS


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_impossible_tokens_never_come(uniform: float) -> None:
    """The ends of the unit interval give possible tokens."""
    logits = torch.tensor([[-torch.inf, 1.0, 2.0, -torch.inf]])
    assert TokenSampler([SamplingRule()]).choose(logits, [uniform]).item() in (1, 2)


@pytest.mark.parametrize("temperature", [1e-5, 1e-9, 1e-38, 5e-324])
def test_next_to_no_temperature_is_greedy(temperature: float) -> None:
    """Also where logits divided by it are no float32 any more."""
    rules = [SamplingRule(temperature=temperature), SamplingRule(temperature=temperature, top_p=0.9, top_k=1 << 40)]
    assert TokenSampler(rules).choose(torch.tensor([LOGITS, LOGITS]), [0.999, 0.999]).tolist() == [0, 0]


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    "rule", [SamplingRule(), SamplingRule(temperature=0), SamplingRule(top_p=0.5), SamplingRule(min_p=1.0, top_k=3)]
)
def test_logits_that_are_no_numbers_give_no_token(rule: SamplingRule, broken: float) -> None:
    """The row is lost, and no other."""
    logits = torch.tensor([LOGITS] * 3)
    logits[1] = broken
    first, lost, last = TokenSampler([rule] * 3).choose(logits, [0.1, 0.1, 0.1]).tolist()
    assert lost == batch_engine.LOST
    assert first == last == TokenSampler([rule]).choose(torch.tensor([LOGITS]), [0.1]).item()


@pytest.mark.parametrize("steepness", [0.05, 1.0, 4.0])
def test_looking_at_the_likeliest_first_changes_nothing(monkeypatch: pytest.MonkeyPatch, steepness: float) -> None:
    """Of a large vocabulary every row draws the token that a sort of all gives it alone, equal logits included."""
    rules = [
        SamplingRule(temperature=t, top_p=p, top_k=k)
        for t in (0, 0.7)
        for p in (0.2, 0.9, 1.0)
        for k in (0, 1, 40, 400)
    ]
    random = Random(5)
    logits = torch.tensor([[round(4 * random.gauss(0, steepness)) / 4 for _ in range(1500)] for _ in rules])
    uniforms = [random.random() for _ in rules]
    together = TokenSampler(rules).choose(logits, uniforms).tolist()
    monkeypatch.setattr(batch_engine, "LIKELIEST", logits.shape[-1])
    alone = [TokenSampler([rule]).choose(logits[i : i + 1], uniforms[i : i + 1]).item() for i, rule in enumerate(rules)]
    assert together == alone
