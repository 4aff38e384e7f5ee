"""Whoever leaves stops all upstream work: in every pipeline, while it samples and while it aggregates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from quorate import Endpoint, Fallback, Hedged, MajorityVote, Pool, sample
from quorate.aggregators.registry import PIPELINES, build_pipeline
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent, ModelBase
from quorate.orchestrator.types import Question
from quorate.testing import Fault, Received, Reply, ScriptedModel, ScriptedUpstream, Step

N = 3
LISTED = [name for name, spec in PIPELINES.items() if spec.listed]
ASKING = [name for name in LISTED if build_pipeline(name, [ScriptedModel()], n=N).calls > N]


REASONS = [
    "Because the river froze early that winter.",
    "The bridge was closed for repairs.",
    "Nobody had told the driver where to turn.",
    "A strike kept every train at its station.",
    "They had forgotten their tickets at home.",
]


def answers_then_hangs(sampled: int, hang: Step, *, prose: bool = False) -> Callable[[Received], Step]:
    """So many good, different answers; then nothing more."""
    seen = iter(range(10_000))

    def reply(_: Received) -> Step:
        place = next(seen)
        text = REASONS[place % len(REASONS)] if prose else f"The answer is {place}."
        return hang if place >= sampled else Reply(text)

    return reply


async def leave(
    model: ModelBase,
    up: ScriptedUpstream,
    until: Callable[[ScriptedUpstream], bool],
    *,
    live: bool,
    question: str = "How many?",
) -> None:
    """Asks, leaves once something holds of the server, and waits until the server is let go."""
    run = RunContext(live=live)
    task = asyncio.create_task(model.answer(Question.of(question), run))
    async with asyncio.timeout(10):
        await up.wait_until(until)
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # A request that was sent just before may reach the server later.
        await up.wait_until(lambda up: up.in_flight == 0 and len(up.requests) >= run.ledger.usage.requests)
    assert run.ledger.usage.requests == len(up.requests)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("name", LISTED)
async def test_leaving_while_it_samples(name: str, live: bool) -> None:
    """No sample goes on, and every request is in the ledger."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=1)) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as model,
    ):
        pipeline = build_pipeline(name, [model], n=N)
        await leave(pipeline, up, lambda up: up.in_flight == N, live=live)
    assert all(r.disconnected for r in up.requests)


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("name", ASKING)
async def test_leaving_while_it_aggregates(name: str, live: bool) -> None:
    """No judge, writer or member of a population goes on, and every request is in the ledger."""
    prose = name == "meaning"  # its judge is asked about prose alone
    async with (
        ScriptedUpstream(answers_then_hangs(N, Fault.hang(after_chunks=1), prose=prose)) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as model,
    ):
        pipeline = build_pipeline(name, [model], n=N)
        question = "Why were they late?" if prose else "How many?"
        await leave(pipeline, up, lambda up: len(up.requests) > N and up.in_flight > 0, live=live, question=question)
    assert all(r.disconnected for r in up.requests[N:])


@pytest.mark.parametrize(
    "over",
    [
        lambda a, b: sample(sample(a, n=2) | MajorityVote(), n=2) | MajorityVote(),
        Fallback,
        lambda a, b: Pool([a, b]),
        lambda a, b: Hedged(a, after=0.01, share=1),
        lambda a, b: sample(Hedged(Pool([a, b]), after=0.01, share=1), n=2, quorum=1, grace=9) | MajorityVote(),
        lambda a, b: Fallback(sample(a, n=3) | MajorityVote(), b),
    ],
    ids=["nested", "fallback", "pool", "hedged", "hedged pool with a quorum", "fallback of a pipeline"],
)
async def test_leaving_what_is_composed(over: Callable[[Agent, Agent], ModelBase]) -> None:
    """However deep the request lies."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=1)) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as one,
        Endpoint("m", base_url=up.url, n_supported=False) as two,
    ):
        await leave(over(one, two), up, lambda up: up.in_flight > 0, live=True)
    assert all(r.disconnected for r in up.requests)
