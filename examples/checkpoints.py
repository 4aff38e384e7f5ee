"""A run that breaks after sampling goes on without sampling again."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from quorate import Answer, Checkpoints, Embedded, MajorityVote, Question, RunContext, Sampled, sample


class PowerCut(BaseException):
    """Ends everything; an ordinary exception of an aggregator would be answered by the vote as it stood."""


class FailsOnce(MajorityVote):
    """A vote in whose first count the power fails."""

    broken = False

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        if not self.broken:
            self.broken = True
            raise PowerCut("power cut")
        return await super().aggregate(question, sampled, run)


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
