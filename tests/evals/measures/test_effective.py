"""Effective votes: copies count once, independent voters in full."""

from __future__ import annotations

import random

import pytest

from quorate.aggregators import StructuredVote
from quorate.aggregators.votes.effective import count_effective_votes
from quorate.evals.measures import measure_effective_votes
from quorate.evals.records import AnswerRecord
from quorate.orchestrator.errors import BadInput
from tests.aggregators.helpers import aggregated, candidate


def bank(copies: int, independent: int, questions: int = 2000, right: float = 0.7) -> list[AnswerRecord]:
    """A panel of copies of one voter and of independent ones; errors fall on one of three wrong answers."""
    generator = random.Random(1)

    def vote() -> int:
        return 0 if generator.random() < right else generator.randint(1, 3)

    records = []
    for number in range(questions):
        shared = vote()
        classes = [shared] * copies + [vote() for _ in range(independent)]
        records.append(
            AnswerRecord(
                id=str(number),
                voters=tuple(f"v{i}" for i in range(len(classes))),
                answers=tuple(map(str, classes)),
                classes=tuple(classes),
                right=tuple(c == 0 for c in classes),
            )
        )
    return records


def test_independent_voters_count_in_full() -> None:
    """By the grades; without them nearly."""
    found = measure_effective_votes(bank(0, 6, right=0.85))
    assert found is not None
    assert found.votes == pytest.approx(6, abs=0.5)
    assert found.label_free_votes == pytest.approx(6, abs=0.5)


def test_copies_are_seen_with_and_without_grades() -> None:
    """Six copies are one voter; three copies among seven cost votes."""
    same = measure_effective_votes(bank(6, 0))
    assert same is not None
    assert same.votes == pytest.approx(1)
    assert same.label_free_votes is None
    mixed = measure_effective_votes(bank(3, 4))
    assert mixed is not None
    assert mixed.correlation == pytest.approx(3 / 21, abs=0.03)
    assert mixed.votes == pytest.approx(7 / (1 + 6 / 7), abs=0.4)
    assert mixed.label_free_correlation is not None
    assert mixed.label_free_correlation > 0.08


def test_the_mean_of_errors_varies_as_it_says() -> None:
    """The definition: the variance of the mean error is that of so many independent voters."""
    records = bank(4, 2, questions=4000)
    found = measure_effective_votes(records)
    assert found is not None
    means = [1 - sum(r.right) / len(r) for r in records]
    rate = sum(means) / len(means)
    variance = sum((m - rate) ** 2 for m in means) / len(means)
    assert found.votes == pytest.approx(rate * (1 - rate) / variance, rel=0.05)


def test_where_nothing_can_be_said_there_is_nothing() -> None:
    """One voter, or nobody who errs."""
    assert measure_effective_votes(bank(0, 1)) is None
    assert measure_effective_votes(bank(0, 4, right=1.1)) is None


@pytest.mark.parametrize(("voters", "correlation"), [(0, 0.1), (3, 1.5)])
def test_impossible_numbers_are_refused(voters: int, correlation: float) -> None:
    """As everywhere."""
    with pytest.raises(BadInput):
        count_effective_votes(voters, correlation)


async def test_the_tally_tells_them() -> None:
    """Where a correlation was measured; of those that voted."""
    candidates = [*(candidate(i, "\\boxed{4}") for i in range(4)), candidate(4, "no idea")]
    answer = await aggregated(StructuredVote(error_correlation=0.5), candidates)
    assert answer.effective_votes == pytest.approx(1.6)
    assert (await aggregated(StructuredVote(), candidates)).effective_votes is None
    with pytest.raises(BadInput):
        StructuredVote(error_correlation=2)
