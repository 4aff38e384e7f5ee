"""A model whose answers are programs: each is run, and what it prints last is the answer."""

from __future__ import annotations

import asyncio
import secrets
from weakref import WeakKeyDictionary

from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import AnswerToken
from quorate.orchestrator.model import Wrapper
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer, Question

from ..markup import visible
from .agreement import code_blocks
from .program_tests import Executor
from .sandbox import Sandbox

LONGEST = 1000
"""Characters of an answer; a program that prints more has printed no answer."""


class Computed(Wrapper):
    """Asks for a program, runs it, and answers with the last line that it prints (program of thoughts).

    A reply without a program, and one that fails, runs too long or prints nothing, is a failure of the candidate.

    Args:
        model: is asked for a program, in words that are around it already.
        executor: runs it; `Sandbox()` by default.
        concurrency: programs at a time.
        name: how it is called.

    Raises:
        BadInput: no program could ever run.
    """

    def __init__(
        self, model: Model, *, executor: Executor | None = None, concurrency: int = 4, name: str | None = None
    ) -> None:
        if concurrency < 1:
            raise BadInput(f"Computed(concurrency={concurrency}): give at least 1")
        super().__init__(model, name=name or f"{model.name}:code")
        self.executor, self._concurrency = executor or Sandbox(), concurrency
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        answer = await self.model.answer(question, run)
        blocks = code_blocks(visible(answer.text))
        if not blocks:
            raise NoAnswer(f"{self.name}: the reply holds no program in a ```python block", code="program_missing")
        said = f"\n\nAnswer: {await self._run(max(blocks, key=len))}"
        if run.observed:
            run.emit(AnswerToken(text=said))
        return answer.replace(text=answer.text.rstrip() + said, answer=None, model=self.name)

    async def _run(self, program: str) -> str:
        """The last line that the program prints.

        Raises:
            NoAnswer: it fails, runs too long or prints no answer.
        """
        # A program that fails prints its traceback, too: only one that comes to its end prints this.
        token = secrets.token_hex(8)
        places = self._places.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._concurrency))
        async with places:
            execution = await self.executor.run(f"{program}\n\nprint()\nprint({token!r})\n")
        printed, ended, _ = execution.output.decode(errors="replace").rpartition(token)
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        if execution.ended != "complete" or not ended:
            last = execution.output.decode(errors="replace").strip().splitlines()[-1:] or [execution.ended]
            raise NoAnswer(f"{self.name}: the program failed: {last[0][:200]}", code="program_failed")
        if not lines or len(lines[-1]) > LONGEST:
            raise NoAnswer(f"{self.name}: the program printed no answer", code="program_failed")
        return lines[-1]
