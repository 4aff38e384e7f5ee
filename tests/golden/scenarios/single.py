"""Single models, asked and out of luck."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quorate import (
    Budget,
)
from quorate.agents import RetryPolicy
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..answering import STORY, SUM, endpoint, recorded, said, solver, tiny
from ..scenario import Ask, scenario
from ..telling import build


@scenario
async def single_model() -> AsyncIterator[Ask]:
    """One scripted model by itself: its tokens are those of the answer."""
    yield Ask(build("m", m=solver()), SUM)


@scenario
async def single_embedded() -> AsyncIterator[Ask]:
    """The shipped model, sampled with a seed."""
    yield Ask(build("tiny", tiny=tiny()), STORY)


@scenario
async def single_embedded_token_budget() -> AsyncIterator[Ask]:
    """The budget of tokens bounds the answer of a single model."""
    yield Ask(build("tiny", tiny=tiny(temperature=0)), STORY, budget=Budget(tokens=9))


@scenario
async def single_endpoint() -> AsyncIterator[Ask]:
    """A server that thinks aloud before it answers."""
    async with ScriptedUpstream(Reply("It is \\boxed{17}.", reasoning="3 and 14 make 17.", usage=(12, 9))) as up:
        yield Ask(build("m", m=endpoint(up)), SUM)


@scenario
async def single_endpoint_rate_limited() -> AsyncIterator[Ask]:
    """A 429 with its Retry-After survives as the error of the call."""
    async with ScriptedUpstream(Fault.status(429, "slow down", retry_after=30)) as up:
        yield Ask(build("m", m=endpoint(up)), SUM)


@scenario
async def single_endpoint_tried_again() -> AsyncIterator[Ask]:
    """A 503 is tried again, and counts as no spending."""
    async with ScriptedUpstream([Fault.status(503), Reply("It is \\boxed{17}.")]) as up:
        yield Ask(build("m", m=endpoint(up, retries=RetryPolicy(attempts=2, backoff=0.01))), SUM)


@scenario
async def single_endpoint_refused() -> AsyncIterator[Ask]:
    """A 401 is the caller's business and is not tried again."""
    async with ScriptedUpstream(Reply("ok"), api_key="secret") as up:
        yield Ask(build("m", m=endpoint(up, retries=RetryPolicy(attempts=3, backoff=0.01))), SUM)


@scenario
async def single_endpoint_deadline() -> AsyncIterator[Ask]:
    """A stream that hangs after two pieces: what has come is the answer, cut by its length."""
    fault = Fault.hang(after_chunks=2, reply=Reply("one two three four"))
    async with ScriptedUpstream(fault) as up:
        yield Ask(build("m", m=endpoint(up)), SUM, budget=Budget(seconds=0.35))


@scenario
async def single_deadline_without_text() -> AsyncIterator[Ask]:
    """A model that never says anything is an error when the time is over."""
    yield Ask(build("m", m=solver(None)), SUM, budget=Budget(seconds=0.1))


@scenario
async def recorded_answers() -> AsyncIterator[Ask]:
    """Recorded answers with their usage; a sample that is not recorded fails."""
    samples = (
        {"text": said(17), "usage": {"prompt_tokens": 9, "completion_tokens": 4, "requests": 1}},
        {"text": said(18), "reasoning": "Let me see.", "usage": {"completion_tokens": 6, "requests": 1}},
        17,
    )
    yield Ask(build("majority@4/m", m=recorded(*samples)), SUM)
