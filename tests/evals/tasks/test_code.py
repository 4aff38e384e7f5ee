"""Programs as answers: HumanEval and CRUXEval, judged in a sandbox, or refused where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from quorate.aggregators import Sandbox
from quorate.evals.registry import find_task
from quorate.evals.task import Item, Selection
from quorate.evals.tasks.base.literals import SameValue, call_of
from quorate.orchestrator.errors import BadInput

from .files import lines

PROMPT = '''from typing import List

def helper(x: int) -> int:
    return x + 1


def count(values: List[int]) -> int:
    """ How many values there are, plus one. """
'''
CHECK = "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert helper(1) == 2\n"
RIGHT = "    return helper(len(values))"
WHOLE = f"def count(values: List[int]) -> int:\n{RIGHT}"
FUNCTION = "def f(text, n=1):\n    return text.upper() * n"


@pytest.fixture(scope="module")
def jailed() -> None:
    """Skips where this machine forbids the namespaces that isolate a program."""
    try:
        asyncio.run(Sandbox().run("1"))
    except BadInput as error:
        pytest.skip(str(error))


def item(name: str, path: Path, **row: Any) -> Item:
    (only,) = find_task(name).items(Selection(1, data=lines(path / "x.jsonl", [row])))
    return only


@pytest.mark.usefixtures("jailed")
@pytest.mark.parametrize(
    ("reply", "right"),
    [
        (f"Here it is:\n```python\n{WHOLE}\n```\nDone.", True),
        (f"```python\n{PROMPT}{RIGHT}\n```", True),
        (f"```\n{RIGHT}\n```", True),
        (WHOLE, True),
        (f"<think>```python\nnonsense\n```</think>```python\n{WHOLE}\n```", True),
        (f"```python\n{WHOLE.replace('helper', '')}\n```", False),
        ("```python\ndef count(values):\n    while True: pass\n```", False),
        ("```python\nimport sys; sys.exit(0)\n```", False),
        ("```python\nimport os; os._exit(0)\ndef count(values): return 3\n```", False),
        ("```python\ndef count(values: return 3\n```", False),
        ("I cannot do that.", False),
    ],
)
async def test_humaneval_runs_the_tests(
    reply: str, right: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole function or its body, fenced or not; imports and helpers of the prompt are there anyway."""
    monkeypatch.setattr("quorate.evals.tasks.base.kinds.SECONDS", 2.0)
    task = find_task("humaneval")
    one = item("humaneval", tmp_path, task_id="h", prompt=PROMPT, test=CHECK, entry_point="count")
    assert await task.correct(task.extractor.extract(reply), one.gold) is right


@pytest.mark.usefixtures("jailed")
async def test_what_was_run_once_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vote's winner is one of its samples."""
    task = find_task("humaneval")
    one = item("humaneval", tmp_path, task_id="h", prompt=PROMPT, test=CHECK, entry_point="count")
    assert await task.correct(f"{WHOLE}  # once", one.gold)
    monkeypatch.setattr("quorate.evals.tasks.base.kinds.run_tests", None)
    assert await task.correct(f"{WHOLE}  # once", one.gold)


@pytest.mark.usefixtures("jailed")
async def test_a_machine_that_can_judge_says_so() -> None:
    """Before anything is sampled; tasks that run nothing have nothing to say."""
    await find_task("humaneval").prepare()
    await find_task("gsm8k").prepare()


async def test_without_isolation_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither when prepared nor when grading."""

    async def refuse(*_: Any) -> None:
        raise BadInput("code is not executed, because it cannot be isolated here")

    monkeypatch.setattr(Sandbox, "run", refuse)
    task = find_task("cruxeval-input")
    one = item("cruxeval-input", tmp_path, id="c", code=FUNCTION, input="'a'", output="'A'")
    with pytest.raises(BadInput, match="cannot be isolated here"):
        await task.prepare()
    with pytest.raises(BadInput, match="cannot be isolated here"):
        await task.correct("f('a', n=1)", one.gold)


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("It is upper case.\n[ANSWER]'AA'[/ANSWER]", True),
        ('[ANSWER]"AA"[/ANSWER]', True),
        ("[ANSWER]f('a', 2) == 'AA'[/ANSWER]", True),
        ("[ANSWER]assert f('a', 2) == 'AA'[/ANSWER]", True),
        ("[ANSWER]\n```python\n'AA'\n```\n[/ANSWER]", True),
        ("So:\nassert f('a', 2) == 'AA'", True),
        ("<think>[ANSWER]'B'[/ANSWER]</think>[ANSWER]'AA'[/ANSWER]", True),
        ("[ANSWER]AA[/ANSWER]", False),
        ("[ANSWER]'aa'[/ANSWER]", False),
        ("The answer is 'AA'.", False),
    ],
)
async def test_cruxeval_output_compares_values(reply: str, right: bool, tmp_path: Path) -> None:
    """Between the tags, or in a line of `assert`."""
    task = find_task("cruxeval-output")
    one = item("cruxeval-output", tmp_path, id="c", code=FUNCTION, input="'a', 2", output="'AA'")
    assert "assert f('a', 2) == ??" in one.question.text
    assert await task.correct(task.extractor.extract(reply), one.gold) is right


@pytest.mark.usefixtures("jailed")
@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("[ANSWER]f('a', 2)[/ANSWER]", True),
        ("[ANSWER]f('aa')[/ANSWER]", True),
        ("[ANSWER]f('Aa', n=1) == 'AA'[/ANSWER]", True),
        ("[ANSWER]'aA'[/ANSWER]", True),
        ("[ANSWER]f('b')[/ANSWER]", False),
        ("[ANSWER]f(1)[/ANSWER]", False),
        ("[ANSWER]f(print('a'))[/ANSWER]", False),
        ("[ANSWER]True or f('a')[/ANSWER]", False),
        ("No idea.", False),
    ],
)
async def test_cruxeval_input_runs_the_call(reply: str, right: bool, tmp_path: Path) -> None:
    """Any call that returns the value; only a call of `f` with literals is run."""
    task = find_task("cruxeval-input")
    one = item("cruxeval-input", tmp_path, id="c", code=FUNCTION, input="'a', 2", output="'AA'")
    assert await task.correct(task.extractor.extract(reply), one.gold) is right


async def test_literals_are_compared_as_python_compares_them() -> None:
    """Order in dictionaries and sets means nothing, order in lists does."""
    groups = [
        ["{'a': 1, 'b': [2, 3]}", "{ 'b':[2,3],'a':1.0 }"],
        ["[1, 2]", "[1,2]"],
        ["(1, 2)"],
        ["[2, 1]"],
        ["{1, 2}", "{2, 1}"],
        ["'1'", '"1"'],
        ["1", "1.0", "True"],
        ["0", "False", "-0.0"],
        ["1.5"],
        ["''"],
        ["nonsense (", "nonsense("],
        ["1e400"],
        ["9" * 400],
        ["9" * 5000],
    ]
    answers = [answer for group in groups for answer in group]
    classes = dict(zip(answers, await SameValue().classes(answers), strict=True))
    assert len({classes[answer] for answer in answers}) == len(groups)
    assert all(len({classes[answer] for answer in group}) == 1 for group in groups)


def test_calls_are_literals_alone() -> None:
    """Whatever else could be run is not; arguments alone are taken as a call."""
    assert call_of("f( 1,'a' )") == "f(1, 'a')"
    assert call_of("1, 'a'") == "f(1, 'a')"
    assert call_of("f(x=[1])") == "f(x=[1])"
    for other in ["f(g(1))", "__import__('os')", "f(1); f(2)", "f(*[1])", "", "(" * 5000, None]:
        assert call_of(other) is None
