"""Votes that stop early over samples that arrive in some order; run as a script it prints what came of them.

python -m tests.aggregators.stopping.arrivals
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence

from quorate import sample
from quorate.aggregators import MajorityVote
from quorate.aggregators.registry import STOPPING_RULES, build_rule
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage

__all__ = ["Delayed", "outcomes"]

NUMBERS = [rf"\boxed{{{text}}}" for text in ("4", r"\frac{8}{2}", "5", "4.0", "4", "five", "5", "4", "4")]
OPTIONS: Mapping[str, Mapping[str, float]] = {
    "esc": {"window": 2},
    "fixed": {"votes": 5},
    "token-limit": {"tokens": 40},
    "weight-share": {"share": 0.6, "after": 3},
}
"""With which the rules stop after some of twelve samples."""
PROSE = [
    "The library closes at six on weekdays.",
    "On weekdays the library closes at six.",
    "It is open until nine every day.",
    "The library closes at six on weekdays.",
    "I do not know.",
]


class Delayed(Agent):
    """Says text i as sample i, each after some turns of the event loop.

    Args:
        texts: said around again after the last.
        delays: draws the turns.
    """

    name = "delayed"

    def __init__(self, texts: Sequence[str], delays: random.Random) -> None:
        self._texts, self._delays = texts, delays

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        """See `protocols.Sampler`."""
        turns = {slot.index: self._delays.randrange(60) for slot in slots}
        await asyncio.gather(*(self._say(slot, run, turns[slot.index]) for slot in slots))

    async def _say(self, slot: PartialCandidate, run: RunContext, turns: int) -> None:
        slot.start(self.name, self.name, seed=run.sample_seed(slot.index))
        for _ in range(turns):
            await asyncio.sleep(0)
        text = self._texts[slot.index % len(self._texts)]
        slot.write(text)
        slot.finish("stop", Usage(prompt_tokens=3, completion_tokens=len(text.split()), requests=1))


async def outcomes() -> list[str]:
    """For each rule, wave and set of texts what the vote came to, once for all orders of arrival that give the same."""
    told = set()
    for rule in STOPPING_RULES:
        for wave in (3, 12):
            for texts in (NUMBERS, PROSE):
                for order in range(6):
                    stop = build_rule(rule, OPTIONS.get(rule, {}))
                    stage = sample(Delayed(texts, random.Random(order)), n=12, wave=wave, stop=stop)
                    answer = await (stage | MajorityVote()).answer(Question.of("When or how many?"), RunContext(seed=5))
                    votes = [[c.answer, c.voters] for c in answer.tally]
                    good = [c.index for c in answer.candidates if c.ok]
                    told.add(json.dumps([rule, wave, texts[0], answer.text, votes, good, answer.stopped]))
    return sorted(told)


if __name__ == "__main__":
    print("\n".join(asyncio.run(outcomes())))
