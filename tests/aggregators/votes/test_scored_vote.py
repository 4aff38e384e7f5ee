"""Best-of-N and votes by a verifier's scores."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate import sample
from quorate.agents import RewardModel
from quorate.agents.endpoint import RetryPolicy
from quorate.aggregators import BestOfN, Borda, ByConfidence, MajorityOfTheBests, ScoredVote, ScoreSum
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, RateLimited
from quorate.orchestrator.events import Done
from quorate.orchestrator.protocols import Verifier
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Received, Reply, ScriptedModel, ScriptedUpstream, Step
from tests.aggregators.helpers import Exact, aggregated, candidate, failed, happened, tallied

Kind = Callable[..., ScoredVote]


def best_of_n(verifier: Verifier, concurrency: int = 16) -> ScoredVote:
    return BestOfN(verifier, name="best-of-n", equivalence=Exact(), concurrency=concurrency)


def score_sum(verifier: Verifier, concurrency: int = 16) -> ScoredVote:
    return ScoredVote(verifier, ScoreSum(), equivalence=Exact(), concurrency=concurrency)


def softmax(verifier: Verifier, temperature: float = 1.0, concurrency: int = 16) -> ScoredVote:
    return ScoredVote(verifier, ByConfidence(temperature), equivalence=Exact(), concurrency=concurrency)


def borda(verifier: Verifier, power: float = 0.5, concurrency: int = 16) -> ScoredVote:
    return ScoredVote(verifier, Borda(power), equivalence=Exact(), concurrency=concurrency)


def majority_of_bests(verifier: Verifier, m: int | None = None, concurrency: int = 16) -> ScoredVote:
    return ScoredVote(verifier, MajorityOfTheBests(m), equivalence=Exact(), concurrency=concurrency)


KINDS: tuple[Kind, ...] = (best_of_n, score_sum, softmax, borda, majority_of_bests)
every = pytest.mark.parametrize("kind", KINDS)


def boxed(*answers: object) -> list[Candidate]:
    return [candidate(i, f"it is \\boxed{{{answer}}}") for i, answer in enumerate(answers)]


class Table:
    """A verifier that looks scores up by index, or raises what stands there."""

    def __init__(self, scores: Mapping[int, float | Exception]) -> None:
        self.scores = scores
        self.asked: list[int] = []

    async def score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
        self.asked.append(candidate.index)
        score = self.scores[candidate.index]
        if isinstance(score, Exception):
            raise score
        return score


def built(kind: Kind, *scores: float | Exception, concurrency: int = 16) -> ScoredVote:
    return kind(Table(dict(enumerate(scores))), concurrency=concurrency)


async def test_the_highest_score_wins() -> None:
    """Whatever the votes say; they are still told."""
    answer = await aggregated(built(best_of_n, 0.1, 0.2, 0.9), boxed(1, 1, 2))
    assert (answer.answer, answer.text) == ("2", "it is \\boxed{2}")
    assert [(c.answer, c.votes) for c in answer.tally] == [("1", 2), ("2", 1)]


async def test_scores_of_one_answer_add_up() -> None:
    """Several fair ones beat one good one; the text is that of the best of them."""
    candidates = [candidate(0, "a \\boxed{1}"), candidate(1, "bb \\boxed{1}"), candidate(2, "\\boxed{2}")]
    answer = await aggregated(built(score_sum, 0.5, 0.6, 0.9), candidates)
    assert (answer.answer, answer.text) == ("1", "bb \\boxed{1}")
    assert [(c.answer, c.weight) for c in answer.tally] == [("1", pytest.approx(1.1)), ("2", 0.9)]


async def test_negative_scores_count_from_the_lowest() -> None:
    """More votes never weigh less."""
    assert ScoreSum().values([-3, -1, 2]) == [0, 2, 5]
    assert ScoreSum().values([1, 2]) == [1, 2]
    answer = await aggregated(built(score_sum, -1.0, -1.0, -0.5, -9.0), boxed(1, 1, 2, 3))
    assert answer.answer == "1"


async def test_softmax_lies_between_best_and_plurality() -> None:
    """By its temperature; shifts and huge scores change nothing."""
    for temperature, answer in ((0.01, "2"), (100.0, "1")):
        verifier = Table({0: 1000.1, 1: 1000.2, 2: 1000.9})
        assert (await aggregated(softmax(verifier, temperature), boxed(1, 1, 2))).answer == answer
    assert ByConfidence().values([1.0, 2.0]) == pytest.approx(ByConfidence().values([-999.0, -998.0]))
    assert sum(ByConfidence().values([5.0, 800.0, -800.0])) == pytest.approx(1)


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, RateLimited("slow down"), KeyError("bug")])
async def test_a_candidate_without_a_score_is_left_out_and_told(kind: Kind, bad: float | Exception) -> None:
    """NaN, infinity, an error of the verifier."""
    answer = await aggregated(built(kind, bad, 0.2, 0.1), boxed(1, 2, 3))
    assert answer.answer == "2"
    assert [(n.code, n.where) for n in answer.degraded] == [("score_missing", f"aggregate: {built(kind).name} #0")]


@every
async def test_without_any_score_the_vote_answers(kind: Kind) -> None:
    """Marked as what it is."""
    answer = await aggregated(built(kind, *[RateLimited("slow down")] * 3), boxed(1, 1, 2))
    assert answer.answer == "1"
    assert [note.code for note in answer.degraded] == ["aggregator_failed", *["score_missing"] * 3]


@every
async def test_one_candidate_all_abstain_none(kind: Kind) -> None:
    """One needs no score; texts without an answer go by score; no candidate is an error."""
    alone = built(kind, KeyError("not asked"))
    assert (await aggregated(alone, [*boxed(1), failed(1)])).answer == "1"
    answer = await aggregated(built(kind, 0.1, 0.9), [candidate(0, "who knows"), candidate(1, "not me")])
    assert (answer.text, answer.answer) == ("not me", None)
    for nobody in ([], [failed(0)]):
        with pytest.raises(NoAnswer, match="candidates failed"):
            await aggregated(alone, nobody)


@every
async def test_out_of_budget_nothing_is_scored(kind: Kind) -> None:
    """The vote answers, marked."""
    run = RunContext(node="aggregate", budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    aggregator = built(kind, 0.1, 0.1, 0.9)
    [event] = await happened(aggregator, boxed(1, 1, 2), run)
    assert isinstance(event, Done)
    assert (event.answer.answer, event.answer.degraded[0].code) == ("1", "budget_exhausted")
    assert isinstance(aggregator.verifier, Table)
    assert aggregator.verifier.asked == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(-9, 9)), min_size=1, max_size=8),
    st.integers(0, 10**6),
)
def test_order_does_not_matter(drawn: list[tuple[int, float]], seed: int) -> None:
    """The same candidates with the same scores give the same answer in any order."""
    candidates = boxed(*(answer for answer, _ in drawn))
    mixed = candidates.copy()
    random.Random(seed).shuffle(mixed)

    async def law() -> None:
        for kind in KINDS:
            aggregator = built(kind, *(score for _, score in drawn))
            one, other = await aggregated(aggregator, candidates, seed), await aggregated(aggregator, mixed, seed)
            assert (one.text, one.answer, one.tally) == (other.text, other.answer, other.tally)

    asyncio.run(law())


async def test_equal_sums_are_drawn_by_the_seed() -> None:
    """No answer is preferred for what it is."""
    drawn = [(await aggregated(built(score_sum, 0.5, 0.5), boxed(1, 2), seed)).answer for seed in range(12)]
    assert set(drawn) == {"1", "2"}


async def test_doubt_is_told_as_by_a_plain_vote() -> None:
    """Equal sums and a lone voter are degraded; a highest score is a decision."""
    tie, lone = boxed(1, 2), [*boxed(1), candidate(1, "I do not know."), candidate(2, "Nor do I.")]
    for kind, candidates, codes in (
        (score_sum, tie, ["tied"]),
        (best_of_n, tie, []),
        (score_sum, boxed(1, 1), []),
        (score_sum, lone, ["lone_vote"]),
    ):
        answer = await aggregated(built(kind, *([0.5] * len(candidates))), candidates)
        assert [note.code for note in answer.degraded] == codes
    [note] = (await aggregated(built(score_sum, 0.5, 0.25, 0.25), boxed(1, 2, 2))).degraded
    assert note.detail == "2 answers with 1 vote and as much weight lead; the seed drew one of them"


async def test_a_reward_model_over_http_in_a_pipeline() -> None:
    """Scored concurrently, booked once under the aggregator's node; a failing score is told; all is closed."""

    def reply(request: Received) -> Step:
        text = request.body["messages"][-1]["content"]
        return Fault.status(400, "too long") if "3" in text else Reply("0.9" if "2" in text else "0.1", usage=(7, 0))

    async with ScriptedUpstream(reply) as up:
        verifier = RewardModel("rm", base_url=up.url, retries=RetryPolicy(attempts=1))
        texts = ScriptedModel(["\\boxed{1}", "\\boxed{1}", "\\boxed{2}", "\\boxed{3}"])
        async with sample(texts, n=4) | best_of_n(verifier) as pipeline:
            answer = await pipeline.answer("Which?")
        await up.wait_until(lambda up: up.in_flight == 0)
    assert answer.answer == "2"
    [booked] = [s for s in answer.nodes if s.model == "rm"]
    assert (booked.node, booked.usage.prompt_tokens, booked.usage.requests) == ("aggregate", 21, 4)
    [note] = answer.degraded
    assert note.code == "score_missing"
    assert "too long" in note.detail


async def test_leaving_cancels_every_score() -> None:
    """The server sees all clients go."""
    async with ScriptedUpstream(Fault.hang()) as up, RewardModel("rm", base_url=up.url) as verifier:
        task = asyncio.create_task(happened(best_of_n(verifier), boxed(1, 2, 3)))
        await up.wait_until(lambda up: up.in_flight == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.wait_until(lambda up: up.in_flight == 0)
        assert all(request.disconnected for request in up.requests)


async def test_a_deadline_ends_the_scoring() -> None:
    """Scores that came in time count."""

    class Slow(Table):
        async def score(self, question: Question, candidate: Candidate, run: RunContext) -> float:
            if candidate.index == 2:
                await asyncio.Event().wait()
            return await super().score(question, candidate, run)

    run = RunContext(node="aggregate", budget=Budget(seconds=0.2))
    aggregator = best_of_n(Slow({0: 0.1, 1: 0.5, 2: 0.9}))
    [event] = await happened(aggregator, boxed(1, 2, 3), run)
    assert isinstance(event, Done)
    assert event.answer.answer == "2"
    assert {note.code for note in event.answer.degraded} == {"budget_exhausted", "score_missing"}


@every
def test_settings_are_checked(kind: Kind) -> None:
    """Impossible ones are the caller's fault, at once."""
    with pytest.raises(BadInput, match="concurrency=0"):
        built(kind, concurrency=0)
    for temperature in (0, -1, math.inf, math.nan):
        with pytest.raises(BadInput, match="temperature"):
            ByConfidence(temperature)


def ranked(*votes: tuple[float, str | None]) -> tuple[Table, list[Candidate]]:
    """A verifier, and candidates of which it has these scores."""
    candidates = [candidate(i, f"{score} points", answer=answer or "") for i, (score, answer) in enumerate(votes)]
    return Table({i: score for i, (score, _) in enumerate(votes)}), candidates


async def test_a_verifier_ranks_the_votes() -> None:
    """Borda lets the first two beat three last ones when rank counts much, and not when it counts little."""
    verifier, votes = ranked((9, "1"), (8, "1"), (3, "2"), (2, "2"), (1, "2"))
    assert (await aggregated(borda(verifier, 1.0), votes)).answer == "1"
    assert (await aggregated(borda(verifier, 0.1), votes)).answer == "2"
    assert (await aggregated(majority_of_bests(verifier, 1), votes)).answer == "2"
    assert (await aggregated(majority_of_bests(verifier, 3), votes)).answer == "1"


async def test_who_states_no_answer_is_not_ranked() -> None:
    """It takes no place from a vote, unless nobody states one."""
    verifier, votes = ranked((9, None), (8, "1"), (7, "2"))
    answer = await aggregated(borda(verifier, 1.0), votes)
    assert [(c.answer, c.weight) for c in answer.tally] == [("1", 2.0), ("2", 1.0)]
    verifier, votes = ranked((1, None), (8, None))
    assert (await aggregated(borda(verifier), votes)).text == "8 points"


async def test_while_candidates_come_plain_votes_are_counted() -> None:
    """A verifier costs something, so it is asked in the end only."""
    verifier, votes = ranked((9, "1"), (1, "2"), (1, "2"))
    assert [c.weight for c in await tallied(score_sum(verifier), votes)] == [2.0, 1.0]
    assert verifier.asked == []
