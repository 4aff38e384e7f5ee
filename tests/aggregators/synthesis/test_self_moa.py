"""Synthesis by a model, and what happens when that model fails."""

from __future__ import annotations

import pytest

from quorate import sample
from quorate.aggregators import MajorityVote, SelfMoA
from quorate.aggregators.synthesis.context import allocate, truncate_middle
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, QuorateError, RateLimited
from quorate.orchestrator.events import AnswerToken, Done, Event
from quorate.orchestrator.types import Answer, Candidate, Question
from quorate.orchestrator.usage import Usage
from tests.orchestrator.fakes import Texts

from ..helpers import Exact, Writer, aggregate_at_node, candidate, failed, happened

CANDIDATES = [
    candidate(0, "<think>secret</think>\\boxed{3}"),
    candidate(1, "\\boxed{4}"),
    candidate(2, "So \\boxed{4}"),
    failed(3),
]


def moa(*words: str | Exception, **options: object) -> SelfMoA:
    return SelfMoA(Writer(*words), fallback=MajorityVote(equivalence=Exact()), **options)  # type: ignore[arg-type]


def told(events: list[Event]) -> tuple[str, str, Answer]:
    """Streamed text, streamed thinking, answer; nothing else may have been streamed."""
    *tokens, done = events
    assert isinstance(done, Done)
    assert all(isinstance(token, AnswerToken) for token in tokens)
    pieces = [token for token in tokens if isinstance(token, AnswerToken)]
    text = "".join(t.text for t in pieces if not t.reasoning)
    return text, "".join(t.text for t in pieces if t.reasoning), done.answer


async def test_streams_the_model_and_ends_in_its_answer() -> None:
    """Tokens come as they are; the answer is extracted and carries the candidates' tally."""
    text, _, answer = told(await happened(moa("It is ", "\\boxed{5}", "."), CANDIDATES))
    assert text == answer.text == "It is \\boxed{5}."
    assert answer.answer == "5"
    assert [(c.answer, c.votes) for c in answer.tally] == [("4", 2), ("3", 1)]
    assert [c.text for c in answer.candidates] == [c.text for c in CANDIDATES]
    assert answer.degraded == ()


async def test_what_the_model_is_asked() -> None:
    """A system prompt with every ok candidate, numbered and without its thinking, then the conversation."""
    model = Writer("x")
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two and two?"}])
    await happened(SelfMoA(model), CANDIDATES, RunContext(seed=7, node="aggregate"), question)
    [asked] = model.asked
    system, user = asked.messages
    assert (system.role, user.role, user.text) == ("system", "user", "Two and two?")
    assert system.text.startswith("Be brief.")
    for wanted in ("Attempt 1:", "Attempt 2:", "Attempt 3:", "\\boxed{3}", "So \\boxed{4}"):
        assert wanted in system.text
    for unwanted in ("Attempt 4:", "secret", "\\boxed{1}"):
        assert unwanted not in system.text
    [inner] = model.runs
    assert inner.seed == asked.sampling.seed != 7


async def test_the_order_of_the_attempts_is_drawn_by_the_seed() -> None:
    """It does not depend on that of the candidates, and differs between seeds."""

    async def prompt(candidates: list[Candidate], seed: int) -> str:
        model = Writer("x")
        await aggregate_at_node(SelfMoA(model), candidates, RunContext(seed=seed, node="aggregate"))
        return model.asked[0].messages[0].text

    assert await prompt([*CANDIDATES], 1) == await prompt([*reversed(CANDIDATES)], 1)
    assert len({await prompt([*CANDIDATES], seed) for seed in range(20)}) > 1


async def test_usage_is_booked_once_under_the_aggregators_stage() -> None:
    """Whatever stage the model itself is in, and whatever it calls inside."""
    run = RunContext(node="aggregate")
    _, _, answer = told(await happened(moa("a", "b"), CANDIDATES, run))
    [entry] = run.ledger.nodes
    assert (entry.node, entry.model, entry.usage.completion_tokens) == ("aggregate", "writer", 2)
    assert answer.usage == run.ledger.usage == Usage(completion_tokens=2, requests=1)


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((RateLimited("slow down"),), "slow down"),
        ((ValueError("bug"),), "ValueError: bug"),
        ((), "empty answer"),
        ((" ", "\n"), "empty answer"),
        ((" ", RateLimited("slow down")), "slow down"),
    ],
)
async def test_a_model_that_says_nothing_is_replaced_by_the_vote(
    words: tuple[str | Exception, ...], why: str, live: bool
) -> None:
    """The answer is the fallback's, nothing else was streamed, and the answer says so."""
    text, _, answer = told(await happened(moa(*words), CANDIDATES, RunContext(node="aggregate", live=live)))
    assert (text, answer.text, answer.answer) == ("", "\\boxed{4}", "4")
    [note] = answer.degraded
    assert (note.code, note.where) == ("aggregator_failed", "aggregate: self-moa")
    assert why in note.detail


async def test_a_model_that_never_ends_its_stream_properly_is_replaced() -> None:
    """Without `Done` there is no answer of the model."""
    _, _, answer = told(await happened(SelfMoA(Writer(done=False), fallback=MajorityVote()), CANDIDATES))
    assert (answer.answer, answer.degraded[0].code) == ("4", "aggregator_failed")


async def test_thinking_that_was_streamed_stays_with_the_fallback() -> None:
    """What somebody has read of the thinking is the answer's, whoever gave the text."""
    text, thinking, answer = told(await happened(moa("~hm", QuorateError("gone")), CANDIDATES))
    assert (text, thinking) == ("", "hm")
    assert (answer.text, answer.reasoning) == ("\\boxed{4}", "hm")


async def test_a_failure_in_the_middle_of_a_text_that_is_read_live() -> None:
    """Joined tokens stay the answer's text; it is marked, and finished by an error."""
    text, _, answer = told(await happened(moa("It is 5", " or", QuorateError("gone")), CANDIDATES))
    assert text == answer.text == "It is 5 or"
    assert (answer.answer, answer.finish_reason) == ("5", "error")
    assert [(n.code, n.detail) for n in answer.degraded] == [("aggregator_failed", "gone")]


async def test_a_failure_in_the_middle_that_nobody_reads() -> None:
    """Without live readers the vote answers in full."""
    run = RunContext(node="aggregate", live=False)
    _, _, answer = told(await happened(moa("It is", QuorateError("gone")), CANDIDATES, run))
    assert (answer.text, answer.answer, answer.finish_reason) == ("\\boxed{4}", "4", "stop")


async def test_out_of_budget_the_model_is_not_asked() -> None:
    """The vote answers, marked as what it is."""
    run = RunContext(node="aggregate", budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    synthesis = moa("never")
    _, _, answer = told(await happened(synthesis, CANDIDATES, run))
    assert (answer.answer, answer.degraded[0].code) == ("4", "budget_exhausted")
    assert isinstance(synthesis.aggregator, Writer)
    assert synthesis.aggregator.asked == []


async def test_long_candidates_are_cut_in_the_middle_and_that_is_told() -> None:
    """Short ones stay whole; the cut one keeps its beginning and its end."""
    long = "start " + "x" * 5000 + " \\boxed{9}"
    synthesis = moa("ok", max_context_tokens=100)
    _, _, answer = told(await happened(synthesis, [candidate(0, "short \\boxed{8}"), candidate(1, long)]))
    [note] = answer.degraded
    assert (note.code, note.where) == ("candidate_cut", "aggregate: writer #1")
    assert isinstance(synthesis.aggregator, Writer)
    words = synthesis.aggregator.asked[0].messages[0].text
    assert "short \\boxed{8}" in words
    assert "start x" in words
    assert "\\boxed{9}" in words
    assert "characters cut" in words
    assert len(words) < 2000


def test_shares_and_cuts() -> None:
    """Room is shared fairly, never beyond the limit, and the mark tells how much is missing."""
    assert allocate([10, 1000, 2000], 310) == [10, 150, 150]
    assert allocate([5, 5], 100) == [5, 5]
    assert allocate([], 5) == []
    assert allocate([10, 10], 0) == [0, 0]
    assert truncate_middle("abcdefghi", 6) == "ab\n[... 3 characters cut ...]\nfghi"
    assert truncate_middle("abc", 0) == "\n[... 3 characters cut ...]\n"


async def test_nothing_to_synthesize() -> None:
    """Without any ok candidate there is no answer."""
    with pytest.raises(NoAnswer, match="all 1 candidates failed"):
        await happened(moa("x"), [failed(0)])


async def test_a_prompt_of_ones_own() -> None:
    """The prompt can be replaced; one that cannot be read is the caller's fault, at once."""
    synthesis = moa("x", overrides={"self-moa": "{{ responses | length }} attempts"})
    await aggregate_at_node(synthesis, CANDIDATES)
    assert isinstance(synthesis.aggregator, Writer)
    assert synthesis.aggregator.asked[0].messages[0].text == "3 attempts"
    with pytest.raises(BadInput, match="line 1"):
        moa(overrides={"self-moa": "{% if"})
    with pytest.raises(BadInput, match="'nonsense' is undefined"):
        moa(overrides={"self-moa": "{{ nonsense }}"})
    with pytest.raises(BadInput, match="max_context_tokens"):
        moa(max_context_tokens=0)


async def test_in_a_pipeline_it_closes_what_it_opened() -> None:
    """Pipeline, stages and closing: the aggregator is a part like any other."""
    writer = Writer("It is \\boxed{5}")
    pipeline = sample(Texts("\\boxed{4}", "\\boxed{5}"), n=2) | SelfMoA(aggregator=writer)
    async with pipeline:
        answer = await pipeline.answer("?", seed=3)
    assert (answer.model, answer.answer) == ("self-moa@2/texts", "5")
    assert [(entry.node, entry.model) for entry in answer.nodes] == [("sample", "texts"), ("aggregate", "writer")]
    assert writer.closed
