"""Graphs of agents: words of their own, a second opinion where the first is unsure, a loop, and nodes of one's own.

Runs on the embedded model; put an `Endpoint` in its place for a model of yours.
"""

from __future__ import annotations

import asyncio

from quorate import (
    AdaptiveConsistency,
    Answer,
    Edge,
    Embedded,
    Graph,
    MajorityVote,
    SamplingParams,
    cascade,
    prompted,
    sample,
)
from quorate.orchestrator.aggregating import AggregateNode
from quorate.orchestrator.drawing import draw_mermaid
from quorate.orchestrator.nodes import SampleNode
from quorate.orchestrator.state import ELSE, END, START, State

QUESTION = "A bakery bakes 7 trays of 12 rolls each. It sells 30 rolls. How many rolls are left?"


def unsettled(state: State) -> bool:
    """Whether fewer than half of the samples agree."""
    sampled = state.sampled
    return not sampled.tally or sampled.tally[0].votes < len(sampled.good) / 2


def print_path(answer: Answer) -> None:
    """What each node did."""
    for visit in answer.path:
        print(f"  {visit.node:8} {visit.seconds:6.2f} s  {visit.outcome}")
    print(f"{answer.answer} settled by {answer.route or answer.path[-1].node}")


async def main() -> None:
    async with Embedded("quorate-tiny-base") as tiny:
        calm = prompted(tiny, name="calm", sampling=SamplingParams(temperature=0.5))
        again = prompted(tiny, "{{ question }}", name="again")

        first = sample(calm, n=4) | MajorityVote()
        second = sample([calm, again], n=16, stop=AdaptiveConsistency(0.95)) | MajorityVote()
        answer = await cascade(first.with_name("first"), second.with_name("second"), accept=0.9).answer(
            QUESTION, seed=1
        )
        print_path(answer)

        vote = MajorityVote()
        draft = SampleNode("draft", sample(tiny, n=4), counted_by=vote, max_visits=3)
        loop = Graph(
            [draft, AggregateNode("vote", vote)],
            [
                Edge(START, "draft"),
                Edge("draft", "draft", unsettled),
                Edge("draft", "vote", ELSE),
                Edge("vote", END),
            ],
            name="until-settled",
        )
        print_path(await loop.answer(QUESTION, seed=1))
        print(draw_mermaid(loop))


if __name__ == "__main__":
    asyncio.run(main())
