"""Endpoint under way: cancellation, limits, connections, event loops."""

from __future__ import annotations

import asyncio
import gc
import gzip
from dataclasses import replace

import pytest

from quorate import Endpoint, sample
from quorate.agents import Rate, Timeouts
from quorate.agents.endpoint import http as http_module
from quorate.orchestrator.context import Budget, RunContext
from quorate.orchestrator.progress import SamplingProgress
from quorate.orchestrator.sampling import sample_candidates
from quorate.orchestrator.types import Question
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Raw, Reply, ScriptedUpstream

from .asking import Drawing, draw

HOW_MANY = Question.of("How many?")


@pytest.fixture(params=["ours", "aiohttp"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the server: our own client, or aiohttp's as with a proxy."""
    if request.param == "aiohttp":
        monkeypatch.setattr(http_module, "LeanSession", None)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("n_supported", [True, False])
async def test_leaving_a_stream_closes_the_request_and_counts_it(n: int, n_supported: bool) -> None:
    """The server notices at once; the last count it told is what the cut candidates cost."""
    async with (
        ScriptedUpstream(Fault.hang(after_chunks=4)) as up,
        Endpoint("m", base_url=up.url, n_supported=n_supported) as agent,
    ):
        drawing, tokens = Drawing.of(range(n), live=True), 4 if n_supported else 4 * n
        await drawing.cut_off(agent, lambda drawing: drawing.token_count >= tokens)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert all(r.disconnected for r in up.requests)
    assert [c.finish_reason for c in drawing.candidates] == ["cancelled"] * n
    assert "".join(drawing.texts).count(" ") >= 3
    assert Usage.total(c.usage for c in drawing.candidates) == drawing.spent
    assert drawing.spent.completion_tokens >= 4
    assert not drawing.spent.estimated
    assert drawing.spent.requests == len(up.requests)


@pytest.mark.parametrize("live", [False, True])
async def test_cancelling_the_task_closes_the_request(live: bool) -> None:
    """Before any byte of the reply; the prompt was sent, so our own count of it is spent."""
    async with ScriptedUpstream(Fault.hang()) as up, Endpoint("m", base_url=up.url) as agent:
        drawing = Drawing.of([0, 1], live=live)
        task = asyncio.create_task(drawing.draw(agent, HOW_MANY))
        await up.wait_until(lambda up: up.in_flight == 1)
        await drawing.let_go(task)
        assert task.cancelled()
        await up.wait_until(lambda up: up.in_flight == 0)
    assert up.requests[0].disconnected
    assert [c.finish_reason for c in drawing.candidates] == ["cancelled", "cancelled"]
    assert (drawing.spent.requests, drawing.spent.estimated) == (1, True)
    assert drawing.spent.prompt_tokens > 0


async def test_cancelling_while_waiting_for_a_place_costs_nothing() -> None:
    """Nothing was sent."""
    async with ScriptedUpstream(Fault.hang()) as up, Endpoint("m", base_url=up.url, concurrency=1) as agent:
        first = asyncio.create_task(draw(agent))
        await up.wait_until(lambda up: up.in_flight == 1)
        drawing = Drawing.of([0])
        second = asyncio.create_task(drawing.draw(agent, HOW_MANY))
        await drawing.wait_until(lambda drawing: any(e.type == "upstream_started" for e in drawing.events))
        await drawing.let_go(second, first)
    assert drawing.spent == Usage()
    assert drawing.one.finish_reason == "cancelled"
    assert len(up.requests) == 1


async def test_finished_samples_are_not_lost_when_the_first_one_will_do() -> None:
    """They are in the ledger, so they stand as they are, not as cut."""
    async with ScriptedUpstream(Reply(["a", "b", "c"])) as up, Endpoint("m", base_url=up.url) as agent:
        drawing = Drawing.of(range(3))
        await drawing.cut_off(agent, lambda drawing: any(e.type == "candidate_finished" for e in drawing.events))
    ends = [(c.index, c.text, c.finish_reason) for c in drawing.candidates]
    assert ends == [(0, "a", "stop"), (1, "b", "stop"), (2, "c", "stop")]


class FirstWins:
    """Stops at the first candidate."""

    def stop(self, progress: SamplingProgress) -> str | None:
        return "the first will do" if progress.candidates else None


async def test_a_stage_that_stops_early_keeps_the_finished_samples() -> None:
    """All came at once: the rule needed one, the others have no vote, and candidates sum to the ledger."""
    async with (
        ScriptedUpstream(Reply(["a", "b", "c"]), ignores=("stream",)) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        run = RunContext(live=False)
        stage = sample(agent, n=3, stop=FirstWins())
        sampled = await sample_candidates(stage, HOW_MANY, run)
    assert [(c.text, c.ok) for c in sampled.candidates] == [("a", True), ("b", False), ("c", False)]
    assert Usage.total(c.usage for c in sampled.candidates).total_tokens == run.ledger.usage.total_tokens


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
        results = await asyncio.gather(*(draw(agent, 4) for _ in range(3)))
    assert sum(len(r.texts) for r in results) == 12
    assert up.most_in_flight == 3


async def test_waiting_for_a_place_is_not_counted_as_the_servers_time() -> None:
    """A request's time begins when it has its place."""
    async with (
        ScriptedUpstream(Reply("x", delay=0.1)) as up,
        Endpoint("m", base_url=up.url, concurrency=1, timeouts=Timeouts(total=1.0)) as agent,
    ):
        results = await asyncio.gather(*(draw(agent) for _ in range(13)))
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
        await draw(agent, 4)
    assert times[3] - times[0] >= 0.25


@pytest.mark.parametrize("live", [False, True])
async def test_connections_are_used_again(live: bool) -> None:
    """After plain replies and after streams."""
    async with ScriptedUpstream() as up, Endpoint("m", base_url=up.url) as agent:
        for _ in range(5):
            await draw(agent, live=live)
    assert len(up.peers) == 1


def test_an_endpoint_serves_several_event_loops() -> None:
    """One after the other, without closing in between: `asyncio.run` closes what is left."""
    with ScriptedUpstream() as up:
        agent = Endpoint("m", base_url=up.url)
        for _ in range(3):
            assert asyncio.run(draw(agent)).texts == ["ok"]
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
            await draw(agent)
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
            assert (await draw(agent)).texts == ["ok"]
            await agent.aclose()
            await agent.aclose()
    assert len(up.peers) == 2


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As other HTTP clients do; the name is the proxy's to resolve."""
    async with ScriptedUpstream() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        async with Endpoint("m", base_url="http://model.invalid") as agent:
            assert (await draw(agent)).texts == ["ok"]
    assert proxy.requests[0].headers["host"] == "model.invalid"


async def test_compressed_replies_are_read() -> None:
    """And a broken one is a bad reply."""
    body = gzip.compress(b'{"choices": [{"message": {"content": "small"}, "finish_reason": "stop"}]}')
    packed = Raw([body], content_type="application/json", headers={"Content-Encoding": "gzip"})
    async with (
        ScriptedUpstream([packed, replace(packed, chunks=[body[:9] + b"junk"])]) as up,
        Endpoint("m", base_url=up.url) as agent,
    ):
        assert (await draw(agent)).texts == ["small"]
        broken = (await draw(agent)).one
    assert broken.error is not None
    assert broken.error.code == "upstream_bad_reply"


async def test_a_stream_that_nobody_follows_keeps_what_came_until_it_was_cut() -> None:
    """It is read late, but not lost: the texts at the deadline are the best answer so far, and are counted."""
    hang = Fault.hang(after_chunks=3, reply=Reply("it is 4 I think", usage=(7, 5)))
    async with ScriptedUpstream(hang) as up, Endpoint("m", base_url=up.url, n_supported=False) as agent:
        run = RunContext(live=False).at_node("sample", seconds=0.3)
        sampled = await sample_candidates(sample(agent, n=2), Question.of("?"), run)
    assert [c.text.strip() for c in sampled.candidates] == ["it is 4"] * 2
    assert [c.finish_reason for c in sampled.candidates] == ["length"] * 2
    assert all(c.usage.completion_tokens for c in sampled.candidates)
