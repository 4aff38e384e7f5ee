"""What holds for every synthesizer and for the gate."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorate.orchestrator.context import Budget, RunContext

from quorate import sample
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import AnswerToken, Done
from quorate.orchestrator.protocols import Aggregator, Calling, VoteCounter
from quorate.orchestrator.types import Candidate, Failure, Question, Usage
from quorate.testing import ScriptedModel

from ..helpers import candidate, failed
from .cases import MAKERS, Make, Seeded, aggregation, boxed

SPLIT = boxed(3, 4, 4)

every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def prompts(model: ScriptedModel) -> list[str]:
    return sorted("\n".join(m.text for m in asked.messages) for asked in model.asked)


@every
async def test_the_model_decides(make: Make) -> None:
    """Its answer wins over the vote; candidates and their tally stay those that were sampled."""
    answer = await aggregation(make(ScriptedModel(["It is \\boxed{7}"])), SPLIT)
    assert (answer.text, answer.answer, answer.degraded) == ("It is \\boxed{7}", "7", ())
    assert answer.candidates == tuple(SPLIT)
    assert [(c.answer, c.voters) for c in answer.tally] == [("4", (1, 2)), ("3", (0,))]
    assert answer.prompt_version is not None


@every
async def test_one_candidate(make: Make) -> None:
    """Everything works for k = 1; a debate has nobody to debate with and asks nothing."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregation(make(model), boxed(3))
    assert answer.answer == ("7" if model.asked else "3")


@every
async def test_all_abstain(make: Make) -> None:
    """Texts without an answer can be synthesized all the same."""
    answer = await aggregation(make(ScriptedModel(["\\boxed{7}"])), [candidate(0, "hm"), candidate(1, "well")])
    assert answer.answer == "7"
    assert answer.tally == ()


@every
async def test_all_failed_but_one(make: Make) -> None:
    """Failed candidates are never read."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await aggregation(make(model), [failed(0), *[boxed(3, 4)[1]], failed(2)])
    assert answer.answer in ("7", "4")
    assert not any("boxed{1}" in prompt for prompt in prompts(model))


@every
@pytest.mark.parametrize("candidates", [[], [failed(0)]])
async def test_nothing_to_synthesize(make: Make, candidates: list[Candidate]) -> None:
    """No candidate, or none that is ok, is an error with its count."""
    with pytest.raises(NoAnswer, match=f"all {len(candidates)} candidates failed"):
        await aggregation(make(ScriptedModel()), candidates)


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_order_does_not_matter(make: Make, data: st.DataObject) -> None:
    """The same candidates in any order give the same prompts and the same answer under one seed."""
    candidates = boxed(*data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6)))
    shuffled = data.draw(st.permutations(candidates))

    def outcome(order: list[Candidate]) -> tuple[str, list[str]]:
        model = ScriptedModel(lambda question, _: f"\\boxed{{{len(question.messages[-1].text)}}}")
        return asyncio.run(aggregation(make(model), order)).text, prompts(model)

    assert outcome(candidates) == outcome(shuffled)


@every
async def test_one_seed_one_answer(make: Make) -> None:
    """Two runs agree byte for byte, but for the clock."""

    async def once(seed: int) -> str:
        model = ScriptedModel(lambda q, i: f"{q.sampling.seed} {i} \\boxed{{7}}")
        answer = await aggregation(make(model), SPLIT, RunContext(seed=seed, stage="aggregate", live=False))
        return answer.model_dump_json(exclude={"candidates"})

    assert await once(1) == await once(1)
    assert await once(1) != await once(2)


@every
async def test_every_call_has_a_seed_of_its_own(make: Make) -> None:
    """Derived by layer, round and member; without a seed the backend draws."""
    model = Seeded(["\\boxed{7}"])
    await aggregation(make(model), SPLIT)
    assert len(set(model.seeds)) == len(model.seeds) == len(model.asked)
    free = Seeded(["\\boxed{7}"])
    await aggregation(make(free), SPLIT, RunContext(stage="aggregate", live=False))
    assert free.seeds[0] is None


@every
async def test_a_model_that_always_fails(make: Make) -> None:
    """The vote answers, and says so once and who failed."""
    answer = await aggregation(make(ScriptedModel([Failure(code="boom", message="no luck")])), SPLIT)
    assert (answer.answer, answer.prompt_version) == ("4", None)
    assert sum(note.code == "aggregator_failed" for note in answer.degraded) == 1
    assert any("no luck" in note.detail for note in answer.degraded)


@every
async def test_a_model_that_crashes_or_says_nothing(make: Make) -> None:
    """A bug in a model and an empty answer are failures like any other."""
    for line in (ValueError("bug"), " \n"):
        answer = await aggregation(make(ScriptedModel([line])), SPLIT)
        assert answer.answer == "4"
        assert "aggregator_failed" in {note.code for note in answer.degraded}


@every
async def test_one_failing_member(make: Make) -> None:
    """One call that fails is a value: the rest goes on, and where the last one stands it answers."""
    calls = iter(range(1000))

    def line(_: Question, __: int) -> str | Failure:
        return Failure(code="boom", message="no luck") if next(calls) == 0 else "\\boxed{7}"

    model = ScriptedModel(line)
    answer = await aggregation(make(model), boxed(1, 2, 3, 4, 5, 6))
    if len(model.asked) > 1:
        assert answer.answer == "7"
        assert [n.code for n in answer.degraded][:1] == ["member_failed"]


@every
async def test_out_of_budget_before(make: Make) -> None:
    """No call is made; the vote answers, marked."""
    run = RunContext(seed=1, stage="aggregate", budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    model = ScriptedModel()
    answer = await aggregation(make(model), SPLIT, run)
    assert (answer.answer, model.asked) == ("4", [])
    assert answer.degraded[0].code == "budget_exhausted"


@every
async def test_out_of_budget_in_the_middle(make: Make) -> None:
    """The best answer so far is given and marked; not every call was made."""
    whole = ScriptedModel(["word " * 30 + "\\boxed{4}"])
    await aggregation(make(whole), SPLIT)
    if len(whole.asked) == 1:
        return
    model = ScriptedModel(["word " * 30 + "\\boxed{4}"])
    run = RunContext(seed=1, stage="aggregate", budget=Budget(tokens=100))
    answer = await aggregation(make(model), SPLIT, run)
    assert answer.answer == "4"
    assert answer.degraded[0].code == "budget_exhausted"
    assert len(model.asked) < len(whole.asked)


@every
async def test_out_of_time(make: Make) -> None:
    """A model that never ends is cut off by the clock, and the vote answers."""
    run = RunContext(seed=1, stage="aggregate", live=False, budget=Budget(seconds=0.05))
    answer = await aggregation(make(ScriptedModel([None])), SPLIT, run)
    assert answer.answer == "4"
    assert answer.degraded


@every
async def test_thinking_is_not_passed_on(make: Make) -> None:
    """Neither that of the candidates nor that of later layers reaches a prompt."""
    model = ScriptedModel(["<think>secret</think>\\boxed{7}"])
    await aggregation(make(model), SPLIT)
    assert not any("secret" in prompt for prompt in prompts(model))


@every
async def test_candidates_of_nothing_but_thinking(make: Make) -> None:
    """Those that say nothing are left out and named."""
    silent = candidate(1, "<think>and so on")
    answer = await aggregation(make(ScriptedModel(["\\boxed{7}"])), [*boxed(3), silent])
    notes = [note for note in answer.degraded if note.code == "candidate_cut"]
    assert notes
    assert all("nothing outside its thinking" in note.detail for note in notes)


@every
async def test_prompts_are_bounded_whatever_the_candidates(make: Make) -> None:
    """Long texts are cut to the room in every prompt, and each cut is told."""
    model = ScriptedModel(lambda *_: "again " * 1000 + "\\boxed{7}")
    long = [candidate(i, f"{i} " + "x" * 5000 + f"\\boxed{{{i}}}") for i in range(8)]
    answer = await aggregation(make(model, max_context_tokens=200), long)
    assert max(map(len, prompts(model))) < 200 * 3 + 8 * 40 + 1500
    assert {note.code for note in answer.degraded} == {"candidate_cut"}


@every
async def test_format_and_tools_of_the_question_are_kept(make: Make) -> None:
    """Every inner call is made under the settings and in the format that the caller asked for."""
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two and two?"}])
    question = question.model_copy(update={"response_format": {"type": "json_object"}, "tools": ({"type": "x"},)})
    model = ScriptedModel(["\\boxed{7}"])
    await aggregation(make(model), SPLIT, question=question.with_params(temperature=0.3))
    for asked in model.asked:
        assert (asked.response_format, asked.tools) == (question.response_format, question.tools)
        assert asked.sampling.temperature == 0.3
        assert asked.messages[0].text.startswith("Be brief.")
        assert any("Two and two?" in m.text for m in asked.messages if m.role == "user")


@every
async def test_usage_is_counted_once(make: Make) -> None:
    """In the ledger under the aggregate stage or one inside it."""
    model = ScriptedModel(["\\boxed{7}"])
    run = RunContext(seed=1, stage="aggregate", live=False)
    answer = await aggregation(make(model), SPLIT, run)
    assert answer.usage == run.ledger.usage
    assert run.ledger.usage.requests == len(model.asked)
    assert all(stage.stage.partition("/")[0] == "aggregate" for stage in answer.nodes)


@every
async def test_cancelled_it_leaves_nothing(make: Make) -> None:
    """Whoever stops listening stops every inner call."""
    before, model = asyncio.all_tasks(), ScriptedModel([None])
    task = asyncio.create_task(aggregation(make(model), SPLIT))
    for _ in range(50):
        await asyncio.sleep(0)
    assert model.asked
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


@every
async def test_streams_joined_are_the_text(make: Make) -> None:
    """Tokens of the last synthesis, or none where a vote decides."""
    events = [
        event
        async for event in make(ScriptedModel(["It is \\boxed{7}"])).aggregate(
            Question.of("?"), SPLIT, RunContext(seed=1, stage="aggregate")
        )
    ]
    *tokens, done = events
    assert isinstance(done, Done)
    joined = "".join(t.text for t in tokens if isinstance(t, AnswerToken))
    assert joined in ("", done.answer.text)
    assert all(isinstance(t, AnswerToken) for t in tokens)


@every
async def test_in_a_pipeline(make: Make) -> None:
    """`sample | aggregate` under its own name, tallying while it samples; it closes what it opened."""
    model = ScriptedModel(["\\boxed{1}", "\\boxed{2}"])
    aggregator = make(model)
    assert isinstance(aggregator, VoteCounter)
    pipeline = sample(model, n=2) | aggregator
    async with pipeline:
        answer = await pipeline.answer("?", seed=3)
    assert pipeline.name == f"{aggregator.name}@2/scripted"
    assert len(answer.candidates) == 2
    assert answer.usage.requests == len(model.asked)


@every
@pytest.mark.parametrize("n", [1, 2, 5, 9])
async def test_the_calls_are_bounded_as_told(make: Make, n: int) -> None:
    """`calls(n)` is what limits on requests count; where nothing fails and all candidates differ it is exact."""
    model = ScriptedModel(["\\boxed{7}"])
    aggregator = make(model)
    assert isinstance(aggregator, Calling)
    await aggregation(aggregator, boxed(*range(n)))
    assert len(model.asked) in (aggregator.calls(n), 0 if n == 1 else -1)
    assert model in aggregator.models


@every
def test_they_show_what_they_are(make: Make) -> None:
    """A repr for logs, with the model's name."""
    aggregator: Aggregator = make(ScriptedModel())
    assert "scripted" in repr(aggregator)
