"""What holds for every judge: seeds, order, bad input, failure, cutting, money, leaving."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate import sample
from quorate.aggregators import GenSelect, JudgeRunOff, Knockout, StructuredVote, Swiss, UniversalSelfConsistency
from quorate.aggregators.judges import Judge
from quorate.aggregators.judges.model import JUDGE_TOKENS
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer, RateLimited
from quorate.orchestrator.events import Done
from quorate.orchestrator.model import ModelBase
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Answer, Candidate, Question, SamplingParams
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel
from tests.aggregators.helpers import aggregated, candidate, failed, happened

from .helpers import boxed, numbers, prefers, says, vote

ALL: tuple[type[Judge], ...] = (UniversalSelfConsistency, GenSelect, Knockout, Swiss, JudgeRunOff)
every = pytest.mark.parametrize("kind", ALL)
AGAIN = "No single verdict can be read"
CANDIDATES = [*boxed(3, 4, 4), failed(3)]


def built(kind: type[Judge], judge: ScriptedModel, **settings: object) -> Judge:
    return kind(judge, fallback=vote(), **settings)  # type: ignore[arg-type]


@every
async def test_a_judge_can_overrule_the_vote(kind: type[Judge]) -> None:
    """The answer is the chosen candidate's, with its text, all candidates and the plain tally."""
    answer = await aggregated(built(kind, prefers(lambda n: -n)), CANDIDATES)
    assert (answer.text, answer.answer) == ("it is \\boxed{3}", "3")
    assert [c.text for c in answer.candidates] == [c.text for c in CANDIDATES]
    assert [(c.answer, c.votes) for c in answer.tally] == [("4", 2), ("3", 1)]
    assert answer.degraded == ()


@every
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Chosen: 7", "Chosen: 7"),
        ("Chosen: 0", "Chosen: 0"),
        ("I do not know", "I do not know"),
        ("", "empty answer"),
        ("<think>Chosen: 1</think>", "empty answer"),
        ("<think>Chosen: 1", "empty answer"),
        (RateLimited("slow down"), "slow down"),
        (ValueError("bug"), "ValueError: bug"),
    ],
)
async def test_a_judge_that_decides_nothing(kind: type[Judge], line: str | Exception, why: str) -> None:
    """Out of range, garbage, nothing, an error: the vote answers, and the answer says so."""
    judge = says(line)
    answer = await aggregated(built(kind, judge), CANDIDATES)
    assert answer.answer == "4"
    [note] = answer.degraded
    assert (note.code, note.where) == ("aggregator_failed", f"aggregate: {kind.name}")
    assert why in note.detail
    assert any(AGAIN in q.text for q in judge.asked) is not isinstance(line, Exception)


@every
async def test_an_unread_verdict_is_asked_for_once_more(kind: type[Judge]) -> None:
    """In the same conversation, and the second reply decides; what it costs is booked like the first."""

    def line(question: Question, index: int) -> str:
        if AGAIN not in question.text:
            return "It is 1 or 2."
        assert [message.role for message in question.messages] == ["user", "assistant", "user"]
        assert "Chosen: " in question.text
        shown = numbers(question.with_messages(question.messages[0]))
        return f"{1 + shown.index(min(shown))}"

    judge = ScriptedModel(line, name="judge")
    run = RunContext(seed=7, node="aggregate")
    [event] = await happened(built(kind, judge), CANDIDATES, run)
    assert isinstance(event, Done)
    assert (event.answer.answer, event.answer.degraded) == ("3", ())
    assert sum(AGAIN in q.text for q in judge.asked) == len(judge.asked) / 2
    assert run.ledger.usage.requests == len(judge.asked)


@every
async def test_a_judge_has_settings_of_its_own(kind: type[Judge]) -> None:
    """Greedy and short, whatever the caller allows; where its thinking takes all of that, the answer says so."""
    asked: list[Question] = []

    class Thinking(ModelBase):
        name = "judge"

        async def _answer(self, question: Question, run: RunContext) -> Answer:
            asked.append(question)
            return Answer(text="<think>Let me see", model=self.name, finish_reason="length")

    question = Question.of("What?").with_params(max_tokens=9000, temperature=1.5)
    run = RunContext(seed=7, node="aggregate")
    [event] = await happened(kind(Thinking(), fallback=vote()), CANDIDATES, run, question)
    assert isinstance(event, Done)
    assert {(q.sampling.temperature, q.sampling.max_tokens) for q in asked} == {(0.0, JUDGE_TOKENS)}
    assert not any(AGAIN in q.text for q in asked)
    assert "raise max_tokens" in event.answer.degraded[0].detail


@every
async def test_one_candidate_needs_no_judge(kind: type[Judge]) -> None:
    """It is the answer."""
    judge = says("Chosen: 1")
    assert (await aggregated(built(kind, judge), [*boxed(7), failed(1)])).answer == "7"
    assert judge.asked == []


@every
async def test_all_abstain_or_say_nothing(kind: type[Judge]) -> None:
    """Texts without an answer can be judged; empty ones and mere thinking are not shown."""
    mute = built(kind, says("Chosen: 2"))
    answer = await aggregated(mute, [candidate(0, ""), candidate(1, "<think>2")])
    assert (answer.answer, [note.code for note in answer.degraded]) == (None, ["all_abstained"])
    answer = await aggregated(mute, [candidate(0, "who knows"), candidate(1, "not me")])
    assert answer.text in ("who knows", "not me")


@every
@pytest.mark.parametrize("candidates", [[], [failed(0), failed(1)]])
async def test_no_candidate_no_answer(kind: type[Judge], candidates: list[Candidate]) -> None:
    """Nothing to judge is an error that says so."""
    with pytest.raises(NoAnswer, match=f"all {len(candidates)} candidates failed"):
        await aggregated(built(kind, says("Chosen: 1")), candidates)


@every
async def test_the_order_shown_is_drawn_by_the_seed_alone(kind: type[Judge]) -> None:
    """Even a judge that looks at nothing but places gives the same answer whatever order candidates came in."""
    candidates, orders = boxed(1, 2, 3, 4, 5), set()
    for seed in range(6):
        forth, back = says("Chosen: 1"), says("Chosen: 1")
        one = await aggregated(built(kind, forth), candidates, seed)
        other = await aggregated(built(kind, back), candidates[::-1], seed)
        assert one.text == other.text
        assert sorted(q.text for q in forth.asked) == sorted(q.text for q in back.asked)
        orders.add(tuple(numbers(forth.asked[0])))
    assert len(orders) > 1 or kind is JudgeRunOff


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(0, 10**6))
def test_a_judge_without_bias_is_indifferent_to_order(answers: list[int], seed: int) -> None:
    """Every kind, on any candidates, in any order."""
    candidates = boxed(*answers)
    mixed = candidates.copy()
    random.Random(seed).shuffle(mixed)

    async def law() -> None:
        for kind in ALL:
            judge = built(kind, prefers(lambda n: n))
            one, other = await aggregated(judge, candidates, seed), await aggregated(judge, mixed, seed)
            assert (one.text, one.answer, one.tally) == (other.text, other.answer, other.tally)

    asyncio.run(law())


@every
async def test_what_a_judge_reads_and_with_what_settings(kind: type[Judge]) -> None:
    """The whole conversation, candidates without their thinking; not the caller's settings, tools or format."""
    judge = says("Chosen: 1")
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two and two?"}])
    question = question.model_copy(
        update={"sampling": SamplingParams(max_tokens=3, stop=("x",)), "response_format": {"type": "json_object"}}
    )
    candidates = [candidate(0, "<think>secret</think>\\boxed{3}"), *boxed(0, 4)[1:], failed(2)]
    own = built(kind, judge, sampling=SamplingParams(temperature=0))
    await happened(own, candidates, RunContext(seed=7, node="aggregate"), question)
    for asked in judge.asked:
        assert asked.response_format is None
        assert asked.sampling == SamplingParams(temperature=0, seed=asked.sampling.seed)
        assert asked.sampling.seed != 7
        [message] = asked.messages
        assert message.role == "user"
        assert "Be brief." in message.text
        assert "Two and two?" in message.text
        assert sorted(numbers(asked)) == [3, 4]
        assert "secret" not in message.text


@every
async def test_long_candidates_are_cut_and_that_is_told_once(kind: type[Judge]) -> None:
    """Their middle goes, their beginning and end stay; the note names the candidate."""
    judge = says("Chosen: 1")
    long = "start " + "x" * 5000 + " \\boxed{9}"
    answer = await aggregated(built(kind, judge, max_context_tokens=100), [*boxed(8), candidate(1, long)])
    assert [(n.code, n.where) for n in answer.degraded] == [("candidate_cut", "aggregate: judge #1")]
    for asked in judge.asked:
        assert "start x" in asked.text
        assert sorted(numbers(asked)) == [8, 9]
        assert "characters cut" in asked.text
        assert len(asked.text) < 2000


@every
async def test_calls_are_booked_once_under_the_aggregators_stage(kind: type[Judge]) -> None:
    """As many requests as were made, and no more."""
    judge = prefers(lambda n: n)
    pipeline = sample(ScriptedModel(["\\boxed{1}", "\\boxed{2}", "\\boxed{3}"]), n=3) | built(kind, judge)
    async with pipeline:
        answer = await pipeline.answer("?", seed=3)
    [booked] = [s for s in answer.nodes if s.model == "judge"]
    assert booked.node == "aggregate"
    assert booked.usage.requests == len(judge.asked) > 0
    assert answer.usage == Usage.total(s.usage for s in answer.nodes)


@every
async def test_no_more_calls_than_it_tells(kind: type[Judge]) -> None:
    """Limits on what a request may cost rely on it."""
    for n in (1, 2, 3, 5, 8):
        judge = prefers(lambda n: n)
        aggregator = built(kind, judge)
        await aggregated(aggregator, boxed(*range(n)))
        assert len(judge.asked) <= aggregator.calls(n)
        assert aggregator.models == (judge,)


@every
async def test_tool_calls_are_judged_like_texts(kind: type[Judge]) -> None:
    """Shown as JSON, counted by value where the fallback does, and passed on as they are."""
    calls = [{"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in range(2)]
    candidates = [candidate(i, "").model_copy(update={"tool_calls": (call,)}) for i, call in enumerate(calls)]
    candidates.append(candidate(2, "No call, \\boxed{4}"))
    judge = ScriptedModel(
        lambda q, i: "Chosen: 1" if q.text.index('"name"') < q.text.index("No call,") else "Chosen: 2"
    )
    chosen = await aggregated(kind(judge, fallback=StructuredVote(vote())), candidates)
    assert chosen.tool_calls
    assert [c.votes for c in chosen.tally] == [2, 1]


@every
async def test_without_budget_nobody_is_asked(kind: type[Judge]) -> None:
    """The vote answers, marked as what it is."""
    run = RunContext(node="aggregate", budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    judge = says("Chosen: 1")
    [event] = await happened(built(kind, judge), CANDIDATES, run)
    assert isinstance(event, Done)
    assert (event.answer.answer, [n.code for n in event.answer.degraded]) == ("4", ["budget_exhausted"])
    assert judge.asked == []


@every
async def test_leaving_cancels_every_call(kind: type[Judge]) -> None:
    """Nothing goes on when the caller has gone."""
    closed = 0

    class Endless(ScriptedModel):
        async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
            nonlocal closed
            try:
                await super().sample(question, slots, run)
            finally:
                closed += 1

    judge = Endless([None], name="judge")
    task = asyncio.create_task(happened(built(kind, judge), CANDIDATES))
    while not judge.asked:  # noqa: ASYNC110 - a model in memory has no event to wait for
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == len(judge.asked)


@every
async def test_a_deadline_ends_the_judge(kind: type[Judge]) -> None:
    """One that never answers is given up when the time is up."""
    run = RunContext(node="aggregate", budget=Budget(seconds=0.2))
    judge = ScriptedModel([None], name="judge")
    [event] = await happened(built(kind, judge), CANDIDATES, run)
    assert isinstance(event, Done)
    assert (event.answer.answer, [n.code for n in event.answer.degraded]) == ("4", ["budget_exhausted"])


@every
@pytest.mark.parametrize("setting", ["max_context_tokens", "concurrency"])
def test_settings_are_checked(kind: type[Judge], setting: str) -> None:
    """Impossible ones are the caller's fault, at once; so is a prompt that cannot be used."""
    with pytest.raises(BadInput, match=f"{setting}=0"):
        built(kind, says("x"), **{setting: 0})
    with pytest.raises(BadInput, match="no_such_thing"):
        built(kind, says("x"), overrides={kind.prompt_name: "{{ no_such_thing }}"})
