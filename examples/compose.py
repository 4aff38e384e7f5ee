"""Composing pipelines in Python: votes, stopping rules, synthesis, pipelines inside pipelines.

Runs on the embedded model; put an `Endpoint` in its place for a model of yours.
"""

from __future__ import annotations

import asyncio

from quorate import AdaptiveConsistency, Budget, Embedded, MajorityVote, SamplingParams, sample
from quorate.orchestrator.events import TallyChanged

QUESTION = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"


async def main() -> None:
    async with Embedded("quorate-tiny-base") as tiny:
        vote = sample(tiny, n=16) | MajorityVote()
        answer = await vote.answer(QUESTION, seed=1)
        print(f"{answer.answer} by {answer.tally[0].votes} of {len(answer.candidates)} votes")

        adaptive = sample(tiny, n=16, wave=4, stop=AdaptiveConsistency(0.95)) | MajorityVote()
        answer = await adaptive.answer(QUESTION, seed=1)
        print(f"{answer.answer} after {len(answer.candidates)} samples: {answer.stopped}")

        calm = sample(tiny, n=4, sampling=SamplingParams(temperature=0.7)) | MajorityVote()
        nested = sample([vote, calm], n=2) | MajorityVote()
        answer = await nested.answer(QUESTION, seed=1)
        print(f"{nested.name}: {answer.answer}, {answer.usage.completion_tokens} tokens")

        answer = await vote.answer(QUESTION, seed=1, budget=Budget(samples=4))
        print(f"{answer.answer} within a budget: {answer.stopped}")

        async for event in vote.events(QUESTION, seed=2):
            if isinstance(event, TallyChanged):
                print(" ", {cluster.answer: cluster.votes for cluster in event.tally})


if __name__ == "__main__":
    asyncio.run(main())
