"""What a run's watch is told of upstream calls and stages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from quorate.orchestrator.context import RunContext

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import Retries, ScoreModel
from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.events import CandidateToken, Event
from quorate.orchestrator.model import answer_of
from quorate.orchestrator.types import Candidate, Question, Usage
from quorate.testing import Fault, Reply, ScriptedUpstream

from .watching import Notes

QUESTION = Question.of("How many?")


async def upto_token(events: AsyncGenerator[Event, None]) -> None:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CandidateToken):
                return


@pytest.mark.parametrize("live", [True, False])
async def test_a_call_is_told_from_the_first_try_to_what_it_used(live: bool) -> None:
    """Tries that failed among them; every try carries the watch's headers, and the end equals the ledger."""
    notes = Notes()
    script = [Fault.status(503), Reply("four", usage=(3, 2))]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, name="box", retries=Retries(backoff=0.01)) as agent,
    ):
        run = RunContext(live=live, watch=notes)
        await answer_of(agent.stream(QUESTION, run))
    [noted] = notes.calls
    assert noted.log == ["sent", "upstream_bad_reply 503", "sent", "answered", "ok"]
    assert noted.usage == run.ledger.usage
    assert (noted.call.agent, noted.call.model, noted.call.stage) == ("box", "m", "answer")
    assert noted.call.server == up.url
    assert [int(request.headers["traceparent"].split("-")[1], 16) for request in up.requests] == [0, 2]


async def test_calls_of_nested_pipelines_are_told_with_their_place() -> None:
    """The thread names the way to a call, and stages are told as they begin."""
    notes = Notes()
    async with ScriptedUpstream(Reply("4")) as up, Endpoint("m", base_url=up.url, n_supported=False) as agent:
        vote = sample(sample(agent, n=2) | MajorityVote(), n=2) | MajorityVote()
        await answer_of(vote.stream(QUESTION, RunContext(live=False, watch=notes)))
    assert (
        sorted((c.call.thread, c.call.stage) for c in notes.calls)
        == [("/sample.0", "sample")] * 2 + [("/sample.1", "sample")] * 2
    )
    assert notes.stages[0] == ":sample"
    assert notes.stages[-1] == ":aggregate"
    assert {"/sample.0:sample", "/sample.0:aggregate"} <= set(notes.stages)


async def test_a_cancelled_call_is_told_as_such() -> None:
    """With what its stream had told that it used."""
    notes = Notes()
    async with ScriptedUpstream(Fault.hang(after_chunks=3)) as up, Endpoint("m", base_url=up.url) as agent:
        run = RunContext(live=True, watch=notes)
        await upto_token(agent.sample(QUESTION, [0], run))
    [noted] = notes.calls
    assert noted.log == ["sent", "answered", "cancelled"]
    assert noted.usage == run.ledger.usage != Usage()


async def test_a_call_that_fails_for_good_is_told_by_its_code() -> None:
    """Of a reward model as of any other."""
    notes = Notes()
    candidate = Candidate(index=0, model="m", text="4")
    async with (
        ScriptedUpstream([Reply("0.5"), Fault.status(401)]) as up,
        ScoreModel("rm", base_url=up.url, retries=Retries(attempts=1)) as verifier,
    ):
        run = RunContext(watch=notes)
        await verifier.metered_score(QUESTION, candidate, run)
        with pytest.raises(UpstreamError):
            await verifier.metered_score(QUESTION, candidate, run)
    good, bad = notes.calls
    assert good.log == ["sent", "answered", "ok"]
    assert bad.log == ["sent", "upstream_rejected 401", "upstream_rejected"]
    assert good.usage + bad.usage == run.ledger.usage
    assert all(request.headers["traceparent"] for request in up.requests)
