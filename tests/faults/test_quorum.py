"""k of n over real sockets: a quorum, a grace period, deadlines, and a minimum below which there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from quorate import Budget, Endpoint, MajorityVote, sample
from quorate.agents import RetryPolicy, Timeouts
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.types import Answer, Question, Sampled
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

GOOD = Reply("so 42")
STRAGGLERS: dict[str, Step] = {
    "hangs before its headers": Fault.hang(),
    "hangs in the middle": Fault.hang(after_chunks=2),
    "drips": Reply("one two three four five six seven", gap=3.0),
}


def fifth(step: Step) -> Callable[[Received], Step]:
    """Four good samples, and one that something is wrong with."""
    seen = iter(range(1000))
    return lambda _: step if next(seen) == 2 else GOOD


def endpoint(up: ScriptedUpstream) -> Endpoint:
    return Endpoint("m", base_url=up.url, n_supported=False, retries=RetryPolicy(attempts=1))


@pytest.mark.parametrize("name", STRAGGLERS)
async def test_a_quorum_does_not_wait_for_the_straggler(name: str) -> None:
    """Four of five answer; the fifth is cancelled upstream, shown as cancelled, counted, and told."""
    async with ScriptedUpstream(fifth(STRAGGLERS[name])) as up, endpoint(up) as model:
        vote = sample(model, n=5, quorum=4, grace=0.1) | MajorityVote()
        answer = await asyncio.wait_for(vote.answer("How many?"), 2)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert answer.answer == "42"
    assert [d.code for d in answer.degraded] == ["stragglers_cancelled"]
    assert sum(c.ok for c in answer.candidates) == 4
    assert [c.finish_reason for c in answer.candidates if not c.ok] == ["cancelled"]
    assert sum(r.disconnected for r in up.requests) == 1
    assert answer.usage.requests == 5
    if not answer.usage.estimated:
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == up.token_counts


async def test_who_comes_within_the_grace_counts() -> None:
    """A sample that is a little late is waited for, and nothing is degraded."""
    async with ScriptedUpstream(fifth(Reply("so 41", delay=0.1))) as up, endpoint(up) as model:
        answer = await (sample(model, n=5, quorum=0.8, grace=5) | MajorityVote()).answer("How many?")
    assert len([c for c in answer.candidates if c.ok]) == 5
    assert answer.degraded == ()
    assert answer.stopped == "complete"


async def test_a_failure_is_no_member_of_the_quorum() -> None:
    """With one failed and one hanging, three good ones are no quorum of four: the deadline decides, and it is told."""
    steps = iter([GOOD, Fault.status(500), GOOD, Fault.hang(after_chunks=1), GOOD])
    async with ScriptedUpstream(lambda _: next(steps)) as up, endpoint(up) as model:
        vote = sample(model, n=5, quorum=4, grace=0, seconds=0.5) | MajorityVote()
        answer = await vote.answer("How many?")
    assert answer.answer == "42"
    assert [d.code for d in answer.degraded] == ["candidate_failed", "deadline_passed", "quorum_missed"]


@pytest.mark.parametrize("name", STRAGGLERS)
@pytest.mark.parametrize("by", ["stage", "budget"])
async def test_a_deadline_keeps_the_four_good_samples(name: str, by: str) -> None:
    """Of the stage or of the request: what there is is the answer, and the fifth sample is counted."""
    async with ScriptedUpstream(fifth(STRAGGLERS[name])) as up, endpoint(up) as model:
        vote = sample(model, n=5, seconds=0.5 if by == "stage" else None) | MajorityVote()
        answer = await vote.answer("How many?", budget=Budget(seconds=0.5 if by == "budget" else 60))
        await up.wait_until(lambda up: up.in_flight == 0)
    assert answer.answer == "42"
    assert [d.code for d in answer.degraded] == ["deadline_passed" if by == "stage" else "budget_exhausted"]
    if not answer.usage.estimated:
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == up.token_counts


async def test_too_few_good_samples_are_an_error() -> None:
    """Two of five where three are the least: no answer, but the status that tells most."""
    steps = iter([GOOD, Fault.status(500), Fault.status(429, retry_after=70), Fault.status(429, retry_after=90), GOOD])
    async with ScriptedUpstream(lambda _: next(steps)) as up, endpoint(up) as model:
        vote = sample(model, n=5, min_candidates=3) | MajorityVote()
        with pytest.raises(NoAnswer, match="2 good of 5 candidates where at least 3 are needed") as caught:
            await vote.answer("How many?")
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (429, "rate_limited", 70)


@pytest.mark.parametrize(
    ("steps", "status", "wait"),
    [
        ([Fault.status(400), Fault.status(429, retry_after=90), Fault.status(503, retry_after=70)], 429, 90),
        ([Fault.status(400), Fault.status(503, retry_after=70), Fault.hang()], 503, 70),
        ([Fault.status(500), Fault.hang(), Fault.status(500)], 504, None),
        ([Fault.status(404), Fault.status(500), Fault.status(404)], 500, None),
        ([Fault.status(422), Fault.status(422), Fault.status(404)], 422, None),
    ],
)
async def test_of_several_failures_the_most_telling_one_is_raised(
    steps: list[Step], status: int, wait: float | None
) -> None:
    """When to come back before that one may come back before that it is of no use; never an answer's text."""
    left = iter(steps)
    async with (
        ScriptedUpstream(lambda _: next(left)) as up,
        Endpoint(
            "m",
            base_url=up.url,
            n_supported=False,
            retries=RetryPolicy(attempts=1),
            timeouts=Timeouts(first_byte=0.5, total=0.5),
        ) as model,
    ):
        with pytest.raises(NoAnswer, match="all 3 candidates failed") as caught:
            await (sample(model, n=3) | MajorityVote()).answer("How many?")
    assert (caught.value.status, caught.value.retry_after) == (status, wait)


async def test_a_nested_pipeline_hands_up_what_it_has_before_the_deadline() -> None:
    """Each inner vote has one good sample and one that hangs: at the deadline of all, both give their answer."""
    seen = iter(range(1000))
    async with (
        ScriptedUpstream(lambda _: GOOD if next(seen) % 2 == 0 else Fault.hang(after_chunks=1)) as up,
        Endpoint("m", base_url=up.url, n_supported=False) as model,
    ):
        inner = sample(model, n=2) | MajorityVote()
        outer = sample(inner, n=2) | MajorityVote()
        answer = await outer.answer("How many?", budget=Budget(seconds=0.8))
        await up.wait_until(lambda up: up.in_flight == 0)
    assert answer.answer == "42"
    assert {d.code for d in answer.degraded} == {"deadline_passed"}
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == up.token_counts


class Overruns(MajorityVote):
    """A vote that takes no notice of the time."""

    name = "overruns"

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        await asyncio.sleep(3600)
        raise AssertionError("too late")


class Breaks(MajorityVote):
    """A vote with a mistake in it."""

    name = "breaks"

    async def aggregate(self, question: Question, sampled: Sampled, run: RunContext) -> Answer:
        raise ZeroDivisionError("oops")


@pytest.mark.parametrize(("aggregator", "code"), [(Overruns(), "deadline_passed"), (Breaks(), "aggregator_failed")])
async def test_any_aggregator_has_the_vote_behind_it(aggregator: MajorityVote, code: str) -> None:
    """One of a user's own that overruns its stage or raises: the vote as it stood answers."""
    async with ScriptedUpstream([Reply("so 42"), Reply("so 41"), Reply("so 42")]) as up, endpoint(up) as model:
        answer = await (sample(model, n=3) | aggregator).with_timeout(0.1).answer("How many?")
    assert (answer.answer, answer.text) == ("42", "so 42")
    assert [d.code for d in answer.degraded] == [code]
    assert answer.degraded[0].where == f"aggregate: {aggregator.name}"
