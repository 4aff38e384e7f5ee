"""A vote over servers that misbehave: one is down, one hangs now and then, and the answer comes in time."""

from __future__ import annotations

import asyncio
from itertools import count

from quorate import Endpoint, Fallback, Hedged, MajorityVote, Pool, sample
from quorate.agents import BreakerPolicy, RetryPolicy
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

asked = count()


def now_and_then(_: Received) -> Step:
    """Every fourth request hangs."""
    return Fault.hang(after_chunks=1) if next(asked) % 4 == 3 else Reply("17 * 24 = 408")


async def main() -> None:
    async with (
        ScriptedUpstream(Fault.status(503, "out of memory")) as down,
        ScriptedUpstream(now_and_then) as moody,
        ScriptedUpstream(Reply("It is 408.")) as small,
    ):
        once, soon = RetryPolicy(attempts=1), BreakerPolicy(failures=1)
        one, two = (Endpoint("big", base_url=up.url, retries=once, breaker=soon) for up in (down, moody))
        async with Fallback(Hedged(Pool([one, two]), after=0.2), Endpoint("small", base_url=small.url)) as model:
            vote = sample(model, n=5, quorum=4, grace=0.2, seconds=5) | MajorityVote()
            answer = await vote.answer("What is 17 * 24?")
        print(f"{answer.answer} by {answer.tally[0].votes} of {len(answer.candidates)} samples: {answer.stopped}")
        for note in answer.degraded:
            print(f"{note.code:20} {note.where}")
        print(f"{answer.usage.requests} requests, {answer.usage.total_tokens} tokens, cancelled ones included")
        print(f"first server: {'in use' if one.available else 'left alone for a while'}")


if __name__ == "__main__":
    asyncio.run(main())
