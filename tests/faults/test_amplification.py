"""How many requests one answer may cause: known before, and kept whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate import Budget, Fallback, Hedged, MajorityVote, Pool, SelfMoA, sample
from quorate.agents import RetryPolicy
from quorate.agents.endpoint import Endpoint
from quorate.orchestrator.amplification import requests_of
from quorate.orchestrator.context import RequestLimit, RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.types import Question
from quorate.testing import Fault, ScriptedUpstream

from .test_usage import STEPS, SYSTEMS, endpoint

BAD = sorted(name for name in STEPS if name != "hangs in the middle")


async def count(system: str, scripts: Sequence[Sequence[str]], *, limited: bool) -> tuple[int, int]:
    """What was foretold of a run over two servers, and the requests that came but those refused for their form."""
    async with AsyncExitStack() as stack:
        ups = [
            await stack.enter_async_context(ScriptedUpstream([STEPS[name] for name in script])) for script in scripts
        ]
        one, two = [await stack.enter_async_context(endpoint(up)) for up in ups]
        model = SYSTEMS[system](one, two)
        most = requests_of(model)
        run = RunContext(seed=1, budget=Budget(seconds=0.8), requests=RequestLimit(most) if limited else None)
        with suppress(NoAnswer):
            await model.answer(Question.of("How many are there?"), run)
        for up in ups:
            await up.wait_until(lambda up: up.in_flight == 0)
    came = 0
    for up, script in zip(ups, scripts, strict=True):
        steps = [*script, *([script[-1]] * len(up.requests))][: len(up.requests)]
        came += sum(step != "refused" for step in steps)
    return most, came


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.lists(st.sampled_from(BAD), min_size=1, max_size=6),
    second=st.lists(st.sampled_from(BAD), min_size=1, max_size=4),
    limited=st.booleans(),
)
def test_no_fault_causes_more(system: str, first: list[str], second: list[str], limited: bool) -> None:
    """Tries again, hedges and fallbacks included; and that by itself, without the limit that would hold it."""
    most, came = asyncio.run(count(system, [first, second], limited=limited))
    assert came <= most


async def test_the_number_is_a_product() -> None:
    """Samples times tries times hedges; fallbacks and aggregators add theirs."""
    three = Endpoint("m", base_url="http://localhost:1")
    once = Endpoint("w", base_url="http://localhost:1", retries=RetryPolicy(attempts=1))
    vote = sample(three, n=4) | MajorityVote()
    assert [requests_of(model) for model in (three, once, vote)] == [3, 1, 12]
    assert requests_of(sample(Hedged(Pool([three, once])), n=2) | MajorityVote()) == 2 * 2 * 4
    assert requests_of(sample(Fallback(vote, once), n=3) | SelfMoA(three)) == 3 * 13 + 3
    assert requests_of(sample(vote, n=5) | MajorityVote()) == 5 * 12


async def test_a_limit_ends_what_would_go_on() -> None:
    """What has been asked by then counts; the rest says why there is no more."""
    async with ScriptedUpstream([STEPS["good"]]) as up, endpoint(up, n_supported=False) as agent:
        run = RunContext(seed=1, requests=RequestLimit(2))
        answer = await (sample(agent, n=4) | MajorityVote()).answer(Question.of("How many?"), run)
    assert len(up.requests) == 2
    assert sum(c.ok for c in answer.candidates) == 2
    assert {c.error.code for c in answer.candidates if c.error} == {"requests_spent"}


async def test_what_is_refused_for_its_form_does_not_count() -> None:
    """A server that knows no seed costs one request more, which has done nothing."""
    async with ScriptedUpstream([STEPS["good"]], refuses=["seed"]) as up, endpoint(up) as agent:
        run = RunContext(seed=1, requests=RequestLimit(1))
        answer = await agent.answer(Question.of("How many?"), run)
    assert answer.text == "the answer is 42"
    assert run.requests is not None
    assert run.requests.sent == 1


async def test_an_error_stays_what_it_was() -> None:
    """Where the limit forbids a further try, the last try's error is told."""
    async with ScriptedUpstream(Fault.status(503)) as up, endpoint(up) as agent:
        with pytest.raises(NoAnswer, match="503"):
            await agent.answer(Question.of("How many?"), RunContext(requests=RequestLimit(1)))
    assert len(up.requests) == 1
