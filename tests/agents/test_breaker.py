"""The circuit breaker and the budget for trying again, by themselves and in an endpoint."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import BreakerPolicy, Rate, RetryPolicy
from quorate.agents.endpoint.breaker import Breaker, RetryBudget
from quorate.orchestrator.errors import BadInput, BadReply, NoAnswer, RateLimited, Rejected, UpstreamError
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream

from .asking import draw

BROKEN = BadReply("HTTP 500")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(**settings: float) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(BreakerPolicy(**{"failures": 3, "pause": 5.0, **settings}), clock), clock  # type: ignore[arg-type]


def test_it_opens_after_failures_in_a_row() -> None:
    """A success in between begins the count anew."""
    circuit, _ = breaker()
    for error in (BROKEN, BROKEN, None, BROKEN, BROKEN):
        circuit.note_end(error)
    assert circuit.wait() is None
    circuit.note_end(BROKEN)
    assert (circuit.state, circuit.wait(), circuit.reason) == ("open", 5.0, "HTTP 500")


def test_it_opens_at_a_share_of_failures() -> None:
    """Every second request fails: never three in a row, but half of the last ten."""
    circuit, _ = breaker(last=10, share=0.5)
    for _ in range(4):
        circuit.note_end(None)
        circuit.note_end(BROKEN)
    assert circuit.wait() is None
    circuit.note_end(None)
    circuit.note_end(BROKEN)
    assert circuit.wait() == 5.0


@given(st.lists(st.sampled_from([RateLimited("x"), Rejected("x")]), max_size=60))
def test_refusals_and_rate_limits_never_open_it(errors: list[UpstreamError]) -> None:
    """They are a server's that lives."""
    circuit, _ = breaker()
    for error in errors:
        circuit.note_end(error)
    assert circuit.state == "closed"


def test_half_open_lets_one_request_through() -> None:
    """It fails: left alone for twice as long, up to a limit. It is answered: closed."""
    circuit, clock = breaker(longest=15.0)
    for _ in range(3):
        circuit.note_end(BROKEN)
    for pause in (10.0, 15.0, 15.0):
        clock.now += circuit.wait() or 0
        assert circuit.state == "half_open"
        assert circuit.admit() is None
        assert circuit.admit() is not None
        circuit.note_end(BROKEN)
        assert circuit.wait() == pause
    clock.now += 15
    assert circuit.admit() is None
    circuit.note_reply()
    assert (circuit.state, circuit.admit()) == ("closed", None)


def test_a_probe_that_is_never_heard_of_again_blocks_nothing() -> None:
    """Its request was cancelled; after another pause the next one may try."""
    circuit, clock = breaker()
    for _ in range(3):
        circuit.note_end(BROKEN)
    clock.now = 5
    assert circuit.admit() is None
    clock.now = 10
    assert circuit.admit() is None


def test_failures_of_requests_under_way_do_not_prolong_the_pause() -> None:
    """They say what is known already."""
    circuit, clock = breaker()
    for _ in range(3):
        circuit.note_end(BROKEN)
    clock.now = 2
    circuit.note_end(BROKEN)
    assert circuit.wait() == 3


@given(share=st.floats(0.01, 1), reserve=st.integers(1, 20), asked=st.integers(0, 200))
def test_the_retry_budget_is_a_share(share: float, reserve: int, asked: int) -> None:
    """Never more than what was saved up and the share of requests, whatever the order."""
    budget, taken = RetryBudget(share, reserve), 0
    for _ in range(asked):
        budget.note_request()
        taken += budget.take() + budget.take()
    assert taken <= reserve + share * asked + 1e-6


@pytest.mark.parametrize("field", ["failures", "share", "last", "pause", "longest"])
def test_impossible_settings_are_refused(field: str) -> None:
    """Named, when they are made."""
    with pytest.raises(BadInput, match=field):
        BreakerPolicy(**{field: 0})


async def test_an_open_circuit_fails_fast_with_503_and_retry_after() -> None:
    """Nothing is sent; the error says why, and when to come back."""
    async with (
        ScriptedUpstream(Fault.status(500, "out of memory")) as up,
        Endpoint(
            "m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=3, pause=30)
        ) as model,
    ):
        for _ in range(3):
            await draw(model)
        assert not model.available
        candidate = (await draw(model)).one
        with pytest.raises(NoAnswer) as caught:
            await (sample(model, n=3) | MajorityVote()).answer("?")
    assert len(up.requests) == 3
    assert candidate.error is not None
    assert (candidate.error.status, candidate.error.code) == (503, "circuit_open")
    assert "out of memory" in candidate.error.message
    assert candidate.usage.requests == 0
    assert (caught.value.status, caught.value.code) == (503, "circuit_open")
    assert 25 < (caught.value.retry_after or 0) <= 30


@pytest.mark.parametrize(
    "fault",
    [
        Fault.close(),
        Fault.close_midway(),
        Fault.reset_midway(),
        Fault.error_midway(),
        Fault.bad_body(b"{"),
        Raw([b"data: {\n\n"]),
    ],
)
async def test_every_way_of_failing_counts(fault: Raw | Fault) -> None:
    """Whether the reply never begins, breaks off or cannot be read."""
    async with (
        ScriptedUpstream(fault) as up,
        Endpoint(
            "m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2, pause=30)
        ) as model,
    ):
        for _ in range(2):
            assert (await draw(model, live=True)).one.error is not None
        assert not model.available


async def test_a_server_that_is_back_is_used_again() -> None:
    """The first request after the pause finds out."""
    async with (
        ScriptedUpstream([Fault.status(500), Fault.status(500), Reply("x")]) as up,
        Endpoint(
            "m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2, pause=0.05)
        ) as model,
    ):
        for _ in range(2):
            await draw(model)
        await asyncio.sleep(0.06)
        assert (await draw(model)).texts == ["x"]
        assert model.available


async def test_a_vote_does_not_multiply_a_storm() -> None:
    """Sixteen samples at a server that refuses all of them: at most the saved-up tries again, not 48 requests."""
    async with (
        ScriptedUpstream(Fault.status(503)) as up,
        Endpoint(
            "m",
            base_url=up.url,
            n_supported=False,
            retries=RetryPolicy(backoff=0.01, reserve=4, share=0.1),
            breaker=BreakerPolicy(failures=1000, last=1000, share=1),
        ) as model,
    ):
        vote = sample(model, n=16) | MajorityVote()
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await vote.answer("?")
    assert 32 < len(up.requests) <= 32 + 4 + 3


async def test_nobody_asks_before_retry_after() -> None:
    """One sample is told to wait; the others, and the next question's, are not sent before either."""
    loop, times = asyncio.get_running_loop(), list[float]()

    def noted(_: object) -> Raw | Reply:
        times.append(loop.time())
        return Fault.status(429, retry_after=0.3) if len(times) == 1 else Reply("x")

    async with (
        ScriptedUpstream(noted) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as model,
    ):
        first = asyncio.create_task(draw(model))
        await up.wait_until(lambda up: len(up.requests) == 1 and up.in_flight == 0)
        await asyncio.sleep(0.05)
        assert (await draw(model, 3)).texts == ["x"] * 3
        assert (await first).texts == ["x"]
    assert min(times[1:]) - times[0] >= 0.29


async def test_the_rate_holds_where_waiting_requests_are_cancelled() -> None:
    """A cancelled one takes nobody's turn: the others go on in order, never faster than allowed."""
    loop, times, order = asyncio.get_running_loop(), list[float](), list[str]()

    def noted(received: object) -> Reply:
        times.append(loop.time())
        order.append(received.body["messages"][0]["content"])  # type: ignore[attr-defined]
        return Reply("x")

    async with (
        ScriptedUpstream(noted) as up,
        Endpoint("m", base_url=up.url, rate=Rate(requests=2, seconds=0.2)) as model,
    ):
        tasks = [asyncio.create_task(draw(model, question=str(i))) for i in range(10)]
        await up.wait_until(lambda up: len(up.requests) == 2)
        for task in tasks[3:7]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["0", "1", "2", "7", "8", "9"]
    # Stamped on arrival, a few milliseconds after the throttle let them go.
    assert all(later - earlier >= 0.18 for earlier, later in zip(times, times[2:], strict=False))
