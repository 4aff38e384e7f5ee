"""What a selector knows of a class of answers."""

from __future__ import annotations

import random
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.aggregators.learned.selector import FAMILIES, Example
from quorate.aggregators.learned.selector.features import compute_features
from quorate.aggregators.learned.selector.view import CandidateView, standardize
from quorate.orchestrator.types import Candidate, Cluster, Failure

from .sets import examples, labelled, said


async def one(*candidates: Candidate) -> Example:
    [example] = await examples([labelled("q", candidates)])
    return example


def of(example: Example, answer: str) -> dict[str, float]:
    return compute_features(example.view, example.view.answers.index(answer))


async def test_votes_are_shares_of_those_cast() -> None:
    """An abstention counts only as one; failed candidates are not there."""
    failed = said(4, "2").model_copy(update={"error": Failure(code="boom", message="no")})
    example = await one(said(0, "1"), said(1, "1"), said(2, "2"), said(3, None), failed)
    first, second = of(example, "1"), of(example, "2")
    assert (first["share"], second["share"]) == (2 / 3, 1 / 3)
    assert first["margin"] == -second["margin"] == 1 / 3
    assert (first["leads"], second["leads"]) == (1.0, 0.0)
    assert first["log_votes"] == log(2)
    assert first["abstained_share"] == 0.25


async def test_models_are_the_share_of_their_candidates() -> None:
    """Of a model that answers twice, half may vote for a class; the prompt counts as who says it."""
    prompted = said(3, "1", "b").model_copy(update={"prompt_version": "short"})
    row = of(await one(said(0, "1", "a"), said(1, "2", "a"), said(2, "1", "b"), prompted), "1")
    assert {name: value for name, value in row.items() if name.startswith("model:")} == {
        "model:a": 0.5,
        "model:b": 1.0,
        "model:b short": 1.0,
    }


async def test_texts_are_compared_within_the_question() -> None:
    """Longer, fuller of sums, more in doubt than the others: above 0."""
    long = said(0, "1", text="wait, 3 + 4 = 7, however\nthat is 7 = 7 \\boxed{1}")
    row = of(await one(long, said(1, "2", text="two"), said(2, "2", text="two!")), "1")
    for name in ("length", "equations", "second_thoughts", "lines"):
        assert row[name] > 1, name
    assert row["marked_share"] == row["givens_used"] == 1.0


async def test_confidence_is_compared_within_the_question() -> None:
    """The surest voter leads; without log-probabilities the family is absent."""
    row = of(await one(said(0, "1", logprob=-0.1), said(1, "2", logprob=-2.0), said(2, "2", logprob=-1.0)), "1")
    assert row["surest"] == row["confidence"] > 1
    assert row["confident_share"] > 1 / 3
    assert "surest" not in of(await one(said(0, "1")), "1")


async def test_scores_are_compared_within_the_question() -> None:
    """One that is missing or not finite counts as the mean."""
    [example] = await examples([labelled("q", [said(0, "1"), said(1, "2"), said(2, "2")])], [(4.0, 1.0, None)])
    assert of(example, "1")["best_reward"] == -of(example, "2")["reward"] * 2 == 1.0
    assert standardize([1.0, 3.0, float("nan"), None]) == (-1.0, 1.0, 0.0, 0.0)


VOTES = st.lists(
    st.tuples(st.sampled_from(["1", "2", "x"]) | st.none(), st.sampled_from(["a", "b"])), min_size=1, max_size=8
)


@given(VOTES, st.randoms(use_true_random=False))
async def test_only_position_knows_the_order(votes: list[tuple[str | None, str]], shuffler: random.Random) -> None:
    """In any list order all is the same; under other indices all but the family `position`."""
    candidates = [said(i, answer, model) for i, (answer, model) in enumerate(votes)]
    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    renumbered = [c.model_copy(update={"index": i}) for i, c in enumerate(shuffled)]
    ordered = {f.__name__ for f in FAMILIES["position"].features}
    first = await one(*candidates)
    found = [
        CandidateView.of(first.view.question, shuffled, _clusters(first.view)),
        (await one(*renumbered)).view,
    ]
    for answer in first.view.answers:
        row, same, other = of(first, answer), *(compute_features(view, view.answers.index(answer)) for view in found)
        assert same == pytest.approx(row)
        assert {n: v for n, v in other.items() if n not in ordered} == pytest.approx(
            {n: v for n, v in row.items() if n not in ordered}
        )


def _clusters(view: CandidateView) -> list[Cluster]:
    return [
        Cluster(answer=view.answers[n], votes=len(p), weight=len(p), voters=tuple(view.candidates[i].index for i in p))
        for n, p in view.members.items()
    ]


def test_every_feature_is_documented_and_named_once() -> None:
    """The docstrings are what `--list` prints."""
    names = [f.__name__ for family in FAMILIES.values() for f in family.features]
    assert len(names) == len(set(names))
    assert all(f.__doc__ for family in FAMILIES.values() for f in family.features)
    assert all(family.needs and family.summary for family in FAMILIES.values())
