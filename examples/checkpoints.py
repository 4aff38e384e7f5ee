"""A run that breaks after sampling goes on without sampling again."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from quorate.orchestrator.context import RunContext

from quorate import Candidate, Checkpoints, Embedded, MajorityVote, Question, sample
from quorate.orchestrator.events import Event


class PowerCut(BaseException):
    """Ends everything; an ordinary exception of an aggregator would be answered by the vote as it stood."""


class FailsOnce(MajorityVote):
    """A vote in whose first count the power fails."""

    broken = False

    async def aggregate(
        self, question: Question, candidates: Sequence[Candidate], run: RunContext
    ) -> AsyncGenerator[Event, None]:
        if not self.broken:
            self.broken = True
            raise PowerCut("power cut")
        async for event in super().aggregate(question, candidates, run):
            yield event


async def main() -> None:
    question = "What is 12 + 30?"
    with tempfile.TemporaryDirectory() as folder:
        async with Embedded("quorate-tiny-base") as tiny, Checkpoints(Path(folder) / "runs.sqlite") as kept:
            vote = sample(tiny, n=4) | FailsOnce()
            try:
                await vote.answer(question, checkpoints=kept, thread="monday")
            except PowerCut as error:
                print(f"broke: {error}")
            answer = await vote.answer(question, checkpoints=kept, thread="monday")
            print(f"resumed: {answer.answer} from {len(answer.candidates)} samples drawn before")


if __name__ == "__main__":
    asyncio.run(main())
