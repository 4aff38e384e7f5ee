"""Recursive self-aggregation and debate."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators import MajorityVote, RandomMember, debate, recursive_self_aggregation
from quorate.orchestrator.checkpoints import Checkpoints
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

from ..helpers import aggregate_at_node
from .cases import answer_from, boxed, proposals, vote


def solutions(question: Question) -> list[str]:
    """The candidates that a prompt of recursive self-aggregation shows."""
    text = question.messages[-1].text.rsplit("\n\nNow write", 1)[0]
    return [part.split("\n", 1)[1].strip() for part in text.split("\nCandidate ")[1:]]


def rsa(n: int, model: ScriptedModel, *, subset: int | None = None, loops: int = 10) -> Pipeline:
    return recursive_self_aggregation(proposals(n), model, subset=subset, loops=loops, final=vote())


@settings(max_examples=25, deadline=None)
@given(answers=st.lists(st.integers(0, 3), min_size=1, max_size=8), seed=st.integers(0, 9))
async def test_without_rounds_both_are_the_vote(answers: list[int], seed: int) -> None:
    """T = 0 and no debate: text, answer and tally of `MajorityVote` under the same seed, and no call."""
    model, n = ScriptedModel(), len(answers)
    voted = await aggregate_at_node(vote(), boxed(*answers), RunContext(seed=seed, node="aggregate", live=False))
    for pipeline in (rsa(n, model, loops=0), debate(proposals(n, model), rounds=0, final=vote())):
        got = await answer_from(pipeline, boxed(*answers), RunContext(seed=seed))
        assert (got.text, got.answer, got.prompt_version) == (voted.text, voted.answer, None)
        assert {c.voters for c in got.tally} == {c.voters for c in voted.tally}
    assert model.asked == []


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 9), subset=st.integers(1, 6), loops=st.integers(1, 3))
async def test_each_loop_renews_every_member_from_a_subset(n: int, subset: int, loops: int) -> None:
    """N calls a loop, each over K different members of the loop before (all, where fewer are left)."""
    model = ScriptedModel(lambda _, i: f"loop member {i}")
    answer = await answer_from(rsa(9, model, subset=subset, loops=loops).with_n(n), boxed(*range(n)))
    assert len(model.asked) == n * loops
    for number, asked in enumerate(model.asked):
        shown = solutions(asked)
        assert len(shown) == len(set(shown)) == min(subset, n)
        assert all(text.startswith("I say" if number < n else "loop member") for text in shown)
    assert [entry.node for entry in answer.nodes] == ["loop"]
    assert [visit.node for visit in answer.path] == ["sample", *["loop"] * loops, "aggregate"]


async def test_subsets_are_drawn_by_the_seed() -> None:
    """The same seed draws the same, another one differently, and one loop unlike the next."""

    async def drawn(seed: int) -> list[list[str]]:
        model = ScriptedModel(lambda _, i: f"I say \\boxed{{{i}}}")
        await answer_from(rsa(6, model, subset=2, loops=2), boxed(*range(6)), RunContext(seed=seed, live=False))
        return [solutions(asked) for asked in model.asked]

    first = await drawn(1)
    assert first == await drawn(1) != await drawn(2)
    assert first[:6] != first[6:]


async def test_the_last_population_votes() -> None:
    """Its majority wins, whatever the candidates said; candidates and tally are its own."""
    model = ScriptedModel(["\\boxed{7}", "\\boxed{8}", "\\boxed{7}"])
    answer = await answer_from(rsa(3, model, loops=1), boxed(1, 1, 1))
    assert (answer.answer, answer.text) == ("7", "\\boxed{7}")
    assert [(c.answer, c.votes) for c in answer.tally] == [("7", 2), ("8", 1)]
    assert answer.winner is not None
    assert answer.winner.text == answer.text
    assert (answer.prompt_version or "").startswith("rsa@")


async def test_or_a_random_member_is_the_answer() -> None:
    """The paper's other end: the seed draws one."""
    model = ScriptedModel(lambda _, i: f"\\boxed{{{i}}}")
    pipeline = recursive_self_aggregation(proposals(3), model, loops=1, final=RandomMember(vote()))
    found = {(await answer_from(pipeline, boxed(1, 1, 1), RunContext(seed=s, live=False))).answer for s in range(20)}
    assert found == {"0", "1", "2"}


async def test_a_member_that_fails_keeps_its_place() -> None:
    """The population stays as large as it was, with the predecessor there."""

    def line(_: Question, index: int) -> str | Failure:
        return Failure(code="boom", message="no luck") if index == 1 else "\\boxed{7}"

    model = ScriptedModel(line)
    answer = await answer_from(rsa(3, model, subset=3, loops=2), boxed(1, 2, 3))
    assert len(model.asked) == 6
    assert sorted(solutions(model.asked[-1])) == ["I say \\boxed{2}", "\\boxed{7}", "\\boxed{7}"]
    assert answer.answer == "7"
    assert [(n.code, n.where) for n in answer.degraded] == [
        ("member_failed", "loop-1: scripted #1"),
        ("member_failed", "loop-2: scripted #1"),
    ]


async def test_rounds_end_where_nobody_answers() -> None:
    """A model that is gone is not asked again in every loop."""
    model = ScriptedModel([Failure(code="boom", message="no luck")])
    answer = await answer_from(rsa(3, model), boxed(1, 2, 2))
    assert len(model.asked) == 3
    assert answer.answer == "2"
    assert answer.degraded[0].code == "aggregator_failed"


async def test_out_of_budget_the_members_that_came_vote() -> None:
    """New members where they ended, their predecessors elsewhere."""
    model = ScriptedModel(["\\boxed{7}"])
    once = RunContext(seed=1, live=False)
    await answer_from(rsa(3, model, loops=1), boxed(1, 1, 1), once)
    short = RunContext(seed=1, live=False, budget=Budget(tokens=once.ledger.usage.total_tokens + 20))
    answer = await answer_from(rsa(3, model, loops=9), boxed(1, 1, 1), short)
    assert (answer.answer, answer.degraded[0].code) == ("7", "budget_exhausted")
    assert len(model.asked) < 3 * 9


async def test_a_limit_of_samples_makes_the_population_small_and_the_rounds_no_fewer() -> None:
    """`Budget(samples=)` bounds each round, not how many there are."""
    model = ScriptedModel(["\\boxed{7}"])
    run = RunContext(seed=1, live=False, budget=Budget(samples=2))
    answer = await rsa(5, model, subset=3, loops=4).answer(Question.of("?"), run)
    assert (len(model.asked), len(answer.candidates)) == (2 * 4, 2)


@pytest.mark.parametrize("name", ["rsa", "debate"])
async def test_a_run_that_broke_goes_on_at_the_round_where_it_was(name: str, tmp_path: Path) -> None:
    """Finished rounds are neither asked nor paid for again, and the answer is that of a run that did not break."""

    def revised(question: Question, index: int) -> str:
        return f"\\boxed{{{(len(question.messages[-1].text) + index) % 5}}}"

    def build(model: ScriptedModel) -> Pipeline:
        if name == "debate":
            return debate(proposals(3, model), rounds=3, final=vote())
        return recursive_self_aggregation(proposals(3, model), model, subset=2, loops=3, final=vote())

    begun = iter(range(100))
    killed = ScriptedModel(lambda question, index: None if next(begun) >= 9 else revised(question, index))
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        task = asyncio.create_task(build(killed).answer("What?", seed=1, checkpoints=kept, thread="t"))
        while len(killed.asked) < 12:  # noqa: ASYNC110 - a model in memory has no event to wait for
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    whole, again = ScriptedModel(revised), ScriptedModel(revised)
    async with Checkpoints(tmp_path / "runs.sqlite") as kept:
        resumed = await build(again).answer("What?", seed=1, checkpoints=kept, thread="t")
    expected = await build(whole).answer("What?", seed=1)
    assert len(again.asked) == 3
    assert (resumed.text, resumed.usage, resumed.tally) == (expected.text, expected.usage, expected.tally)
    assert [visit.node for visit in resumed.path] == [visit.node for visit in expected.path]


async def test_debaters_read_themselves_and_the_others() -> None:
    """Own last answer as the assistant's, the others' in the request; thinking stays private."""
    model = ScriptedModel(lambda _, i: f"<think>secret</think>revised {i}")
    answer = await answer_from(debate(proposals(3, model), rounds=2, final=vote()), boxed(1, 2, 3))
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
    assert [visit.node for visit in answer.path] == ["sample", "round", "round", "aggregate"]


async def test_each_agent_goes_on_with_its_own_answer_and_role() -> None:
    """Model i modulo their number wrote candidate i; roles are dealt after the caller's system message."""
    a, b = ScriptedModel(["a again"], name="a"), ScriptedModel(["b again"], name="b")
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What?"}])
    pipeline = debate(proposals(3, a, b), rounds=1, roles=["You doubt.", "You calculate."], final=vote())
    await answer_from(pipeline, boxed(1, 2, 3), question=question)
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
    await answer_from(debate(proposals(2, model), rounds=1, final=vote()), candidates)
    assert sorted(len(asked.messages) for asked in model.asked) == [2, 3]


def test_impossible_populations() -> None:
    """Each mistake names its parameter."""
    model = ScriptedModel()
    with pytest.raises(BadInput, match="subset=0"):
        recursive_self_aggregation(proposals(2), model, subset=0)
    with pytest.raises(BadInput, match="subset=3 of n=2"):
        recursive_self_aggregation(proposals(2), model, subset=3)
    with pytest.raises(BadInput, match="loops=-1"):
        recursive_self_aggregation(proposals(2), model, loops=-1)
    with pytest.raises(BadInput, match="rounds=-1"):
        debate(proposals(2), rounds=-1)
    for roles in ("You doubt.", [" "]):
        with pytest.raises(BadInput, match="list of texts"):
            debate(proposals(2), roles=roles)


def test_the_vote_is_the_default_end() -> None:
    """Of both."""
    assert isinstance(debate(proposals(2)).aggregator, MajorityVote)
    assert isinstance(recursive_self_aggregation(proposals(2), ScriptedModel()).aggregator, MajorityVote)
