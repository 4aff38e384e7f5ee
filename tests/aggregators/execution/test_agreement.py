"""Programs judged by what they pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate import sample
from quorate.aggregators import ExecutionAgreement, Limits, MajorityVote, Sandbox, TestWriter
from quorate.aggregators.execution import CodeExtractor, Execution, consensus_sets, run_tests
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import Done
from quorate.orchestrator.types import Candidate
from quorate.orchestrator.usage import Usage
from quorate.testing import ScriptedModel
from tests.aggregators.helpers import Exact, aggregated, candidate, counter_of, failed, happened, tallied

DOUBLE, PLUS, SQUARE = "def f(x):\n    return 2 * x", "def f(x):\n    return x + x", "def f(x):\n    return x * x"
TESTS = ("assert f(2) == 4", "assert f(3) == 6", "assert f(0) == 0")


def fenced(code: str) -> str:
    return f"Here:\n```python\n{code}\n```\n"


def programs(*codes: str) -> list[Candidate]:
    return [candidate(i, fenced(code)) for i, code in enumerate(codes)]


class Broken:
    """An executor that cannot isolate."""

    async def run(self, program: str) -> Execution:
        raise BadInput("code is not executed")


async def test_programs_that_behave_alike_win_together() -> None:
    """The score is sqrt(different programs) x tests passed; the text is a candidate's."""
    answer = await aggregated(ExecutionAgreement(TESTS), programs(SQUARE, DOUBLE, SQUARE, SQUARE, PLUS))
    assert answer.answer in (DOUBLE, PLUS)
    assert answer.text in (fenced(DOUBLE), fenced(PLUS))
    assert [(c.votes, c.weight) for c in answer.tally] == [(2, pytest.approx(3 * math.sqrt(2))), (3, 2.0)]
    assert answer.tally[0].voters == (1, 4)
    assert answer.degraded == ()


async def test_equal_scores_are_drawn_by_the_seed() -> None:
    """The order of the candidates has no part in it."""
    tests, pair = ["assert f(2) == 4", "assert f(4) == 16", "assert f(4) == 8"], programs(SQUARE, DOUBLE)
    drawn = {}
    for seed in range(8):
        forth = await aggregated(ExecutionAgreement(tests), pair, seed)
        back = await aggregated(ExecutionAgreement(tests), pair[::-1], seed)
        assert forth.answer == back.answer
        drawn[forth.answer] = True
    assert len(drawn) == 2


async def test_hostile_programs_only_fail() -> None:
    """Endless, exiting, deceiving by exit status, printing, raising anything: each fails its tests, others do not."""
    nasty = [
        "while True: pass",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "print('x' * 10**7)\ndef f(x): raise KeyboardInterrupt",
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except Exception: pass",
        "def f(x): return f(x)",
        "def (",
    ]
    executor = Sandbox(Limits(seconds=3))
    for code in nasty:
        assert await run_tests(code, TESTS[:2], executor, seconds=0.2) == frozenset()
    assert await run_tests(DOUBLE, ["while True: pass", *TESTS, "assert f(1) == 1"], executor, seconds=0.2) == {1, 2, 3}


async def test_tests_do_not_see_each_other() -> None:
    """Every test has a fresh namespace, the program's own state included."""
    code = "calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls)"
    assert await run_tests(code, ["assert f(0) == 1", "assert f(0) == 1", "f = 3", "assert f(9) == 1"], Sandbox()) == {
        0,
        1,
        2,
        3,
    }


@pytest.mark.parametrize("tests", [[], ["assert f(1) == 5"], ["assert ("]])
async def test_where_nothing_is_passed_the_vote_answers(tests: list[str]) -> None:
    """Identical code is what the fallback counts, and the answer is marked."""
    answer = await aggregated(ExecutionAgreement(tests), programs(SQUARE, DOUBLE, DOUBLE))
    assert answer.answer == DOUBLE
    assert [note.code for note in answer.degraded] == ["aggregator_failed"]


async def test_one_candidate_none_and_abstentions() -> None:
    """A single one is the answer, unexecuted; those without code abstain; without any ok one there is no answer."""
    alone = ExecutionAgreement(TESTS, executor=Broken())
    assert (await aggregated(alone, [failed(0), *programs(DOUBLE)[:1]])).answer == DOUBLE
    silent = await aggregated(alone, [candidate(0, " "), candidate(1, "<think>hm")])
    assert silent.answer is None
    assert [note.code for note in silent.degraded] == ["all_abstained"]
    with pytest.raises(NoAnswer, match="all 1 candidates failed"):
        await aggregated(alone, [failed(0)])


async def test_what_cannot_be_isolated_is_an_error() -> None:
    """Not a vote in disguise: whoever asks for execution learns that there is none."""
    with pytest.raises(BadInput, match="not executed"):
        await aggregated(ExecutionAgreement(TESTS, executor=Broken()), programs(DOUBLE, PLUS))


async def test_a_model_writes_the_tests() -> None:
    """From the question alone, several times; the most frequent come first, and it is booked under the node."""
    replies = iter(["```\nassert f(2) == 4\nassert f(3) == 6\n```", "So:\n  assert f(3) == 6\nx = 1"])
    writer = ScriptedModel(lambda question, index: next(replies), name="w")
    pipeline = sample(ScriptedModel([fenced(SQUARE), fenced(PLUS)]), n=2) | ExecutionAgreement(
        TestWriter(writer, samples=2, limit=1)
    )
    async with pipeline:
        answer = await pipeline.answer("Write f.", seed=1)
    assert answer.answer == PLUS
    assert "Write f." in writer.asked[0].messages[0].text
    assert [s.node for s in answer.nodes if s.model == "w"] == ["aggregate"]
    assert next(s for s in answer.nodes if s.model == "w").usage.requests == 2


async def test_a_model_that_writes_no_tests() -> None:
    """Its failure is told, and the vote answers."""
    aggregator = ExecutionAgreement(TestWriter(ScriptedModel([ValueError("bug")]), samples=2))
    answer = await aggregated(aggregator, programs(SQUARE, DOUBLE, DOUBLE))
    assert answer.answer == DOUBLE
    assert [note.code for note in answer.degraded] == ["tests_missing", "aggregator_failed"]


async def test_out_of_time_the_vote_answers() -> None:
    """Programs that still run are ended; nothing runs without budget."""
    slow = programs("import time\ntime.sleep(60)", DOUBLE, DOUBLE)
    run = RunContext(node="aggregate", budget=Budget(seconds=1))
    [event] = await happened(ExecutionAgreement(TESTS, seconds=50), slow, run)
    assert isinstance(event, Done)
    assert (event.answer.answer, [n.code for n in event.answer.degraded]) == (DOUBLE, ["budget_exhausted"])
    run = RunContext(node="aggregate", budget=Budget(tokens=1))
    run.record("m", Usage(completion_tokens=5))
    [event] = await happened(ExecutionAgreement(TESTS, executor=Broken()), slow, run)
    assert isinstance(event, Done)
    assert [n.code for n in event.answer.degraded] == ["budget_exhausted"]


async def test_a_fallback_of_ones_own_counts_and_closes() -> None:
    """It also tallies while candidates are sampled."""
    aggregator = ExecutionAgreement([], fallback=MajorityVote(equivalence=Exact()))
    assert counter_of(aggregator).extract(candidate(0, "\\boxed{4}")) == "4"
    assert (await tallied(aggregator, [candidate(0, "\\boxed{4}")]))[0].answer == "4"
    await aggregator.aclose()


def test_code_in_a_text() -> None:
    """The longest Python block, an unclosed one too; other languages do not count; thinking is left out."""
    extract = CodeExtractor().extract
    assert extract(fenced(DOUBLE)) == DOUBLE
    assert extract("<think>```\nno\n```</think>" + DOUBLE) == DOUBLE
    assert extract("```py\na\n```\n```python\nlonger = 1  \n```\n```json\n{}{}{}{}{}{}{}\n```") == "longer = 1"
    assert extract("```\nx = 1") == "x = 1"
    assert extract("  \n") is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"seconds": 0}, "seconds"), ({"concurrency": 0}, "concurrency"), ({"seconds": math.inf}, "seconds")],
)
def test_settings_are_checked(arguments: dict[str, float], says: str) -> None:
    """Impossible ones are the caller's fault, at once."""
    with pytest.raises(BadInput, match=says):
        ExecutionAgreement(TESTS, **arguments)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="list of statements"):
        ExecutionAgreement("assert f(2) == 4")
    with pytest.raises(BadInput, match="samples=0"):
        TestWriter(ScriptedModel(), samples=0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=12))
def test_consensus_sets_do_not_depend_on_order(drawn: Sequence[tuple[int, int]]) -> None:
    """Scores by behaviour are the same in any order, and repeating a program changes none."""

    def scores(samples: Sequence[tuple[int, int]]) -> dict[int, float]:
        behaviours = [behaviour for behaviour, _ in samples]
        sets = consensus_sets(behaviours, behaviours, samples)
        assert sorted(i for s in sets for i in s.members) == list(range(len(samples)))
        assert [s.score for s in sets] == sorted((s.score for s in sets), reverse=True)
        return {behaviours[s.members[0]]: s.score for s in sets}

    assert scores(drawn) == scores(sorted(drawn, reverse=True)) == scores([*drawn, drawn[0]])
