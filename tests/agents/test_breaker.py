"""The circuit breaker and the budget for trying again, by themselves and in an endpoint."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import BreakerPolicy, Rate, RetryPolicy
from quorate.agents.endpoint.breaker import Breaker, RetryBudget
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.types import Question, SamplingParams
from quorate.testing import Fault, Raw, Received, Reply, ScriptedUpstream, Step

from .asking import Drawing, draw


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(**settings: float) -> tuple[Breaker, Clock]:
    clock = Clock()
    return Breaker(BreakerPolicy(**{"failures": 3, "pause": 5.0, **settings}), clock), clock


def fail(circuit: Breaker, *subjects: str, caller: str = "", request: str | None = None, probe: bool = False) -> None:
    """Requests of their own, if not said otherwise, that say this."""
    for subject in subjects:
        circuit.note_failure("HTTP 500", request or f"{caller} asks {subject}", subject, caller, probe=probe)


def test_it_opens_after_failures_in_a_row() -> None:
    """A success in between refutes those before."""
    circuit, _ = breaker()
    fail(circuit, "a", "b")
    circuit.note_success()
    fail(circuit, "c", "d")
    assert (circuit.state, circuit.wait()) == ("closed", None)
    fail(circuit, "e")
    assert (circuit.state, circuit.wait(), circuit.reason) == ("open", 5.0, "HTTP 500")


def test_many_samples_of_one_request_are_one_failure() -> None:
    """Whatever they say, as the members of a debate do."""
    circuit, _ = breaker()
    fail(circuit, *"abcdefghij", request="one")
    fail(circuit, "k", request="two")
    assert circuit.wait() is None
    fail(circuit, "l", request="three")
    assert circuit.wait() == 5.0


def test_a_prompt_that_always_fails_never_opens_it() -> None:
    """However often it is asked."""
    circuit, _ = breaker()
    for number in range(100):
        fail(circuit, *["poison"] * 16, request=f"{number}")
    assert circuit.state == "closed"


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=12, max_size=200))
def test_one_callers_failures_refuse_nobody_else(subjects: list[str]) -> None:
    """It is refused itself once there are enough of them."""
    circuit, _ = breaker()
    for subject in subjects:
        fail(circuit, subject, caller="attacker")
    assert circuit.state == "closed"
    assert (circuit.wait("attacker") is not None) == (len(set(subjects)) >= 3)
    assert circuit.wait("victim") is None


def test_failures_of_several_callers_refuse_all() -> None:
    """No caller counts for more than half of what it takes, unless it is nobody in particular."""
    circuit, _ = breaker(failures=4)
    fail(circuit, *"abcdef", caller="ann")
    fail(circuit, "g", caller="bob")
    assert (circuit.wait("ann"), circuit.wait("bob")) == (5.0, None)
    fail(circuit, "h", caller="bob")
    assert (circuit.state, circuit.wait("bob"), circuit.wait("eve")) == ("open", 5.0, 5.0)


def test_half_open_lets_one_request_through() -> None:
    """It fails: left alone for twice as long, up to a limit. It is answered: closed."""
    circuit, clock = breaker(longest=15.0)
    fail(circuit, "a", "b", "c")
    for pause in (10.0, 15.0, 15.0):
        clock.now += circuit.wait() or 0
        assert circuit.state == "half_open"
        assert circuit.admit()
        assert circuit.wait() is not None
        fail(circuit, "a", probe=True)
        assert circuit.wait() == pause
    clock.now += 15
    assert circuit.admit()
    circuit.note_success()
    assert (circuit.state, circuit.wait(), circuit.admit()) == ("closed", None, False)


def test_a_probe_that_is_cancelled_makes_room_at_once() -> None:
    """Nothing is known of the server: the next request may try."""
    circuit, clock = breaker()
    fail(circuit, "a", "b", "c")
    clock.now = 5
    assert circuit.admit()
    assert circuit.wait() == 5.0
    circuit.drop_probe()
    assert circuit.wait() is None


def test_a_probe_that_is_not_heard_of_blocks_nothing() -> None:
    """After another pause the next one may try."""
    circuit, clock = breaker()
    fail(circuit, "a", "b", "c")
    clock.now = 5
    assert circuit.admit()
    clock.now = 10
    assert circuit.wait() is None


def test_failures_of_requests_under_way_do_not_prolong_the_pause() -> None:
    """They say what is known already."""
    circuit, clock = breaker()
    fail(circuit, "a", "b", "c")
    clock.now = 2
    fail(circuit, "d")
    assert circuit.wait() == 3


@given(share=st.floats(0.01, 1), reserve=st.integers(1, 20), asked=st.integers(0, 200))
def test_the_retry_budget_is_a_share(share: float, reserve: int, asked: int) -> None:
    """Never more than what was saved up and the share of requests, whatever the order."""
    budget, taken = RetryBudget(share, reserve), 0
    for _ in range(asked):
        budget.note_request()
        taken += budget.take() + budget.take()
    assert taken <= reserve + share * asked + 1e-6


@pytest.mark.parametrize("field", ["failures", "pause", "longest"])
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
        for number in range(3):
            await draw(model, question=f"{number}?")
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
        for number in range(2):
            assert (await draw(model, live=True, question=f"{number}?")).one.error is not None
        assert not model.available


async def test_a_server_that_is_back_is_used_again() -> None:
    """The first request after the pause finds out."""
    async with (
        ScriptedUpstream([Fault.status(500), Fault.status(500), Reply("x")]) as up,
        Endpoint(
            "m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2, pause=0.05)
        ) as model,
    ):
        for number in range(2):
            await draw(model, question=f"{number}?")
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
            breaker=BreakerPolicy(failures=1000),
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


async def test_a_prompt_that_always_fails_refuses_nobody() -> None:
    """Votes of sixteen on it, in a loop: every other question is answered, whoever asks."""

    def poisoned(received: Received) -> Step:
        return Fault.status(500) if "poison" in str(received.body["messages"]) else Reply("so 42")

    async with (
        ScriptedUpstream(poisoned) as up,
        Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(attempts=2, backoff=0.001)) as model,
    ):
        vote = sample(model, n=16) | MajorityVote()
        for _ in range(12):
            failed, good = await asyncio.gather(vote.answer("poison"), vote.answer("?"), return_exceptions=True)
            assert isinstance(failed, NoAnswer)
            assert failed.status == 500
            assert not isinstance(good, BaseException)
        assert model.available


async def test_poison_of_one_caller_refuses_that_one_alone() -> None:
    """However it is varied."""

    def poisoned(received: Received) -> Step:
        return Fault.status(500) if "poison" in str(received.body["messages"]) else Reply("so 42")

    async with (
        ScriptedUpstream(poisoned) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=3)) as model,
    ):
        codes = []
        for number in range(5):
            with pytest.raises(NoAnswer) as caught:
                await model.answer(Question.of(f"poison {number}"), RunContext(caller="attacker", live=False))
            codes.append(caught.value.code)
        victim = await model.answer(Question.of("?"), RunContext(caller="victim", live=False))
        again = await draw(model, question="?")
    assert codes == [*["upstream_bad_reply"] * 3, *["circuit_open"] * 2]
    assert (victim.text, again.texts) == ("so 42", ["so 42"])


async def test_samples_that_are_cancelled_after_their_first_words_show_that_the_server_lives() -> None:
    """So do those that a stopping rule or a client has no more use for."""
    async with (
        ScriptedUpstream([Fault.status(500), Fault.hang(after_chunks=2), Fault.status(500)]) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2)) as model,
    ):
        await draw(model, question="1?")
        await Drawing.of([0], live=True).cut_off(model, lambda drawing: drawing.token_count > 0, "2?")
        await draw(model, question="3?")
        assert model.available


async def test_a_probe_whose_client_leaves_frees_its_place() -> None:
    """The next request is sent at once, and finds the server back."""
    async with (
        ScriptedUpstream([Fault.status(500), Fault.status(500), Fault.hang(), Reply("x")]) as up,
        Endpoint(
            "m", base_url=up.url, retries=RetryPolicy(attempts=1), breaker=BreakerPolicy(failures=2, pause=0.05)
        ) as model,
    ):
        for number in range(2):
            await draw(model, question=f"{number}?")
        await asyncio.sleep(0.06)
        probe = asyncio.create_task(draw(model, question="probe"))
        await up.wait_until(lambda up: len(up.requests) == 3)
        assert (await draw(model)).one.error is not None
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert (await draw(model)).texts == ["x"]
    assert len(up.requests) == 4


async def told_to_wait(up: ScriptedUpstream, model: Endpoint) -> asyncio.Task[Drawing]:
    """A request that has been told to come back later, and waits for it."""
    first = asyncio.create_task(draw(model, question="first"))
    await up.wait_until(lambda up: len(up.requests) == 1 and up.in_flight == 0)
    await asyncio.sleep(0.05)
    return first


@pytest.mark.parametrize(("status", "sent"), [(429, 2), (503, 1)])
async def test_retry_after_holds_back_by_what_it_is_about(status: int, sent: int) -> None:
    """A 429 is about the model and the key, a 503 about the server: another model there is asked, or not."""
    async with (
        ScriptedUpstream([Fault.status(status, retry_after=30), Reply("x")]) as up,
        Endpoint("m", base_url=up.url) as model,
        Endpoint("other", base_url=up.url) as other,
    ):
        first = await told_to_wait(up, model)
        second = Drawing.of([0])
        task = asyncio.create_task(second.draw(other, "second"))
        await asyncio.wait([task], timeout=0.3)
        assert len(up.requests) == sent
        await second.let_go(task, first)


async def test_retry_after_of_one_holds_others_back_for_no_longer_than_the_cap() -> None:
    """And their answers say so; the request that was told to wait still does."""
    async with (
        ScriptedUpstream([Fault.status(503, retry_after=60), Reply("x")]) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(hold=0.2)) as model,
    ):
        first = await told_to_wait(up, model)
        answer = await model.answer("second")
        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert answer.text == "x"
    assert [(note.code, note.where) for note in answer.degraded] == [("held_back", "answer: m")]
    assert "asked for 60 s (HTTP 503, Retry-After), of which at most 0.2 s" in answer.degraded[0].detail


async def test_what_held_a_request_back_is_told_beside_what_it_was_refused_for() -> None:
    """A refusal under a good status has the request sent once more, and what was told before stays."""
    refusal = Raw([b'{"error": {"code": 400, "message": "temperature is not supported"}}'])
    async with (
        ScriptedUpstream([Fault.status(503, retry_after=60), refusal, Reply("x")]) as up,
        Endpoint("m", base_url=up.url, retries=RetryPolicy(hold=0.1)) as model,
    ):
        first = await told_to_wait(up, model)
        asked = Question.of("second").model_copy(update={"sampling": SamplingParams(temperature=0.7)})
        answer = await model.answer(asked)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert [note.code for note in answer.degraded] == ["held_back", "setting_refused"]


async def test_who_has_less_time_than_it_is_held_back_is_told_at_once() -> None:
    """With the status of the refusal, and when to come back."""
    async with (
        ScriptedUpstream([Fault.status(429, retry_after=60), Reply("x")]) as up,
        Endpoint("m", base_url=up.url) as model,
    ):
        first = await told_to_wait(up, model)
        with pytest.raises(NoAnswer, match=r"held back for .* not sent: .* at most 5 s hold for other") as caught:
            await model.answer("second", budget=Budget(seconds=1))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert caught.value.status == 429
    assert 3 < (caught.value.retry_after or 0) <= 5
    assert len(up.requests) == 1


async def test_who_waits_to_try_again_leaves_its_place_to_others() -> None:
    """One place, and a request that was told to come back in a minute: the next one has it."""
    async with (
        ScriptedUpstream([Fault.status(429, retry_after=30), Reply("x")]) as up,
        Endpoint("m", base_url=up.url, concurrency=1, retries=RetryPolicy(hold=0.01)) as model,
    ):
        first = await told_to_wait(up, model)
        assert (await draw(model, question="second")).texts == ["x"]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


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
