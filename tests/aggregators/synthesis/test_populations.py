"""Recursive self-aggregation and debate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorate.orchestrator.context import Budget, RunContext

from quorate.aggregators import Debate, MajorityVote, RandomMember, RecursiveSelfAggregation
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

from .cases import aggregation, boxed, vote


def solutions(question: Question) -> list[str]:
    """The candidates that a prompt of recursive self-aggregation shows."""
    text = question.messages[-1].text.rsplit("\n\nNow write", 1)[0]
    return [part.split("\n", 1)[1].strip() for part in text.split("\nCandidate ")[1:]]


@settings(max_examples=25, deadline=None)
@given(answers=st.lists(st.integers(0, 3), min_size=1, max_size=8), seed=st.integers(0, 9))
async def test_without_rounds_both_are_the_vote(answers: list[int], seed: int) -> None:
    """T = 0 and no debate: text, answer and tally of `MajorityVote` under the same seed, and no call."""
    model = ScriptedModel()
    run = RunContext(seed=seed, stage="aggregate")
    voted = await aggregation(vote(), boxed(*answers), run)
    rsa = RecursiveSelfAggregation(model, loops=0, fallback=vote())
    for aggregator in (rsa, Debate(model, rounds=0, fallback=vote())):
        got = await aggregation(aggregator, boxed(*answers), run)
        assert (got.text, got.answer, got.prompt_version) == (voted.text, voted.answer, None)
        assert {c.voters for c in got.tally} == {c.voters for c in voted.tally}
    assert model.asked == []


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 9), subset=st.integers(1, 6), loops=st.integers(1, 3))
async def test_each_loop_renews_every_member_from_a_subset(n: int, subset: int, loops: int) -> None:
    """N calls a loop, each over K different members of the loop before (all, where fewer are left)."""
    model = ScriptedModel(lambda _, i: f"loop member {i}")
    aggregator = RecursiveSelfAggregation(model, subset=subset, loops=loops, fallback=vote())
    answer = await aggregation(aggregator, boxed(*range(n)))
    assert len(model.asked) == n * loops
    for number, asked in enumerate(model.asked):
        shown = solutions(asked)
        assert len(shown) == len(set(shown)) == min(subset, n)
        assert all(text.startswith("I say" if number < n else "loop member") for text in shown)
    assert [s.stage for s in answer.nodes] == [f"aggregate/loop-{t + 1}" for t in range(loops)]


async def test_subsets_are_drawn_by_the_seed() -> None:
    """The same seed draws the same, another one differently, and one loop unlike the next."""

    async def drawn(seed: int) -> list[list[str]]:
        model = ScriptedModel(lambda _, i: f"I say \\boxed{{{i}}}")
        aggregator = RecursiveSelfAggregation(model, subset=2, loops=2, fallback=vote())
        await aggregation(aggregator, boxed(*range(6)), RunContext(seed=seed, stage="aggregate", live=False))
        return [solutions(asked) for asked in model.asked]

    first = await drawn(1)
    assert first == await drawn(1) != await drawn(2)
    assert first[:6] != first[6:]


async def test_the_last_population_votes() -> None:
    """Its majority wins, whatever the candidates said; the tally stays theirs."""
    model = ScriptedModel(["\\boxed{7}", "\\boxed{8}", "\\boxed{7}"])
    answer = await aggregation(RecursiveSelfAggregation(model, loops=1, fallback=vote()), boxed(1, 1, 1))
    assert (answer.answer, answer.text) == ("7", "\\boxed{7}")
    assert [(c.answer, c.votes) for c in answer.tally] == [("1", 3)]
    assert (answer.prompt_version or "").startswith("rsa@")


async def test_or_a_random_member_is_the_answer() -> None:
    """The paper's other end: the seed draws one."""
    model = ScriptedModel(lambda _, i: f"\\boxed{{{i}}}")
    aggregator = RecursiveSelfAggregation(model, loops=1, final=RandomMember(), fallback=vote())
    found = {
        (await aggregation(aggregator, boxed(1, 1, 1), RunContext(seed=s, stage="aggregate", live=False))).answer
        for s in range(20)
    }
    assert found == {"0", "1", "2"}


async def test_a_member_that_fails_keeps_its_place() -> None:
    """The population stays as large as it was, with the predecessor there."""

    def line(_: Question, index: int) -> str | Failure:
        return Failure(code="boom", message="no luck") if index == 1 else "\\boxed{7}"

    model = ScriptedModel(line)
    answer = await aggregation(RecursiveSelfAggregation(model, subset=3, loops=2, fallback=vote()), boxed(1, 2, 3))
    assert len(model.asked) == 6
    assert sorted(solutions(model.asked[-1])) == ["I say \\boxed{2}", "\\boxed{7}", "\\boxed{7}"]
    assert answer.answer == "7"
    assert [n.where for n in answer.degraded] == ["aggregate/loop-1: scripted #1", "aggregate/loop-2: scripted #1"]


async def test_rounds_end_where_nobody_answers() -> None:
    """A model that is gone is not asked again in every loop."""
    model = ScriptedModel([Failure(code="boom", message="no luck")])
    answer = await aggregation(RecursiveSelfAggregation(model, loops=10, fallback=vote()), boxed(1, 2, 2))
    assert len(model.asked) == 3
    assert answer.answer == "2"
    assert answer.degraded[0].code == "aggregator_failed"


async def test_out_of_budget_the_members_that_came_vote() -> None:
    """New members where they ended, their predecessors elsewhere."""
    model = ScriptedModel(["\\boxed{7}"])
    once = RunContext(seed=1, stage="aggregate", live=False)
    await aggregation(RecursiveSelfAggregation(model, loops=1, fallback=vote()), boxed(1, 1, 1), once)
    short = RunContext(seed=1, stage="aggregate", live=False, budget=Budget(tokens=once.ledger.usage.total_tokens + 20))
    answer = await aggregation(RecursiveSelfAggregation(model, loops=9, fallback=vote()), boxed(1, 1, 1), short)
    assert (answer.answer, answer.degraded[0].code) == ("7", "budget_exhausted")
    assert len(model.asked) < 3 * 9


async def test_debaters_read_themselves_and_the_others() -> None:
    """Own last answer as the assistant's, the others' in the request; thinking stays private."""
    model = ScriptedModel(lambda _, i: f"<think>secret</think>revised {i}")
    answer = await aggregation(Debate(model, rounds=2, fallback=vote()), boxed(1, 2, 3))
    assert len(model.asked) == 6
    for asked in model.asked[:3]:
        question, own, request = asked.messages
        assert (question.text, own.role, request.role) == ("What?", "assistant", "user")
        assert own.text not in request.text
        assert request.text.count("I say") == 2
    second = model.asked[3].messages
    assert second[1].text == "revised 0"
    assert "revised 1" in second[2].text
    assert "revised 2" in second[2].text
    assert "I say" not in second[2].text
    assert [s.stage for s in answer.nodes] == ["aggregate/round-1", "aggregate/round-2"]


async def test_each_agent_goes_on_with_its_own_answer_and_role() -> None:
    """Model i modulo their number wrote candidate i; roles are dealt after the caller's system message."""
    a, b = ScriptedModel(["a again"], name="a"), ScriptedModel(["b again"], name="b")
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}])
    debate = Debate([a, b], rounds=1, roles=["You doubt.", "You calculate."], fallback=vote())
    await aggregation(debate, boxed(1, 2, 3), question=question)
    owns = {asked.messages[2].text for asked in a.asked}
    assert owns == {"I say \\boxed{1}", "I say \\boxed{3}"}
    assert [asked.messages[2].text for asked in b.asked] == ["I say \\boxed{2}"]
    roles = sorted(asked.messages[0].text for asked in (*a.asked, *b.asked))
    assert roles == ["Be brief.\n\nYou calculate.", "Be brief.\n\nYou doubt.", "Be brief.\n\nYou doubt."]


async def test_a_debater_who_said_nothing_aloud_still_hears() -> None:
    """Without an answer of its own an agent sees the others' alone."""
    model = ScriptedModel(["\\boxed{7}"])
    candidates = boxed(1, 2)
    candidates[1] = candidates[1].model_copy(update={"text": "<think>hm"})
    await aggregation(Debate(model, rounds=1, fallback=vote()), candidates)
    assert sorted(len(asked.messages) for asked in model.asked) == [2, 3]


def test_impossible_populations() -> None:
    """Each mistake names its parameter."""
    model = ScriptedModel()
    with pytest.raises(BadInput, match="subset=0"):
        RecursiveSelfAggregation(model, subset=0)
    with pytest.raises(BadInput, match="loops=-1"):
        RecursiveSelfAggregation(model, loops=-1)
    with pytest.raises(BadInput, match="rounds=-1"):
        Debate(model, rounds=-1)
    with pytest.raises(BadInput, match="at least one model"):
        Debate([])
    for roles in ("You doubt.", [" "]):
        with pytest.raises(BadInput, match="list of texts"):
            Debate(model, roles=roles)


def test_the_vote_is_the_default_end() -> None:
    """Of both."""
    assert isinstance(Debate(ScriptedModel()).final, MajorityVote)
