"""Where tests come from: given, or written by a model as in CodeT (arXiv 2207.10397, section 2.1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from quorate import prompts
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Degradation, Question, SamplingParams

from ..judges.model import JudgeModel, conversation_text
from ..markup import visible

__all__ = ["TestSource", "TestWriter", "given"]

LONGEST_TEST = 2000
"""Characters; longer lines are no asserts that anybody meant."""


class TestSource(Protocol):
    """Gives the tests for a question."""

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:
        """Statements to run after a candidate's code, and what went wrong in getting them."""
        ...


class Given:
    """The same tests for every question."""

    def __init__(self, tests: Sequence[str]) -> None:
        if isinstance(tests, str) or not all(isinstance(test, str) and test.strip() for test in tests):
            raise BadInput("tests must be a list of statements, such as ['assert f(2) == 4']")
        self._tests = tuple(dict.fromkeys(tests))

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:  # noqa: ARG002
        """See `TestSource`."""
        return self._tests, ()

    def __repr__(self) -> str:
        return f"{len(self._tests)} tests"


def given(tests: TestSource | Sequence[str]) -> TestSource:
    """A source of tests, whichever of the two it is."""
    return Given(tests) if isinstance(tests, Sequence) else tests


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

    async def tests(self, question: Question, run: RunContext) -> tuple[tuple[str, ...], tuple[Degradation, ...]]:
        """See `TestSource`; what the model failed to give is noted as `tests_missing`."""
        judge = JudgeModel(self.model, SamplingParams(), asyncio.Semaphore(self._concurrency))
        words = self.prompt.render(question=conversation_text(question))
        replies = await asyncio.gather(*(judge.ask(words, f"tests.{i}", run) for i in range(self.samples)))
        found = Counter(test for reply in replies for test in dict.fromkeys(_asserts(reply.text)))
        ranked = sorted(found, key=lambda test: (-found[test], test))[: self.limit]
        failed = [reply.problem for reply in replies if reply.problem]
        note = Degradation(code="tests_missing", where=f"{run.node}: {self.model.name}", detail=next(iter(failed), ""))
        degraded = tuple(note for reply in replies for note in reply.degraded)
        return tuple(ranked), (*((note,) if failed else ()), *degraded)

    async def aclose(self) -> None:
        close = getattr(self.model, "aclose", None)
        if close is not None:
            await close()

    def __repr__(self) -> str:
        return f"tests by {self.model.name}"


def _asserts(text: str) -> list[str]:
    lines = (line.strip() for line in visible(text).splitlines())
    return [line for line in lines if line.startswith("assert ") and len(line) <= LONGEST_TEST]
