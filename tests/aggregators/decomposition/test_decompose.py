"""`decompose`: divisions, their parts at once, verified, merged, and the undivided answer where a division fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from quorate import Budget, sample
from quorate.aggregators.decomposition import decompose
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Failure, Question
from quorate.testing import ScriptedModel

PLAN = "#1: How many rolls are baked?\n#2: How many rolls are eaten?\n#3: #1 - #2"


def solver(**answers: str | Failure | Sequence[str]) -> ScriptedModel:
    """Answers parts by a word in them, and the whole question with 99."""

    def answer(question: Question, index: int) -> str | Failure:
        part = question.text.split("nothing else:")[-1] if "nothing else:" in question.text else question.text
        found = next((said for word, said in answers.items() if word in part), "99")
        said = found if isinstance(found, str | Failure) else found[index % len(found)]
        return said if isinstance(said, Failure) else f"Answer: {said}"

    return ScriptedModel(answer, name="solver")


def divided(plans: Sequence[str | Failure], model: ScriptedModel, **given: object) -> object:
    return decompose(sample(ScriptedModel(list(plans), name="planner"), n=len(plans)), model, **given)  # type: ignore[arg-type]


async def test_parts_are_solved_at_once_and_merged() -> None:
    """Two parts in one round, with the problem around them; the last one is made by code."""
    model = solver(baked="84", eaten="30")
    answer = await divided([PLAN], model).answer("A bakery?", seed=1)  # type: ignore[attr-defined]
    assert answer.answer == "54"
    assert answer.text.endswith("#3 = 54\nAnswer: 54")
    assert [visit.node for visit in answer.path] == ["plan", "parts", "decide"]
    assert all("A bakery?" in question.text for question in model.asked)
    assert len(model.asked) == 2


async def test_parts_of_the_same_words_are_asked_once() -> None:
    """Whichever divisions they stand in; the divisions vote."""
    model = solver(baked="84", eaten="30", sold="10")
    other = "#1: How many rolls are baked?\n#2: How many rolls are sold?\n#3: #1 - #2"
    answer = await divided([PLAN, PLAN, other], model).answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, [c.votes for c in answer.tally]) == ("54", [2, 1])
    assert len(model.asked) == 3


async def test_parts_wait_for_each_other() -> None:
    """A round for each that needs the one before, with its result in the words."""
    model = solver(**{"Double 5": "10", "Double 10": "20", "start": "5"})
    plan = "#1: Which start?\n#2: Double #1\n#3: Double #2"
    answer = await divided([plan], model).answer("?", seed=1)  # type: ignore[attr-defined]
    assert answer.answer == "20"
    assert [visit.node for visit in answer.path] == ["plan", "parts", "parts", "parts", "decide"]


@pytest.mark.parametrize(
    "plan", ["I cannot.", PLAN.replace("eaten", "lost"), Failure(code="down", message="down"), "#1: 1 / 0"]
)
async def test_a_division_that_fails_gives_its_place_to_an_undivided_answer(plan: str | Failure) -> None:
    """No plan, a part without an answer, a planner that is down for this one, a calculation without a result."""
    model = solver(baked="84", eaten="30", lost=Failure(code="down", message="down"), **{"1 / 0": ""})
    answer = await divided([PLAN, plan], model).answer("?", seed=1)  # type: ignore[attr-defined]
    assert sorted(c.answer or "" for c in answer.candidates) == ["54", "99"]
    assert "member_failed" in [note.code for note in answer.degraded]


async def test_without_a_planner_the_question_is_asked_whole() -> None:
    """As often as it was to be divided."""
    down = ScriptedModel([RuntimeError("gone")], name="planner")
    answer = await decompose(sample(down, n=3), solver()).answer("?", seed=1)
    assert (answer.answer, len(answer.candidates)) == ("99", 3)
    assert "node_failed" in [note.code for note in answer.degraded]


def judging(*wrong: str, verdict: str = "Score: 9") -> ScriptedModel:
    """Finds replies wrong in which one of these stands."""

    def look(question: Question, _: int) -> str:
        reply = question.text.split("response\n")[-1]
        return "I get another one.\nScore: 1" if any(word in reply for word in wrong) else verdict

    return ScriptedModel(look, name="judge")


async def test_parts_are_verified_by_a_model() -> None:
    """It sees the part with its problem and the reply; what it finds wrong is no answer, and its division ends."""
    sure, model = judging(), solver(baked="84", eaten="30")
    answer = await divided([PLAN], model, verifier=sure).answer("A bakery?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, len(sure.asked)) == ("54", 2)
    assert all("A bakery?" in question.text and "Score:" in question.text for question in sure.asked)
    assert {e.model for e in answer.nodes if e.node.startswith("parts")} == {"solver", "judge"}
    strict = judging("30")
    answer = await divided([PLAN], solver(baked="84", eaten="30"), verifier=strict).answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, [note.code for note in answer.degraded]) == ("99", ["member_failed"])
    lax = await divided([PLAN], model, verifier=judging("30"), least=1).answer("?", seed=1)  # type: ignore[attr-defined]
    assert lax.answer == "54"


async def test_a_part_without_a_verdict_stands_and_is_marked() -> None:
    """The verifier says nothing that can be read, or is gone; bare calculations are not shown to it."""
    dumb = judging(verdict="Who knows?")
    answer = await divided([PLAN], solver(baked="84", eaten="30"), verifier=dumb).answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, [note.code for note in answer.degraded]) == ("54", ["fallback_used"] * 2)
    gone = ScriptedModel([RuntimeError("gone")], name="judge")
    answer = await divided(["#1: 7 * 12\n#2: #1 - 30"], solver(), verifier=gone).answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, answer.degraded) == ("54", ())


async def test_a_verifier_counts_among_the_most_calls() -> None:
    """By name, too: `verify` is the score that the aggregator's model has to give."""
    made = build_pipeline("decompose", [ScriptedModel(name="planner")], n=1, options={"verify": 6, "rounds": 1})
    plain = build_pipeline("decompose", [ScriptedModel(name="planner")], n=1, options={"rounds": 1})
    assert made.calls == plain.calls + 2 * 16
    with pytest.raises(BadInput, match="verify"):
        build_pipeline("decompose", [ScriptedModel()], options={"verify": 11})


async def test_a_planner_that_was_taught_is_shown_the_problem_alone() -> None:
    """`bare`; any other one is told in words what a division is."""
    for bare in (True, False):
        planner = ScriptedModel([PLAN], name="planner")
        made = build_pipeline(
            "decompose", [planner], n=1, options={"bare": bare}, aggregator_model=solver(baked="84", eaten="30")
        )
        assert (await made.answer("A bakery?")).answer == "54"
        assert (planner.asked[0].text == "A bakery?") is bare


async def test_parts_are_settled_by_a_vote() -> None:
    """More than half of the samples have to agree, else the part has no answer."""
    right = solver(baked=["84", "84", "83"], eaten="30")
    answer = await divided([PLAN], right, votes=3).answer("?", seed=1)  # type: ignore[attr-defined]
    assert (answer.answer, len(right.asked)) == ("54", 6)
    unsure = solver(baked=["84", "85", "83"], eaten="30")
    answer = await divided([PLAN], unsure, votes=3).answer("?", seed=1)  # type: ignore[attr-defined]
    assert answer.answer == "99"


async def test_calculations_may_be_asked_for() -> None:
    """Bare, as they stand."""
    model = solver(**{"7 * 12": "84", "84 + 1": "85"})
    answer = await divided(["#1: 7 * 12\n#2: #1 + 1"], model, calculate=False).answer("?", seed=1)  # type: ignore[attr-defined]
    assert answer.answer == "85"
    assert [question.text for question in model.asked] == ["7 * 12", "84 + 1"]


async def test_a_plan_that_never_ends_is_left() -> None:
    """After so many rounds the question is asked whole."""
    chain = "\n".join(["#1: start 0", *(f"#{n}: Double #{n - 1} of {n}" for n in range(2, 8))])
    answer = await divided([chain], solver(start="5", Double="6"), rounds=3).answer("?", seed=1)  # type: ignore[attr-defined]
    assert answer.answer == "99"
    assert [visit.node for visit in answer.path].count("parts") == 3


async def test_a_budget_that_ends_leaves_what_there_is() -> None:
    """An answer or an error of its own, no endless loop."""
    model = solver(baked="84", eaten="30")
    answer = await divided([PLAN, "#1: 2 + 2"], model).answer("?", seed=1, budget=Budget(tokens=24))  # type: ignore[attr-defined]
    assert answer.answer in ("4", "99", "54")


def test_what_is_refused() -> None:
    """Numbers that are impossible, and what is no stage."""
    planner = sample(ScriptedModel(), n=1)
    for wrong in ({"votes": 0}, {"rounds": 0}):
        with pytest.raises(BadInput):
            decompose(planner, ScriptedModel(), **wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="sampling stage"):
        decompose(ScriptedModel(), ScriptedModel())  # type: ignore[arg-type]
    made = build_pipeline("decompose", [ScriptedModel()], n=2, options={"votes": 3})
    assert made.name == "decompose@2/scripted"
    assert made.calls < 1000
