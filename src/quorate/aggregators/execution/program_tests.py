"""The tests of a program: where they come from, and which of them it passes.

They are given, or written by a model as in CodeT (arXiv 2207.10397, section 2.1). A program runs all of them in one
process, every test in a fresh namespace. The tests run beside the code they judge, so a program written to deceive can
claim what it likes; an early exit alone gains nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, Self

from quorate import prompts
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Degradation, Question, SamplingParams

from ..judges.model import JudgeModel, conversation_text
from ..markup import visible
from .sandbox import Execution

WRITER_SAMPLING = SamplingParams(max_tokens=1024)
"""Of who writes tests, whatever the caller's limit for candidates."""
LONGEST_TEST = 2000
"""Characters; longer lines are no asserts that anybody meant."""


class TestSource(Protocol):
    """Gives the tests for a question."""

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:
        """Statements to run after a candidate's code, and what went wrong in getting them."""
        ...


class FixedTests:
    """The same tests for every question."""

    def __init__(self, tests: Sequence[str]) -> None:
        if isinstance(tests, str) or not all(isinstance(test, str) and test.strip() for test in tests):
            raise BadInput("tests must be a list of statements, such as ['assert f(2) == 4']")
        self._tests = tuple(dict.fromkeys(tests))

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:  # noqa: ARG002
        return self._tests, ()

    def __repr__(self) -> str:
        return f"{len(self._tests)} tests"


def test_source(tests: TestSource | Sequence[str]) -> TestSource:
    """A source of tests, whichever of the two it is."""
    return FixedTests(tests) if isinstance(tests, Sequence) else tests


class TestWriter:
    """A model writes the tests, from the question alone, several times; the most frequent ones are run.

    Args:
        model: writes them.
        samples: how often it is asked.
        limit: tests at most.
        concurrency: requests at a time.
    """

    __test__ = False

    def __init__(self, model: Model, *, samples: int = 4, limit: int = 100, concurrency: int = 8) -> None:
        if min(samples, limit, concurrency) < 1:
            raise BadInput(f"TestWriter(samples={samples}, limit={limit}, concurrency={concurrency}): at least 1 each")
        self.model = model
        self.samples, self.limit = samples, limit
        self._concurrency = concurrency
        self.prompt = prompts.load("code-tests")

    def map_models(self, change: Callable[[Model], Model]) -> Self:
        other = copy(self)
        other.model = change(self.model)
        return other

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:
        """See `TestSource`; what the model failed to give is noted as `tests_missing`."""
        judge = JudgeModel(self.model, WRITER_SAMPLING, asyncio.Semaphore(self._concurrency))
        words = self.prompt.render(question=conversation_text(question))
        replies = await asyncio.gather(*(judge.ask(words, f"tests.{i}", run) for i in range(self.samples)))
        found = Counter(test for reply in replies for test in dict.fromkeys(_asserts(reply.text)))
        ranked = sorted(found, key=lambda test: (-found[test], test))[: self.limit]
        failed = [reply.problem for reply in replies if reply.problem]
        note = Degradation(code="tests_missing", where=f"{run.node}: {self.model.name}", detail=next(iter(failed), ""))
        degraded = tuple(note for reply in replies for note in reply.degraded)
        return tuple(ranked), (*((note,) if failed else ()), *degraded)

    async def aclose(self) -> None:
        """Closes the model."""
        await self.model.aclose()

    def __repr__(self) -> str:
        return f"tests by {self.model.name}"


def _asserts(text: str) -> list[str]:
    lines = (line.strip() for line in visible(text).splitlines())
    return [line for line in lines if line.startswith("assert ") and len(line) <= LONGEST_TEST]


class Executor(Protocol):
    """Runs a program; see `Sandbox`."""

    async def run(self, program: str) -> Execution: ...


_HARNESS = """
import os, signal

class Late(BaseException):
    pass

running = False

def late(*_):
    if running:
        raise Late

def one(code, test):
    global running
    space = {{"__name__": "candidate"}}
    signal.setitimer(signal.ITIMER_REAL, {seconds!r}, 0.1)
    try:
        running = True
        exec(code, space)
        exec(compile(test, "test", "exec"), space)
        running = False
        return True
    except BaseException:
        running = False
        return False
    finally:
        running = False
        signal.setitimer(signal.ITIMER_REAL, 0)

def main():
    report = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.signal(signal.SIGALRM, late)
    code = compile({code!r}, "candidate", "exec")
    for number, test in enumerate({tests!r}):
        try:
            good = one(code, test)
        except BaseException:
            good = False
        if good:
            os.write(report, b"%s %d\\n" % ({token!r}, number))

main()
"""


async def run_tests(code: str, tests: Sequence[str], executor: Executor, *, seconds: float = 1.0) -> frozenset[int]:
    """The numbers of the tests that the code passes; those that the program's limits left no time for fail.

    Args:
        code: a Python module.
        tests: statements that raise where the code is wrong.
        executor: runs the program.
        seconds: for each test, the code's own import included.
    """
    token = secrets.token_hex(8).encode()
    execution = await executor.run(_HARNESS.format(code=code, tests=list(tests), token=token, seconds=seconds))
    numbers = (line.removeprefix(token + b" ") for line in execution.output.splitlines() if line.startswith(token))
    return frozenset(int(n) for n in numbers if n.isdigit() and len(n) < 9 and int(n) < len(tests))
