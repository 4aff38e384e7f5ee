"""Endpoint under way: cancellation, limits, connections, event loops."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest
from quorate.orchestrator.context import Budget, RunContext

from quorate import Endpoint, sample
from quorate.agents import Rate, Timeouts
from quorate.orchestrator.events import CandidateFinished, CandidateToken, Event
from quorate.orchestrator.types import Candidate, Cluster, Question, Usage
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream

from .asking import drawn

HOW_MANY = Question.of("How many?")


async def until_token(stream: AsyncGenerator[Event, None], count: int) -> None:
    """Reads a stream up to its n-th token."""
    async for event in stream:
        count -= isinstance(event, CandidateToken)
        if not count:
            return


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("n_supported", [True, False])
async def test_leaving_a_stream_closes_the_request_and_counts_it(n: int, n_supported: bool) -> None:
    """The server notices at once; the last count it told is what the cut candidates cost."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=4)) as up,
        Endpoint("m", base_url=up.url, n_supported=n_supported) as agent,
    ):
        run = RunContext(live=True)
        stream = agent.sample(HOW_MANY, range(n), run)
        await until_token(stream, 4 if n_supported else 4 * n)
        await stream.aclose()
        await up.wait_until(lambda up: up.in_flight == 0)
    assert all(r.disconnected for r in up.requests)
    assert [c.finish_reason for c in run.cut] == ["cancelled"] * n
    assert "".join(c.text for c in run.cut).count(" ") >= 3
    assert Usage.total(c.usage for c in run.cut) == run.ledger.usage
    assert run.ledger.usage.completion_tokens >= 4
    assert not run.ledger.usage.estimated
    assert run.ledger.usage.requests == len(up.requests)


@pytest.mark.parametrize("live", [False, True])
async def test_cancelling_the_task_closes_the_request(live: bool) -> None:
    """Before any byte of the reply; the prompt was sent, so our own count of it is spent."""
    async with ScriptedUpstream(Fault.hang()) as up, Endpoint("m", base_url=up.url) as agent:
        run = RunContext(live=live)

        async def draw() -> None:
            async for _ in agent.sample(HOW_MANY, [0, 1], run):
                pass

        task = asyncio.create_task(draw())
        await up.wait_until(lambda up: up.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.wait_until(lambda up: up.in_flight == 0)
    assert up.requests[0].disconnected
    assert [c.finish_reason for c in run.cut] == ["cancelled", "cancelled"]
    assert (run.ledger.usage.requests, run.ledger.usage.estimated) == (1, True)
    assert run.ledger.usage.prompt_tokens > 0


async def test_cancelling_while_waiting_for_a_place_costs_nothing() -> None:
    """Nothing was sent."""
    async with ScriptedUpstream(Fault.hang()) as up, Endpoint("m", base_url=up.url, concurrency=1) as agent:
        first = asyncio.create_task(drawn(agent))
        await up.wait_until(lambda up: up.in_flight == 1)
        run = RunContext(live=False)
        stream = agent.sample(HOW_MANY, [0], run)
        await anext(stream)
        second = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        for task in (second, first):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert run.ledger.usage == Usage()
    assert len(up.requests) == 1


async def test_finished_samples_that_nobody_read_are_not_lost() -> None:
    """They are in the ledger, so they are left to the run as they are, not as cut."""
    async with ScriptedUpstream(Reply(["a", "b", "c"])) as up, Endpoint("m", base_url=up.url) as agent:
        run = RunContext(live=False)
        stream = agent.sample(HOW_MANY, range(3), run)
        async for event in stream:
            if isinstance(event, CandidateFinished):
                break
        await stream.aclose()
    assert [(c.index, c.text, c.finish_reason) for c in run.cut] == [(1, "b", "stop"), (2, "c", "stop")]


class FirstWins:
    """Stops at the first candidate."""

    def stop(self, candidates: Sequence[Candidate], tally: Sequence[Cluster]) -> str | None:
        return "the first will do" if candidates else None


async def test_a_stage_that_stops_early_keeps_the_finished_samples() -> None:
    """Candidates sum to the ledger, read or not."""
    async with ScriptedUpstream(Reply(["a", "b", "c"])) as up, Endpoint("m", base_url=up.url) as agent:
        run = RunContext(live=False)
        stage = sample(agent, n=3, stop=FirstWins())
        events = [e async for e in stage.stream(HOW_MANY, run)]
    finished = [e.candidate for e in events if isinstance(e, CandidateFinished)]
    assert [c.text for c in finished] == ["a", "b", "c"]
    assert Usage.total(c.usage for c in finished).total_tokens == run.ledger.usage.total_tokens


async def test_a_budget_of_time_gives_what_had_come() -> None:
    """Marked as cut by its length; the upstream is let go."""
    async with ScriptedUpstream(Fault.hang(after_chunks=3)) as up, Endpoint("m", base_url=up.url) as agent:
        answer = await agent.answer("?", budget=Budget(seconds=1))
        await up.wait_until(lambda up: up.in_flight == 0)
    assert (answer.text, answer.finish_reason) == ("one two three ", "length")
    assert answer.usage.completion_tokens == 3


async def test_no_more_requests_at_once_than_allowed() -> None:
    """Further ones wait; all are answered."""
    async with (
        ScriptedUpstream(Reply("x", delay=0.01)) as up,
        Endpoint("m", base_url=up.url, concurrency=3, n_supported=False) as agent,
    ):
        results = await asyncio.gather(*(drawn(agent, 4) for _ in range(3)))
    assert sum(len(r.texts) for r in results) == 12
    assert up.most_in_flight == 3


async def test_waiting_for_a_place_is_not_counted_as_the_servers_time() -> None:
    """A request's time begins when it has its place."""
    async with (
        ScriptedUpstream(Reply("x", delay=0.1)) as up,
        Endpoint("m", base_url=up.url, concurrency=1, timeouts=Timeouts(total=1.0)) as agent,
    ):
        results = await asyncio.gather(*(drawn(agent) for _ in range(13)))
    assert [r.texts for r in results] == [["x"]] * 13


async def test_no_more_requests_in_a_time_than_allowed() -> None:
    """The fourth waits until the first is out of the window."""
    loop = asyncio.get_running_loop()
    times: list[float] = []

    def noted(_: object) -> Reply:
        times.append(loop.time())
        return Reply("x")

    async with (
        ScriptedUpstream(noted) as up,
        Endpoint("m", base_url=up.url, n_supported=False, rate=Rate(requests=3, seconds=0.3)) as agent,
    ):
        await drawn(agent, 4)
    assert times[3] - times[0] >= 0.25


@pytest.mark.parametrize("live", [False, True])
async def test_connections_are_used_again(live: bool) -> None:
    """After plain replies and after streams."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url) as agent:
        for _ in range(5):
            await drawn(agent, live=live)
    assert len(up.peers) == 1


def test_an_endpoint_serves_several_event_loops() -> None:
    """One after the other, without closing in between: `asyncio.run` closes what is left."""
    with ScriptedUpstream() as up:
        agent = Endpoint("m", base_url=up.url)
        for _ in range(3):
            assert asyncio.run(drawn(agent)).texts == ["ok"]
        gc.collect()
        assert len(up.peers) == 3
        assert not agent.http._connections._open


def test_an_endpoint_answers_without_an_event_loop() -> None:
    """`answer_sync` keeps its connections between calls."""
    with ScriptedUpstream() as up:
        agent = Endpoint("m", base_url=up.url)
        assert agent.answer_sync("?").text == "ok"
        assert agent.answer_sync("?").text == "ok"
        assert len(up.peers) == 1


async def test_a_dropped_endpoint_leaves_nothing_open(caplog: pytest.LogCaptureFixture) -> None:
    """Also where it is part of a cycle; aiohttp would complain of what is left."""
    async with ScriptedUpstream() as up:
        for cyclic in (False, True):
            agent = Endpoint("m", base_url=up.url)
            await drawn(agent)
            if cyclic:
                agent.cycle = agent  # type: ignore[attr-defined]
            lanes = agent.http._connections._open
            del agent
            gc.collect()
            while lanes:  # noqa: ASYNC110 - nothing tells when aiohttp is through
                await asyncio.sleep(0)
    assert not caplog.records


async def test_a_closed_endpoint_opens_again() -> None:
    """Closing twice, or before any question, does no harm."""
    async with ScriptedUpstream() as up:
        agent = Endpoint("m", base_url=up.url)
        await agent.aclose()
        for _ in range(2):
            assert (await drawn(agent)).texts == ["ok"]
            await agent.aclose()
            await agent.aclose()
    assert len(up.peers) == 2


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other HTTP clients do; the name is the proxy's to resolve."""
    async with ScriptedUpstream() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        async with Endpoint("m", base_url="http://model.invalid") as agent:
            assert (await drawn(agent)).texts == ["ok"]
    assert proxy.requests[0].headers["host"] == "model.invalid"


async def test_compressed_replies_are_read() -> None:
    """And a broken one is a bad reply."""
    body = gzip.compress(b'{"choices": [{"message": {"content": "small"}, "finish_reason": "stop"}]}')
    packed = Raw([body], content_type="application/json", headers={"Content-Encoding": "gzip"})
    async with (
        ScriptedUpstream([packed, replace(packed, chunks=[body[:9] + b"junk"])]) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        assert (await drawn(agent)).texts == ["small"]
        broken = (await drawn(agent)).one
    assert broken.error is not None
    assert broken.error.code == "upstream_bad_reply"
