"""Plans: parts and what they need, read from texts and worked solutions, and what can be computed of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.decomposition import Division
from quorate.aggregators.decomposition.division import MOST_PARTS, compute
from quorate.evals.tasks.stories import TIERS, generate


@pytest.mark.parametrize("tier", TIERS)
def test_the_plans_of_stories_come_to_their_answers(tier: str) -> None:
    """Both as parts and as the worked solution, whatever results stand in that."""
    for problem in generate(tier, seed=4, count=60):
        parts = "\n".join(f"#{number}: {part}" for number, part in enumerate(problem.parts, 1))
        for text in (parts, problem.solution):
            plan = Division.read(text)
            assert plan is not None
            assert plan.computed().answer == problem.answer


def test_a_slip_in_a_worked_solution_is_mended() -> None:
    """And what follows from it: the number that the slip gave stands for the line's result."""
    plan = Division.read("trays: 7 * 12 = 85\nmore: 85 + 5 = 90\neach: 90 / 2 = 45\nAnswer: 45")
    assert plan is not None
    assert plan.parts == {1: "7 * 12", 2: "#1 + 5", 3: "#2 / 2"}
    assert plan.computed().answer == "44.5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 4.",
        "#1: 2 + #2\n#2: 1 + #1",
        "#1: 2 + #1",
        "#1: 2 + #7",
        "#1: 2\n#1: 3",
        "\n".join(f"#{n}: 1 + 1" for n in range(1, MOST_PARTS + 2)),
        "<think>#1: 2 + 2</think>No plan.",
    ],
)
def test_what_is_no_plan(text: str) -> None:
    """Circles, parts that there are not, numbers given twice, too many; thinking is not read."""
    assert Division.read(text) is None


def test_parts_wait_for_what_they_need() -> None:
    """In any order; a result stands in the parts that name it."""
    plan = Division.read("#2: How many are left of #1?\n#1: How many are there?\n#3: How many are bought?\n#4: #2 + #3")
    assert plan is not None
    assert plan.ready() == {1: "How many are there?", 3: "How many are bought?"}
    plan = plan.with_results({1: "12 apples", 3: "-3"})
    assert plan.ready() == {2: "How many are left of 12 apples?"}
    done = plan.with_results({2: "9"}).computed()
    assert done.answer == "6"
    assert Division.read(str(done), results=True) == done
    assert Division.read(str(done)) == Division(done.parts)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("7 * 12", "84"),
        ("7 × 12 =", "84"),
        ("(3 + 4) / 2?", "3.5"),
        ("1/3", "1/3"),
        ("0.1 + 0.2", "0.3"),
        ("-(2 - 5)", "3"),
        ("5", "5"),
        ("1 / 0", None),
        ("9**9**9", None),
        ("9 // 2", None),
        ("7 apples", None),
        ("", None),
        ("(((", None),
        ("1" * 300, None),
        ("(" * 90 + "1" + ")" * 90, "1"),
        ("2024-11-30", "1983"),
    ],
)
def test_only_bare_calculations_are_computed(part: str, value: str | None) -> None:
    """Exactly, and nothing that could take long."""
    assert compute(part) == value


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789 #:+-*/()=.\nabc", max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    """A plan or none; a plan that is read ends, and comes back from its text."""
    plan = Division.read(text)
    if plan is not None:
        done = plan.computed()
        assert Division.read(str(done), results=True) == done


def test_a_model_that_runs_on_is_read_at_once() -> None:
    """A line of spaces without end, as degenerate models write, takes no time that grows with its square."""
    long = f"#1: 3 +{' ' * 200_000}4\n"
    plan = Division.read(long)
    assert plan is not None
    assert str(plan).startswith("#1: 3 + ")
