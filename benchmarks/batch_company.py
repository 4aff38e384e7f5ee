"""Does a text depend on what a server computes beside it? Asks the same requests alone and all at once.

    python -m benchmarks.batch_company --upstream http://localhost:8000 --model MODEL

Each question is asked with a seed of its own, or greedily, first one after the other, then all together.
"""

from __future__ import annotations

import argparse
import asyncio

from quorate import Endpoint, Question
from quorate.evals.statistics import wilson
from quorate.evals.tasks.stories.generate import generate
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.partial import PartialCandidate


async def ask(agent: Endpoint, question: Question, seed: int) -> str:
    run = RunContext(seed=seed, live=False)
    slot = PartialCandidate(0, run)
    await agent.sample(question, [slot], run)
    assert slot.result is not None
    assert slot.result.error is None, slot.result.error
    return slot.result.text


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=48)
    given = parser.parse_args()
    texts = [problem.question for problem in generate("easy", seed=7, count=given.questions)]
    async with Endpoint(given.model, base_url=given.upstream) as agent:
        for kind, temperature in (("seeded", 1.0), ("greedy", 0.0)):
            asked = [
                Question.of(text).with_params(
                    temperature=temperature, max_tokens=given.tokens, extra={"ignore_eos": True}
                )
                for text in texts
            ]
            alone = [await ask(agent, question, place) for place, question in enumerate(asked)]
            again = [await ask(agent, question, place) for place, question in enumerate(asked[:4])]
            together = await asyncio.gather(*(ask(agent, question, place) for place, question in enumerate(asked)))
            differ = sum(a != b for a, b in zip(alone, together, strict=True))
            share, same = wilson(differ, len(asked)), sum(a == b for a, b in zip(alone, again, strict=False))
            print(f"{kind}: {differ} of {len(asked)} differ, {share.low:.3f} to {share.high:.3f} of all; ", end="")
            print(f"of {len(again)} asked alone again, {same} are the same", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
