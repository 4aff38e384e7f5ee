"""The laws of the vote."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Pipeline, sample
from quorate.aggregators import AnswerExtractor, Choices, MajorityVote
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import TallyChanged
from quorate.orchestrator.types import Candidate
from tests.orchestrator.fakes import Texts

from .helpers import Exact, aggregated, candidate, counter_of, failed, happened, tallied

TEXTS = st.sampled_from(
    [
        "\\boxed{18}",
        "It is \\boxed{18.0}, surely",
        "#### 18",
        "The answer is $18.",
        "\\boxed{\\frac{1}{2}}",
        "so 0.5",
        "50%",
        "(B)",
        "\\boxed{Paris}",
        "I cannot tell",
        "",
    ]
)
FINISHES = st.sampled_from(["stop", "length", "cancelled"])


@st.composite
def candidate_lists(draw: st.DrawFn) -> list[Candidate]:
    """At least one that is ok, others ok, failed or cancelled."""
    drawn = draw(st.lists(st.one_of(st.none(), st.tuples(TEXTS, FINISHES)), max_size=9))
    rest = [failed(i) if one is None else candidate(i, one[0], finish=one[1]) for i, one in enumerate(drawn)]  # type: ignore[arg-type]
    return [*rest, candidate(len(rest), draw(TEXTS))]


def vote() -> MajorityVote:
    return MajorityVote(equivalence=Exact())


@given(candidate_lists(), st.randoms(use_true_random=False), st.integers(0, 3))
async def test_the_order_of_the_candidates_does_not_matter(
    candidates: list[Candidate], shuffler: random.Random, seed: int
) -> None:
    """Text, answer, tally, reasons: all are the same for any order, ties included."""
    shuffled = list(candidates)
    shuffler.shuffle(shuffled)
    first, second = await aggregated(vote(), candidates, seed), await aggregated(vote(), shuffled, seed)
    assert first.replace(candidates=()) == second.replace(candidates=())


@given(candidate_lists(), st.randoms(use_true_random=False))
async def test_renumbering_the_candidates_changes_no_text(candidates: list[Candidate], shuffler: random.Random) -> None:
    """Who said it first does not matter either."""
    numbers = list(range(len(candidates)))
    shuffler.shuffle(numbers)
    renumbered = [c.model_copy(update={"index": n}) for c, n in zip(candidates, numbers, strict=True)]
    first, second = await aggregated(vote(), candidates), await aggregated(vote(), renumbered)
    assert (first.text, first.answer) == (second.text, second.answer)
    assert [(c.answer, c.votes) for c in first.tally] == [(c.answer, c.votes) for c in second.tally]


@given(candidate_lists(), st.sampled_from(["abstains", "failed", "cancelled"]))
async def test_who_abstains_changes_nothing(candidates: list[Candidate], how: str) -> None:
    """An abstention, a failure and a cut-off candidate vote for nothing."""
    index = len(candidates)
    more = {
        "abstains": candidate(index, "I do not know."),
        "failed": failed(index),
        "cancelled": candidate(index, "\\boxed{18}", finish="cancelled"),
    }[how]
    before, after = await aggregated(vote(), candidates), await aggregated(vote(), [*candidates, more])
    assert after.tally == before.tally
    if before.tally:
        assert (after.text, after.answer) == (before.text, before.answer)


@given(candidate_lists())
async def test_the_winner_is_real(candidates: list[Candidate]) -> None:
    """The text is an ok candidate's, one of the heaviest class, and votes add up."""
    answer = await aggregated(vote(), candidates)
    assert answer.text in {c.text for c in candidates if c.ok}
    if answer.tally:
        assert answer.tally[0].weight == max(c.weight for c in answer.tally)
        assert answer.text in {candidates[v].text for v in answer.tally[0].voters}
        voters = [v for cluster in answer.tally for v in cluster.voters]
        assert len(voters) == len(set(voters)) == sum(c.votes for c in answer.tally)


async def test_plurality_wins_over_spellings() -> None:
    """Equivalent spellings are one class under the commonest of them; its text spells it so."""
    texts = ["\\boxed{18.0}", "It is \\boxed{18}.", "So \\boxed{18}", "\\boxed{7}", "\\boxed{7}"]
    answer = await aggregated(vote(), [candidate(i, text) for i, text in enumerate(texts)])
    assert (answer.answer, answer.text) == ("18", "So \\boxed{18}")
    assert [(c.answer, c.votes, c.voters) for c in answer.tally] == [("18", 3, (0, 1, 2)), ("7", 2, (3, 4))]


async def test_a_candidate_of_one() -> None:
    """With k = 1 the vote is the candidate, with its thinking and its finish reason."""
    answer = await aggregated(vote(), [candidate(0, "\\boxed{18}", finish="length", reasoning="hm")])
    assert (answer.text, answer.answer, answer.reasoning) == ("\\boxed{18}", "18", "hm")
    assert answer.finish_reason == "length"


async def test_one_that_ended_by_itself_speaks_for_its_class() -> None:
    """A cut-off text of the same class is not shown, though it is shorter."""
    texts = [candidate(0, "18", finish="length"), candidate(1, "It is 18")]
    assert (await aggregated(vote(), texts)).text == "It is 18"


async def test_all_abstain() -> None:
    """Some real text is given, without an answer, and marked."""
    answer = await aggregated(vote(), [candidate(0, "I wonder why"), candidate(1, "No idea"), failed(2)])
    assert (answer.text, answer.answer, answer.tally) == ("No idea", None, ())
    [note] = answer.degraded
    assert (note.code, note.where) == ("all_abstained", "aggregate: majority")
    assert "2 candidates" in note.detail


async def test_all_failed() -> None:
    """Without any ok candidate there is no answer to give."""
    with pytest.raises(NoAnswer, match="all 2 candidates failed"):
        await happened(vote(), [failed(0), failed(1)])


async def test_ties_are_drawn_by_the_seed() -> None:
    """The same seed draws the same winner; over seeds, every tied class wins about as often."""
    candidates = [candidate(i, f"\\boxed{{{answer}}}") for i, answer in enumerate([3, 5, 8, 8, 5, 3, 9])]
    winners = [(await aggregated(vote(), candidates, seed)).answer for seed in range(200)]
    assert winners == [(await aggregated(vote(), candidates, seed)).answer for seed in range(200)]
    counts = {answer: winners.count(answer) for answer in set(winners)}
    assert set(counts) == {"3", "5", "8"}
    assert min(counts.values()) > 40
    answer = await aggregated(vote(), candidates, None)
    assert answer.tally[0].answer == answer.answer


async def test_ties_prefer_no_kind_of_answer() -> None:
    """With one seed and many different ties, the smaller number wins about half of the time."""
    smaller = 0
    for low in range(100):
        candidates = [candidate(0, f"\\boxed{{{low}}}"), candidate(1, f"\\boxed{{{low + 1000}}}")]
        smaller += (await aggregated(vote(), candidates)).answer == str(low)
    assert 30 <= smaller <= 70


async def test_an_answer_that_is_there_already_counts() -> None:
    """What a pipeline or a recording extracted is not read again; an empty one abstains."""
    candidates = [candidate(0, "\\boxed{1}", answer="2"), candidate(1, "\\boxed{1}", answer="")]
    assert [c.answer for c in await tallied(vote(), candidates)] == ["2"]


async def test_tallying_many_candidates_again_and_again_stays_quick() -> None:
    """A tally after each of 256 candidates asks no worker and reads each text once."""
    read: list[str] = []

    class Reads:
        def extract(self, text: str) -> str | None:
            read.append(text)
            return text or None

    majority = MajorityVote(Reads(), Exact())
    candidates = [candidate(i, f"{i % 40 + i} apples" if i % 5 else "") for i in range(256)]
    counter = counter_of(majority)
    for n in range(1, len(candidates) + 1):
        tally = await counter.tally(candidates[:n])
    assert sum(cluster.votes for cluster in tally) == sum(1 for c in candidates if c.text)
    assert len(read) == len({c.text for c in candidates})


async def test_in_a_pipeline() -> None:
    """It composes, tallies while samples arrive, and satisfies its protocols."""
    majority = MajorityVote(Choices("ABCD"), Exact())
    assert counter_of(majority).extract(candidate(0, "(A)")) == "A"
    pipeline = sample(Texts("(A)", "(B)", "The answer is B", "?!"), n=4) | majority
    assert isinstance(pipeline, Pipeline)
    answer = await pipeline.answer("Which?")
    assert (answer.answer, answer.model) == ("B", "majority@4/texts")
    assert [c.votes for c in answer.tally] == [2, 1]


class Spy:
    """An extractor and an equivalence that note what they are asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.partitions: list[list[str]] = []

    def extract(self, text: str) -> str | None:
        self.texts.append(text)
        return text.rsplit(maxsplit=1)[-1] if text else None

    async def classes(self, answers: Sequence[str]) -> list[int]:
        self.partitions.append(list(answers))
        return list(range(len(answers)))


async def test_a_plain_answer_is_read_and_counted_once() -> None:
    """Each text once, and one partition of the distinct answers, whatever the number of candidates."""
    spy = Spy()
    pipeline = sample(Texts("it is 1", "I say 2", "so 1"), n=3) | MajorityVote(spy, spy)
    answer = await pipeline.answer("Which?", seed=1)
    assert answer.answer == "1"
    assert sorted(spy.texts) == ["I say 2", "it is 1", "so 1"]
    assert spy.partitions == [["1", "2"]]


async def test_live_the_count_is_updated_and_not_begun_anew() -> None:
    """Each text once; the equivalence is asked only when an answer comes that is not among those seen."""
    spy = Spy()
    pipeline = sample(Texts("it is 1", "I say 2", "so 1", "thus 2", "or 1"), n=5) | MajorityVote(spy, spy)
    events = [event async for event in pipeline.events("Which?", seed=1)]
    tallies = [[c.votes for c in event.tally] for event in events if isinstance(event, TallyChanged)]
    assert tallies == [[1], [1, 1], [2, 1], [2, 2], [3, 2]]
    assert len(spy.texts) == 5
    assert spy.partitions == [["1"], ["1", "2"]]


async def test_the_partition_is_of_the_answers_at_hand() -> None:
    """A counter that is asked of fewer candidates again does not remember what it saw of the others."""
    spy = Spy()
    counter = counter_of(MajorityVote(spy, spy))
    candidates = [candidate(0, "so 1"), candidate(1, "so 2")]
    await counter.tally(candidates)
    assert [c.answer for c in await counter.tally(candidates[:1])] == ["1"]
    assert spy.partitions == [["1", "2"], ["1"]]


async def test_the_winner_is_the_candidate_and_not_one_that_reads_alike() -> None:
    """Two models say the same words; the one that is selected is the one whose answer it is."""
    alike = [candidate(i, "so \\boxed{1}").model_copy(update={"model": model}) for i, model in enumerate("ba")]
    answer = await aggregated(vote(), [*alike, candidate(2, "\\boxed{2}")])
    assert (answer.selected, answer.model) == (1, "a")
    assert answer.winner is not None
    assert answer.winner.model == "a"


async def test_any_equivalence_will_do() -> None:
    """A class of the user's own decides what counts as one, and need not be closed."""

    class ByLength:
        async def classes(self, answers: Sequence[str]) -> list[int]:
            return [len(answer) for answer in answers]

    majority = MajorityVote(equivalence=ByLength())
    candidates = [candidate(0, "", answer="ab"), candidate(1, "", answer="cd"), candidate(2, "", answer="e")]
    assert [c.votes for c in await tallied(majority, candidates)] == [2, 1]
    await majority.aclose()
    assert repr(majority) == "MajorityVote()"


@pytest.mark.parametrize(
    ("texts", "code", "detail"),
    [
        (["4", "5"], "tied", "2 answers with 1 vote each lead; the seed drew one of them"),
        (["4", "4", "5", "5", "6"], "tied", "2 answers with 2 votes each lead; the seed drew one of them"),
        (["4", "", ""], "lone_vote", "1 of 3 candidates states an answer"),
        (["4", "4", "5"], None, ""),
        (["4"], None, ""),
    ],
)
async def test_a_vote_that_decides_nothing_says_so(texts: list[str], code: str | None, detail: str) -> None:
    """A tie that the seed drew, or a single vote of several candidates."""
    candidates = [candidate(i, f"\\boxed{{{text}}}" if text else "I do not know.") for i, text in enumerate(texts)]
    answer = await aggregated(MajorityVote(AnswerExtractor(), Exact()), candidates)
    assert [(d.code, d.detail) for d in answer.degraded] == ([(code, detail)] if code else [])
