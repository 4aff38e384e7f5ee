"""The adaptive limit: against a simulated server on a clock of its own, by itself, and in an endpoint."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import RetryPolicy
from quorate.agents.endpoint.limit import START, AdaptiveLimit, Ticket
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

from .asking import draw


@dataclass
class Simulation:
    """Callers who ask again as soon as they are answered, a limit, and a server that answers so many at a time."""

    limit: AdaptiveLimit
    callers: int
    slots: int = 10**9
    """Requests that the server works on at once; further ones queue in it."""
    seconds: Callable[[float, random.Random], float] = lambda now, rng: 0.2
    """For one request, by the time."""
    bears: int = 10**9
    """Requests in the server beyond which it refuses."""
    now: float = 0.0
    answered: int = 0
    refused: int = 0
    most: int = 0
    """Under way at once."""
    _rng: random.Random = field(default_factory=lambda: random.Random(7))
    _under_way: int = 0
    _working: int = 0
    _queue: list[tuple[float, Ticket]] = field(default_factory=list)
    _events: list[tuple[float, int, float | None, Ticket]] = field(default_factory=list)
    _number: int = 0

    def run(self, until: float) -> float:
        """Requests answered in a second from now on."""
        begun, before = self.now, self.answered
        self._send()
        while self._events and self._events[0][0] <= until:
            self.now, _, sent, ticket = heapq.heappop(self._events)
            if sent is None:
                self.refused += 1
                ticket.note_refusal(self._under_way)
            else:
                self.answered += 1
                self._working -= 1
                ticket.note_reply("chat", self.now - sent)
                while self._queue and self._working < self.slots:
                    self._work(*self._queue.pop(0))
            self._under_way -= 1
            self._send()
        self.now = until
        return (self.answered - before) / (until - begun)

    @property
    def queued(self) -> int:
        """In the server."""
        return len(self._queue)

    def _send(self) -> None:
        while self._under_way < min(self.callers, self.limit.value):
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            ticket = self.limit.admit(self._under_way)
            if self._working + len(self._queue) >= self.bears:
                self._push(self.now + 0.01, None, ticket)
            elif self._working < self.slots:
                self._work(self.now, ticket)
            else:
                self._queue.append((self.now, ticket))
        if self._under_way < self.callers:
            self.limit.note_shortage()

    def _work(self, sent: float, ticket: Ticket) -> None:
        self._working += 1
        self._push(self.now + self.seconds(self.now, self._rng), sent, ticket)

    def _push(self, at: float, sent: float | None, ticket: Ticket) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, sent, ticket))


def vary(mean: float) -> Callable[[float, random.Random], float]:
    """Answers of very different lengths."""
    return lambda _, rng: mean * rng.lognormvariate(-0.5, 1.0)


@pytest.mark.parametrize("callers", [1, 320, 1000])
def test_a_server_that_bears_it_is_not_limited(callers: int) -> None:
    """Latency does not grow with what is under way: everybody is let through from the first moment on."""
    simulation = Simulation(AdaptiveLimit(), callers)
    assert simulation.run(30) == pytest.approx(callers / 0.2, rel=0.01)
    assert simulation.limit.cuts == 0


def test_it_grows_while_latency_is_flat() -> None:
    """Beyond what it started with, where there are that many."""
    simulation = Simulation(AdaptiveLimit(), 5000)
    simulation.run(10)
    assert simulation.limit.value >= 5000
    assert simulation.most == 5000


@pytest.mark.parametrize("seconds", [lambda now, rng: 0.2, vary(1.0)])
def test_it_shrinks_where_requests_only_queue(seconds: Callable[[float, random.Random], float]) -> None:
    """32 at a time and 320 who ask: all of the throughput, with a short queue in the server instead of a long one."""
    simulation = Simulation(AdaptiveLimit(), 320, slots=32, seconds=seconds)
    simulation.run(100)
    per_second = simulation.run(400)
    alone = Simulation(AdaptiveLimit(32), 320, slots=32, seconds=seconds)
    alone.run(100)
    assert per_second >= 0.95 * alone.run(400)
    assert simulation.queued < 96
    assert 32 < simulation.limit.value < 128


def test_it_recovers_when_the_server_does() -> None:
    """For a minute it works on a tenth of what it did; then it is its old self."""
    limit = AdaptiveLimit()
    simulation = Simulation(limit, 200)
    fast = simulation.run(20)
    simulation.slots = 20
    simulation.run(80)
    assert limit.value < 100
    simulation.slots = 10**9
    simulation.run(140)
    assert simulation.run(160) == pytest.approx(fast, rel=0.02)


def test_longer_answers_are_no_overload() -> None:
    """Latency is ten times what it was, whatever is under way: the cuts that bring nothing are taken back."""
    simulation = Simulation(AdaptiveLimit(), 100, seconds=lambda now, _: 0.5 if now < 30 else 5.0)
    simulation.run(30)
    simulation.run(90)
    assert simulation.limit.cuts > 0
    assert simulation.limit.value >= 100
    assert simulation.run(150) == pytest.approx(100 / 5.0, rel=0.05)


def test_varied_answers_hardly_lower_it() -> None:
    """Noise is not growth: nearly all of the throughput."""
    simulation = Simulation(AdaptiveLimit(), 320, seconds=vary(2.0))
    assert simulation.run(300) > 0.95 * 320 / 2.0


@pytest.mark.parametrize("bears", [10, 50, 200])
def test_refusals_cut_it_and_it_comes_back(bears: int) -> None:
    """A server that refuses what is beyond its limit: few refusals, most of what it can do."""
    simulation = Simulation(AdaptiveLimit(), 320, bears=bears)
    simulation.run(20)
    before, answered = simulation.refused, simulation.answered
    assert simulation.run(80) > 0.8 * bears / 0.2
    assert simulation.refused - before < 0.1 * (simulation.answered - answered)
    assert simulation.limit.value <= 1.2 * bears + 4
    simulation.bears = 10**9
    simulation.run(200)
    assert simulation.limit.value > 300


def test_refusals_of_one_burst_count_once() -> None:
    """They say the same thing."""
    limit = AdaptiveLimit()
    tickets = [limit.admit(place) for place in range(1, 101)]
    for ticket in tickets:
        ticket.note_refusal(100)
    assert (limit.value, limit.cuts) == (70, 1)
    limit.admit(70).note_refusal(70)
    assert limit.value == pytest.approx(49)


@pytest.mark.parametrize("slots", [4, 10**9])
def test_the_ceiling_holds(slots: int) -> None:
    """Whatever is learnt."""
    simulation = Simulation(AdaptiveLimit(ceiling=50), 500, slots=slots)
    simulation.run(60)
    assert simulation.most == 50
    assert simulation.limit.value <= 50


def test_who_is_always_refused_cuts_it_a_few_times() -> None:
    """It says something of the server again when it has been answered meanwhile."""
    limit = AdaptiveLimit()
    for _ in range(10):
        limit.admit(100).note_refusal(100, of="poison")
    assert limit.cuts == 3
    limit.refused.clear()
    limit.admit(20).note_refusal(20, of="poison")
    assert limit.cuts == 4


def test_it_never_closes() -> None:
    """Not even where every request is refused."""
    simulation = Simulation(AdaptiveLimit(), 20, bears=0)
    simulation.run(5)
    assert simulation.limit.value == 1.0


def test_cancelled_requests_block_nothing() -> None:
    """A cohort of which nobody hears any more is filled by others."""
    limit = AdaptiveLimit()
    for _ in range(100):
        limit.admit(1).drop()
    tickets = [limit.admit(16) for _ in range(16)]
    limit.note_shortage()
    for ticket in tickets:
        ticket.note_reply("chat", 0.2)
    assert limit.value == 2 * START


def test_latencies_of_different_requests_are_not_compared() -> None:
    """A short judge call does not make a long answer look slow."""
    limit = AdaptiveLimit()
    for _ in range(40):
        tickets = [limit.admit(100) for _ in range(16)]
        for place, ticket in enumerate(tickets):
            ticket.note_reply(*(("judge", 0.1) if place % 2 else ("chat", 60.0)))
    assert limit.cuts == 0


async def test_three_hundred_requests_at_once_are_no_matter() -> None:
    """By default nothing is in the way of 64 questions with five samples each."""
    async with (
        ScriptedUpstream(Reply("so 42", delay=1.5)) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as m,
    ):
        vote = sample(m, n=5) | MajorityVote()
        answers = await asyncio.gather(*(vote.answer("?") for _ in range(64)))
    assert all(answer.answer == "42" for answer in answers)
    assert up.most_in_flight == 320


async def test_an_endpoint_learns_from_refusals() -> None:
    """A server that bears eight requests at once and refuses the others: soon it is asked no more than that."""

    def bears_eight(_: Received) -> Step:
        return Reply("x", delay=0.02) if up.in_flight <= 8 else Fault.status(429, retry_after=0.01)

    retries = RetryPolicy(attempts=50)
    async with (
        ScriptedUpstream(bears_eight) as up,
        Endpoint("m", base_url=up.url, n_supported=False, retries=retries) as agent,
    ):
        await draw(agent, 64)
        places = agent.http.limits().places
        assert places.limit.value < 32
        refused = sum(1 for _ in up.requests) - 64
        result = await draw(agent, 64)
    assert result.texts == ["x"] * 64
    assert result.spent.requests - 64 < refused
    assert places.taken == 0
