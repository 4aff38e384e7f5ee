"""Similarities of texts, and the text most like the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import Centroid, ChrF, PairSimilarity, Pairwise, RougeL, TokenF1
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.types import Answer

from ..helpers import aggregated, candidate, failed

KINDS: list[Pairwise] = [ChrF(), TokenF1(), RougeL()]
EACH = pytest.mark.parametrize("kind", KINDS, ids=repr)
TEXTS = st.text(alphabet="ab cé.🙂", max_size=12)
FOX = "The quick brown fox jumps over the lazy dog."
VARIANTS = [
    FOX,
    "A quick brown fox jumps over the lazy dog.",
    "The quick brown fox leaps over the lazy dog.",
    "No idea!",
]


async def chosen(texts: Sequence[str], seed: int = 1, **settings: Any) -> Answer:
    return await aggregated(Centroid(**settings), [candidate(i, t) for i, t in enumerate(texts)], seed)


@EACH
@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None)
def test_similarities_are_symmetric_and_bounded(kind: Pairwise, a: str, b: str) -> None:
    """From 0 to 1, the same both ways, and 1 for a text and itself."""
    assert 0 <= kind(a, b) <= 1
    assert kind(a, b) == kind(b, a)
    assert kind(a, a) == 1


@EACH
def test_nothing_in_common_is_zero(kind: Pairwise) -> None:
    """And against an empty text too."""
    assert kind("abc", "xyz") == 0
    assert kind("abc", "") == 0


def test_values_that_a_hand_can_check() -> None:
    """Each by its formula."""
    assert TokenF1()("The cat sat", "the cat cat") == pytest.approx(2 * 2 / 6)
    assert RougeL()("a b c d", "b d a c") == pytest.approx(2 * 2 / 8)
    assert ChrF(order=2)("abc", "abd") == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert PairSimilarity(lambda a, b: 0.25)("a", "b") == 0.25


@given(st.text(alphabet="abc", max_size=9), st.text(alphabet="abc", max_size=9))
@settings(max_examples=100, deadline=None)
def test_the_subsequence_by_bits_is_that_of_the_table(a: str, b: str) -> None:
    """The classical recurrence gives the same length."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    expected = 2 * table[-1][-1] / (len(a) + len(b)) if a or b else 1.0
    assert RougeL()(" ".join(a), " ".join(b)) == expected


@EACH
async def test_the_most_central_text_wins(kind: Pairwise) -> None:
    """The variant that the others are variants of; the tally ranks all of them."""
    answer = await chosen(VARIANTS, similarity=kind)
    assert answer.text == FOX
    assert answer.tally[0].answer == FOX
    assert answer.tally[-1].voters == (3,)
    assert [c.weight for c in answer.tally] == sorted((c.weight for c in answer.tally), reverse=True)


async def test_repetitions_count() -> None:
    """A text said twice is like another candidate entirely; thinking is not compared."""
    answer = await chosen(["blue", "<think>hm</think>blue", "red", "green", "grey"], similarity=TokenF1())
    assert answer.tally[0].voters == (0, 1)
    assert answer.tally[0].weight == pytest.approx(1 / 4)
    assert answer.text == "blue"


async def test_the_chosen_text_tells_its_answer() -> None:
    """For evaluations, as every extractor would."""
    assert (await chosen(["It is #### 42", "It is #### 42.", "banana"])).answer == "42"


@given(st.lists(TEXTS, min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
async def test_the_order_of_candidates_means_nothing(texts: list[str], random: Any) -> None:
    """The same text, answer and weights in any order."""
    one, other = await chosen(texts), await chosen(random.sample(texts, len(texts)))
    assert (one.text, one.answer) == (other.text, other.answer)
    assert [(c.answer, c.weight, c.votes) for c in one.tally] == [(c.answer, c.weight, c.votes) for c in other.tally]


async def test_ties_are_drawn_by_the_seed() -> None:
    """Two texts are equally like each other: the seed decides, and the same seed alike."""
    drawn = [(await chosen(["one", "two"], seed)).text for seed in range(10)]
    assert set(drawn) == {"one", "two"}
    assert drawn == [(await chosen(["one", "two"], seed)).text for seed in range(10)]


async def test_one_blank_and_failed() -> None:
    """One is enough, blank ones abstain, and where nobody says anything that is told."""
    assert (await chosen(["alone"])).text == "alone"
    assert (await chosen(["", "<think>", "said"])).text == "said"
    nothing = await chosen(["", " "])
    assert nothing.answer is None
    assert [d.code for d in nothing.degraded] == ["all_abstained"]
    for none in ([], [failed(0)]):
        with pytest.raises(NoAnswer, match="centroid"):
            await aggregated(Centroid(), none)


class Broken:
    """A similarity that gives what it was made with."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.closed = False

    async def between(self, texts: Sequence[str]) -> Any:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def aclose(self) -> None:
        self.closed = True

    def __repr__(self) -> str:
        return "Broken()"


@pytest.mark.parametrize(
    "given", [RuntimeError("no endpoint"), [], [[1.0]], [[1, float("nan")], [1, 1]], None], ids=str
)
async def test_a_similarity_that_fails(given: Any) -> None:
    """The vote answers instead, and says so."""
    answer = await chosen(["#### 4", "#### 4.0"], similarity=Broken(given))
    assert answer.answer in {"4", "4.0"}
    assert [(d.code, d.where) for d in answer.degraded] == [("aggregator_failed", "aggregate: centroid")]


async def test_an_injected_similarity_sees_each_text_once() -> None:
    """So that an endpoint of embeddings is asked once; it is closed with the aggregator."""
    broken = Broken([[1.0, 0.9, 0.1], [0.9, 1.0, 0.8], [0.1, 0.8, 1.0]])
    aggregator = Centroid(broken)
    answer = await aggregated(aggregator, [candidate(i, t) for i, t in enumerate("abcb")])
    assert answer.text == "b"
    await aggregator.aclose()
    assert broken.closed


async def test_long_texts_are_compared_in_part_and_say_so() -> None:
    """Their text is given whole; hostile lengths cost what the limit costs."""
    long = "word " * 400_000
    answer = await chosen([long, long + "end", "short"], max_characters=400)
    assert len(answer.text) > 1_000_000
    assert [d.code for d in answer.degraded] == ["candidate_cut"] * 2
    assert all(len(c.answer) <= 80 for c in answer.tally)


def test_bad_parameters_are_named() -> None:
    """One clear error."""
    with pytest.raises(BadInput, match="max_characters=0"):
        Centroid(max_characters=0)
    with pytest.raises(BadInput, match="order=0"):
        ChrF(order=0)
