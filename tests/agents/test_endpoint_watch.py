"""What a run's observer is told of upstream calls and nodes."""

from __future__ import annotations

import pytest

from quorate import Endpoint, MajorityVote, sample
from quorate.agents import RetryPolicy, ScoreModel
from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.types import Candidate, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Reply, ScriptedUpstream

from .asking import Drawing
from .watching import Notes

QUESTION = Question.of("How many?")


@pytest.mark.parametrize("live", [True, False])
async def test_a_call_is_told_from_the_first_try_to_what_it_used(live: bool) -> None:
    """Tries that failed among them; every try carries the run's trace headers, and the end equals the ledger."""
    notes = Notes()
    script = [Fault.status(503), Reply("four", usage=(3, 2))]
    async with (
        ScriptedUpstream(script) as up,
        Endpoint("m", base_url=up.url, name="box", retries=RetryPolicy(backoff=0.01)) as agent,
    ):
        run = notes.run(live=live)
        await agent.answer(QUESTION, run)
    [noted] = notes.calls
    assert noted.log == ["upstream_bad_reply 503", "ok"]
    assert noted.end is not None
    assert noted.end.tries == 2
    assert noted.end.first_byte is not None
    assert noted.end.usage == run.ledger.usage
    assert (noted.start.agent, noted.start.model, noted.start.node) == ("box", "m", "answer")
    assert noted.start.server == up.url
    assert [int(request.headers["traceparent"].split("-")[1], 16) for request in up.requests] == [0, 1]


async def test_calls_of_nested_pipelines_are_told_with_their_place() -> None:
    """The thread names the way to a call, and nodes are told as they begin."""
    notes = Notes()
    async with ScriptedUpstream(Reply("4")) as up, Endpoint("m", base_url=up.url, n_supported=False) as agent:
        vote = sample(sample(agent, n=2) | MajorityVote(), n=2) | MajorityVote()
        await vote.answer(QUESTION, notes.run(live=False))
    assert (
        sorted((c.start.thread, c.start.node) for c in notes.calls)
        == [("/sample.0", "sample")] * 2 + [("/sample.1", "sample")] * 2
    )
    assert notes.nodes[0] == ":sample"
    assert notes.nodes[-1] == ":aggregate"
    assert {"/sample.0:sample", "/sample.0:aggregate"} <= set(notes.nodes)


async def test_a_cancelled_call_is_told_as_such() -> None:
    """With what its stream had told that it used."""
    notes = Notes()
    async with ScriptedUpstream(Fault.hang(after_chunks=3)) as up, Endpoint("m", base_url=up.url) as agent:
        drawing = Drawing.of([0], live=True, notes=notes)
        await drawing.cut_off(agent, lambda _: notes.tokens > 0, QUESTION)
    [noted] = notes.calls
    assert noted.log == ["cancelled"]
    assert noted.end is not None
    assert noted.end.first_byte is not None
    assert noted.end.usage == drawing.spent != Usage()


async def test_a_call_that_fails_for_good_is_told_by_its_code() -> None:
    """Of a reward model as of any other."""
    notes = Notes()
    candidate = Candidate(index=0, model="m", text="4")
    async with (
        ScriptedUpstream([Reply("0.5"), Fault.status(401)]) as up,
        ScoreModel("rm", base_url=up.url, retries=RetryPolicy(attempts=1)) as verifier,
    ):
        run = notes.run()
        await verifier.score(QUESTION, candidate, run)
        with pytest.raises(UpstreamError):
            await verifier.score(QUESTION, candidate, run)
    good, bad = notes.calls
    assert good.log == ["ok"]
    assert bad.log == ["upstream_rejected 401", "upstream_rejected"]
    assert good.end is not None
    assert bad.end is not None
    assert good.end.usage + bad.end.usage == run.ledger.usage
    assert all(request.headers["traceparent"] for request in up.requests)
