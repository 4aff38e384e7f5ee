"""Hedged requests, over real sockets: the first to answer wins, and both are paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from quorate import Endpoint, Hedged, MajorityVote, Pool, sample
from quorate.agents import RetryPolicy, Timeouts
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Received, Reply, ScriptedModel, ScriptedUpstream, Step

from .asking import Drawing, draw


def endpoint(up: ScriptedUpstream) -> Endpoint:
    return Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(attempts=1))


def then(*steps: Step) -> Callable[[Received], Step]:
    left = iter(steps)
    return lambda _: next(left)


@pytest.mark.parametrize("live", [False, True])
async def test_a_second_request_overtakes_a_straggler(live: bool) -> None:
    """The straggler is cancelled upstream; its prompt counts."""
    async with ScriptedUpstream(then(Fault.hang(), Reply("so it is"))) as up, Hedged(endpoint(up), after=0.05) as model:
        result = await draw(model, live=live)
        await up.wait_until(lambda up: up.in_flight == 0)
        assert model.hedges == 1
    assert result.texts == ["so it is"]
    assert "".join(result.tokens(0)) == ("so it is" if live else "")
    assert [r.disconnected for r in up.requests] == [True, False]
    assert result.one.usage.requests == 2
    assert result.one.usage.estimated


async def test_the_first_sign_of_life_decides() -> None:
    """A stream that has begun is not overtaken, however slowly it drips; the second request ends at once."""
    async with (
        ScriptedUpstream(then(Reply("slow but sure", delay=0.15, gap=0.05), Fault.hang())) as up,
        Hedged(endpoint(up), after=0.05) as model,
    ):
        result = await draw(model, live=True)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert result.texts == ["slow but sure"]
    assert [r.disconnected for r in up.requests] == [False, True]


async def test_a_failure_waits_for_the_other_request() -> None:
    """The first one fails while the second runs: the second decides."""
    async with (
        ScriptedUpstream(then(Reply("x", delay=30), Fault.status(500))) as up,
        Hedged(endpoint(up), after=0.05) as model,
    ):
        task = asyncio.create_task(draw(model))
        await up.wait_until(lambda up: len(up.requests) == 2 and up.in_flight == 1)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with (
        ScriptedUpstream(then(Reply("x", delay=0.2), Fault.status(500))) as up,
        Hedged(endpoint(up), after=0.05) as model,
    ):
        result = await draw(model)
    assert result.texts == ["x"]
    assert result.one.usage.requests == 2


async def test_two_failures_are_one() -> None:
    """With the usage of both."""
    async with ScriptedUpstream(then(Fault.hang(), Fault.status(503))) as up:
        once, brief = RetryPolicy(attempts=1), Timeouts(first_byte=0.3, total=0.3)
        impatient = Endpoint("m", base_url=up.url, timeouts=brief, retries=once)
        async with Hedged(impatient, after=0.05) as model:
            result = await draw(model)
    assert result.one.error is not None
    assert result.one.error.status == 504
    assert result.one.usage.requests == 2


async def test_quick_answers_are_asked_once() -> None:
    """Hedging costs nothing where nobody straggles."""
    async with ScriptedUpstream(Reply("x")) as up, Hedged(endpoint(up), after=5) as model:
        assert (await draw(model, 4)).texts == ["x"] * 4
    assert len(up.requests) == 4


async def test_hedges_are_a_share_of_the_samples() -> None:
    """Where everything is slow, no more than the share is asked twice."""
    async with ScriptedUpstream(Reply("x", delay=0.1)) as up, Hedged(endpoint(up), after=0.02, share=0.25) as model:
        await draw(model, 12)
    assert 1 <= model.hedges <= 1 + 12 * 0.25
    assert len(up.requests) == 12 + model.hedges


async def test_the_percentile_learns_what_is_slow() -> None:
    """After enough answers the patience is that of most of them; before, nobody is hedged."""
    async with ScriptedUpstream(Reply("x", delay=0.01)) as up, Hedged(endpoint(up), percentile=0.9) as model:
        assert model.patience is None
        await draw(model, 24)
        assert model.patience is not None
        assert model.patience < 5
        up._script = lambda _: Fault.hang() if len(up.requests) == 25 else Reply("x")
        assert (await draw(model)).texts == ["x"]
        assert model.hedges >= 1


async def test_over_a_pool_the_second_request_goes_elsewhere() -> None:
    """The straggling server has one sample more under way."""
    async with (
        ScriptedUpstream(Fault.hang()) as slow,
        ScriptedUpstream(Reply("so 7")) as quick,
        Hedged(Pool([endpoint(slow), endpoint(quick)]), after=0.5, share=1) as model,
    ):
        vote = await (sample(model, n=2) | MajorityVote()).answer("?")
        await slow.wait_until(lambda up: up.in_flight == 0)
    assert vote.answer == "7"
    assert vote.degraded == ()
    assert (len(slow.requests), len(quick.requests)) == (1, 2)


@pytest.mark.parametrize("steps", [(Fault.hang(), Fault.hang()), (Fault.hang(after_chunks=2), Fault.hang())])
async def test_leaving_ends_both(steps: tuple[Step, Step]) -> None:
    """Both are cancelled upstream; one cut candidate carries what both have cost."""
    async with ScriptedUpstream(then(*steps)) as up, Hedged(endpoint(up), after=0.05) as model:
        drawing = Drawing.of([0], live=True)
        task = asyncio.create_task(drawing.draw(model, "How many?"))
        async with asyncio.timeout(30):
            while len(up.requests) < 2 and not drawing.token_count:  # noqa: ASYNC110  a token is no change of the server
                await asyncio.sleep(0.01)
        await drawing.let_go(task)
        await up.wait_until(lambda up: up.in_flight == 0)
    cut = drawing.one
    assert cut.finish_reason == "cancelled"
    assert cut.usage == drawing.spent != Usage()
    assert all(r.disconnected for r in up.requests)


@pytest.mark.parametrize("wrong", [{"after": 0}, {"percentile": 1}, {"share": 0}, {"share": 1.5}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    """Named, when they are made."""
    with pytest.raises(BadInput, match=next(iter(wrong))):
        Hedged(ScriptedModel(), **wrong)


def test_what_a_hedged_model_is() -> None:
    """What it asks, but for what cannot be hedged."""
    model = Endpoint("m", base_url="http://host")
    hedged = Hedged(Pool([model, model]), after=1)
    assert hedged.identity == hedged.model.identity
    assert Hedged(model).identity.capabilities == model.identity.capabilities - {"completions"}
    assert hedged.parts == (hedged.model,)
    assert hedged.available
