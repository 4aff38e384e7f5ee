"""What holds for every synthesizer and for the gate."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.drawing import draw_mermaid
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.events import AnswerToken, Event
from quorate.orchestrator.types import Candidate, Failure, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel

from ..helpers import candidate, failed
from .cases import GRAPHS, MAKERS, Make, Seeded, answer_from, boxed

SPLIT = boxed(3, 4, 4)

every = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def prompts(model: ScriptedModel) -> list[str]:
    return sorted("\n".join(m.text for m in asked.messages) for asked in model.asked)


@pytest.mark.parametrize("name", MAKERS)
async def test_the_model_decides(name: str) -> None:
    """Its answer wins over the vote; candidates and tally are those that the last node read."""
    answer = await answer_from(MAKERS[name](3, ScriptedModel(["It is \\boxed{7}"])), SPLIT)
    assert (answer.text, answer.answer, answer.degraded) == ("It is \\boxed{7}", "7", ())
    assert answer.prompt_version is not None
    votes = [(c.answer, c.voters) for c in answer.tally]
    if name in GRAPHS:
        assert {c.text for c in answer.candidates} == {"It is \\boxed{7}"}
        assert votes == [("7", (0, 1, 2))]
    else:
        assert [c.text for c in answer.candidates][:3] == [c.text for c in SPLIT]
        assert votes == [("4", (1, 2)), ("3", (0,))]


@every
async def test_one_candidate(make: Make) -> None:
    """Everything works for k = 1; a debate has nobody to debate with and asks nothing."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await answer_from(make(1, model), boxed(3))
    assert answer.answer == ("7" if model.asked else "3")


@pytest.mark.parametrize("name", MAKERS)
async def test_all_abstain(name: str) -> None:
    """Texts without an answer can be synthesized all the same."""
    candidates = [candidate(0, "hm"), candidate(1, "well")]
    answer = await answer_from(MAKERS[name](2, ScriptedModel(["\\boxed{7}"])), candidates)
    assert answer.answer == "7"
    assert {c.answer for c in answer.tally} == ({"7"} if name in GRAPHS else set())


@every
async def test_all_failed_but_one(make: Make) -> None:
    """Failed candidates are never read."""
    model = ScriptedModel(["\\boxed{7}"])
    answer = await answer_from(make(3, model), [failed(0), *[boxed(3, 4)[1]], failed(2)])
    assert answer.answer in ("7", "4")
    assert not any("boxed{1}" in prompt for prompt in prompts(model))


@every
@pytest.mark.parametrize("candidates", [[], [failed(0)]])
async def test_nothing_to_synthesize(make: Make, candidates: list[Candidate]) -> None:
    """No candidate, or none that is ok, is an error with its count."""
    with pytest.raises(NoAnswer, match=f"all {len(candidates)} candidates failed"):
        await answer_from(make(1, ScriptedModel()), candidates)


@every
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_order_does_not_matter(make: Make, data: st.DataObject) -> None:
    """The same candidates in any order give the same prompts and the same answer under one seed."""
    candidates = boxed(*data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6)))
    dealt = [c.model_copy(update={"index": i}) for i, c in enumerate(data.draw(st.permutations(candidates)))]

    def outcome(order: list[Candidate]) -> tuple[str, list[str]]:
        model = ScriptedModel(lambda question, _: f"\\boxed{{{len(question.messages[-1].text)}}}")
        return asyncio.run(answer_from(make(len(order), model), order)).text, prompts(model)

    assert outcome(candidates) == outcome(dealt)


@every
async def test_one_seed_one_answer(make: Make) -> None:
    """Two runs agree byte for byte, but for the clock."""

    async def once(seed: int) -> str:
        model = ScriptedModel(lambda q, i: f"{q.sampling.seed} {i} \\boxed{{7}}")
        answer = await answer_from(make(3, model), SPLIT, RunContext(seed=seed, live=False))
        return answer.model_dump_json(exclude={"candidates", "path"}) + "\n".join(prompts(model))

    assert await once(1) == await once(1)
    assert await once(1) != await once(2)


@every
async def test_every_call_has_a_seed_of_its_own(make: Make) -> None:
    """Derived by layer, round and member; without a seed the backend draws."""
    model = Seeded(["\\boxed{7}"])
    await answer_from(make(3, model), SPLIT)
    assert len(set(model.seeds)) == len(model.seeds) == len(model.asked)
    free = Seeded(["\\boxed{7}"])
    await answer_from(make(3, free), SPLIT, RunContext(live=False))
    assert free.seeds[0] is None


@every
async def test_a_model_that_always_fails(make: Make) -> None:
    """The vote answers, and says so once and who failed."""
    answer = await answer_from(make(3, ScriptedModel([Failure(code="boom", message="no luck")])), SPLIT)
    assert (answer.answer, answer.prompt_version) == ("4", None)
    assert sum(note.code == "aggregator_failed" for note in answer.degraded) == 1
    assert any("no luck" in note.detail for note in answer.degraded)


@every
async def test_a_model_that_crashes_or_says_nothing(make: Make) -> None:
    """A bug in a model and an empty answer are failures like any other."""
    for line in (ValueError("bug"), " \n"):
        answer = await answer_from(make(3, ScriptedModel([line])), SPLIT)
        assert answer.answer == "4"
        assert "aggregator_failed" in {note.code for note in answer.degraded}


@every
async def test_one_failing_member(make: Make) -> None:
    """One call that fails is a value: the rest goes on, and where the last one stands it answers."""
    calls = iter(range(1000))

    def line(_: Question, __: int) -> str | Failure:
        return Failure(code="boom", message="no luck") if next(calls) == 0 else "\\boxed{7}"

    model = ScriptedModel(line)
    answer = await answer_from(make(6, model), boxed(1, 2, 3, 4, 5, 6))
    if len(model.asked) > 1:
        assert answer.answer == "7"
        assert [n.code for n in answer.degraded][:1] == ["member_failed"]


@every
async def test_out_of_budget_before(make: Make) -> None:
    """No call is made; the vote answers, marked."""
    run = RunContext(seed=1, budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    model = ScriptedModel()
    answer = await answer_from(make(3, model), SPLIT, run)
    assert (answer.answer, model.asked) == ("4", [])
    assert answer.degraded[0].code == "budget_exhausted"


@every
async def test_out_of_budget_in_the_middle(make: Make) -> None:
    """The best answer so far is given and marked; not every call was made."""
    whole = ScriptedModel(["word " * 30 + "\\boxed{4}"])
    await answer_from(make(3, whole), SPLIT)
    if len(whole.asked) == 1:
        return
    model = ScriptedModel(["word " * 30 + "\\boxed{4}"])
    run = RunContext(seed=1, budget=Budget(tokens=100))
    answer = await answer_from(make(3, model), SPLIT, run)
    assert answer.answer == "4"
    assert answer.degraded[0].code == "budget_exhausted"
    assert len(model.asked) < len(whole.asked)


@every
async def test_out_of_time(make: Make) -> None:
    """A model that never ends is cut off by the clock, and the vote answers."""
    run = RunContext(seed=1, live=False, budget=Budget(seconds=0.05))
    answer = await answer_from(make(3, ScriptedModel([None])), SPLIT, run)
    assert answer.answer == "4"
    assert answer.degraded


@every
async def test_thinking_is_not_passed_on(make: Make) -> None:
    """Neither that of the candidates nor that of later layers reaches a prompt."""
    model = ScriptedModel(["<think>secret</think>\\boxed{7}"])
    await answer_from(make(3, model), SPLIT)
    assert not any("secret" in prompt for prompt in prompts(model))


@every
async def test_candidates_of_nothing_but_thinking(make: Make) -> None:
    """Those that say nothing are left out and named."""
    silent = candidate(1, "<think>and so on")
    answer = await answer_from(make(2, ScriptedModel(["\\boxed{7}"])), [*boxed(3), silent])
    notes = [note for note in answer.degraded if note.code == "candidate_cut"]
    assert notes
    assert all("nothing outside its thinking" in note.detail for note in notes)


@every
async def test_prompts_are_bounded_whatever_the_candidates(make: Make) -> None:
    """Long texts are cut to the room in every prompt, and each cut is told."""
    model = ScriptedModel(lambda *_: "again " * 1000 + "\\boxed{7}")
    long = [candidate(i, f"{i} " + "x" * 5000 + f"\\boxed{{{i}}}") for i in range(8)]
    answer = await answer_from(make(8, model, max_context_tokens=200), long)
    assert max(map(len, prompts(model))) < 200 * 3 + 8 * 40 + 1500
    assert {note.code for note in answer.degraded} == {"candidate_cut"}


@every
async def test_format_and_tools_of_the_question_are_kept(make: Make) -> None:
    """Every inner call is made under the settings and in the format that the caller asked for."""
    question = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two and two?"}])
    question = question.model_copy(update={"response_format": {"type": "json_object"}, "tools": ({"type": "x"},)})
    model = ScriptedModel(["\\boxed{7}"])
    await answer_from(make(3, model), SPLIT, question=question.with_params(temperature=0.3))
    for asked in model.asked:
        assert (asked.response_format, asked.tools) == (question.response_format, question.tools)
        assert asked.sampling.temperature == 0.3
        assert asked.messages[0].text.startswith("Be brief.")
        assert any("Two and two?" in m.text for m in asked.messages if m.role == "user")


@every
async def test_usage_is_counted_once(make: Make) -> None:
    """In the ledger, under the node that asked."""
    model = ScriptedModel(["\\boxed{7}"])
    run, pipeline = RunContext(seed=1, live=False), make(3, model)
    answer = await answer_from(pipeline, SPLIT, run)
    assert answer.usage == run.ledger.usage
    assert run.ledger.usage.requests == len(model.asked)
    assert all(entry.node in pipeline.nodes for entry in answer.nodes)


@every
async def test_cancelled_it_leaves_nothing(make: Make) -> None:
    """Whoever stops listening stops every inner call."""
    before, model = asyncio.all_tasks(), ScriptedModel([None])
    task = asyncio.create_task(answer_from(make(3, model), SPLIT))
    for _ in range(50):
        await asyncio.sleep(0)
    assert model.asked
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("name", MAKERS)
async def test_streams_joined_are_the_text(name: str) -> None:
    """Tokens of the last synthesis, or none where a vote decides."""
    told: list[Event] = []
    run = replace(RunContext(seed=1), emit=told.append)
    answer = await answer_from(MAKERS[name](3, ScriptedModel(["It is \\boxed{7}"])), SPLIT, run)
    joined = "".join(event.text for event in told if isinstance(event, AnswerToken))
    assert joined == ("" if name in ("rsa", "debate") else answer.text)


@pytest.mark.parametrize("name", MAKERS)
async def test_in_a_pipeline(name: str) -> None:
    """From sampling to the answer, under its own name."""
    model = ScriptedModel(["\\boxed{1}", "\\boxed{2}"])
    pipeline = MAKERS[name](2, model)
    async with pipeline:
        answer = await pipeline.answer("?", seed=3)
    proposer = pipeline.stage.models[0]
    assert isinstance(proposer, ScriptedModel)
    assert pipeline.name == f"{name}@2/{proposer.name}"
    assert len(answer.candidates) >= 2
    assert answer.usage.requests == len(model.asked) + (len(proposer.asked) if proposer is not model else 0)


@every
@pytest.mark.parametrize("n", [1, 2, 5, 9])
async def test_the_calls_are_bounded_as_told(make: Make, n: int) -> None:
    """`calls` is what limits on requests count; where nothing fails and all candidates differ it is exact."""
    model = ScriptedModel(["\\boxed{7}"])
    pipeline = make(n, model)
    await answer_from(pipeline, boxed(*range(n)))
    assert len(model.asked) in (pipeline.calls - n, 0 if n == 1 else -1)
    assert model in pipeline.parts


@every
def test_they_are_drawn(make: Make) -> None:
    """Every node, and the model that each asks."""
    pipeline = make(3, ScriptedModel())
    drawing = draw_mermaid(pipeline)
    assert "scripted" in drawing
    assert all(name in drawing for name in pipeline.nodes)


@every
async def test_more_candidates_and_other_models(make: Make) -> None:
    """`with_n` and `map_models` give the same graph for them; an aggregator's model stays."""
    model, other = ScriptedModel(["\\boxed{7}"]), ScriptedModel(["\\boxed{8}"], name="other")
    pipeline = make(2, model).with_n(7).map_models(lambda _: other)
    answer = await pipeline.answer("?", seed=1)
    sampled = [entry for entry in answer.nodes if entry.node == "sample"]
    assert [(entry.model, entry.usage.requests) for entry in sampled] == [("other", 7)]
    assert answer.usage.requests <= pipeline.calls
    assert not answer.degraded
