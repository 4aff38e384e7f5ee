"""Reward models over HTTP, on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from quorate.agents import RerankModel, RewardModel, ScoreModel
from quorate.agents.endpoint import Price, RetryPolicy
from quorate.agents.reward import Scorer
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import BadInput, BadReply, Rejected, UpstreamError
from quorate.orchestrator.types import Candidate, Question
from quorate.testing import Fault, Reply, ScriptedUpstream, Step

QUESTION = Question.of([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Two and two?"}])
CANDIDATE = Candidate(index=0, model="m", text="It is 4.", reasoning="secret")
KINDS: tuple[type[Scorer], ...] = (RewardModel, ScoreModel, RerankModel)
PATHS = {RewardModel: "/pooling", ScoreModel: "/v1/score", RerankModel: "/v1/rerank"}


async def score(kind: type[Scorer], *steps: Step, run: RunContext | None = None) -> float:
    async with ScriptedUpstream(steps) as up, kind("rm", base_url=up.url, retries=RetryPolicy(attempts=1)) as verifier:
        return await verifier.score(QUESTION, CANDIDATE, run or RunContext())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("versioned", [True, False])
async def test_a_score_and_what_was_asked_for_it(kind: type[Scorer], versioned: bool) -> None:
    """Each kind asks its own endpoint, whether or not the address has a version, with the candidate's text alone."""
    async with ScriptedUpstream([Reply("-1.5")], api_key="sesame") as up:
        url = up.url if versioned else up.url.removesuffix("/v1")
        async with kind("rm", base_url=url, api_key="sesame") as verifier:
            assert await verifier.score(QUESTION, CANDIDATE, RunContext()) == -1.5
            assert "sesame" not in repr(verifier)
        [request] = up.requests
    assert request.path == PATHS[kind]
    assert request.body["model"] == "rm"
    assert "It is 4." in str(request.body)
    assert "secret" not in str(request.body)


async def test_a_reward_model_reads_the_conversation() -> None:
    """The candidate is the assistant's last turn."""
    async with ScriptedUpstream([Reply("1")]) as up, RewardModel("rm", base_url=up.url) as verifier:
        await verifier.score(QUESTION, CANDIDATE, RunContext())
        [request] = up.requests
    assert [m["role"] for m in request.body["messages"]] == ["system", "user", "assistant"]
    assert request.body["messages"][-1]["content"] == "It is 4."


@pytest.mark.parametrize("data", ["[0.5]", "[0.1, 0.5]", "[[0.1], [0.5]]"])
async def test_token_rewards_count_by_the_last(data: str) -> None:
    """A number, a number a token, or a row a token."""
    body = b'{"data": [{"index": 0, "data": %s}]}' % data.encode()
    assert await score(RewardModel, Fault.bad_body(body)) == 0.5


async def test_what_it_spends_is_booked_in_the_run() -> None:
    """Prompt tokens by the server's count, one request, at the price."""
    run = RunContext(node="aggregate")
    async with ScriptedUpstream([Reply("1", usage=(40, 0))]) as up:
        verifier = RewardModel("rm", base_url=up.url, price=Price(prompt=2, completion=0))
        await verifier.score(QUESTION, CANDIDATE, run)
        await verifier.aclose()
    [node] = run.ledger.nodes
    assert (node.node, node.model) == ("aggregate", "rm")
    assert (node.usage.prompt_tokens, node.usage.requests, node.usage.estimated) == (40, 1, False)
    assert node.usage.cost == pytest.approx(80e-6)


async def test_without_a_count_tokens_are_estimated() -> None:
    """From the size of the request, and marked."""
    run = RunContext(node="aggregate")
    await score(ScoreModel, Fault.bad_body(b'{"data": [{"score": 1}]}'), run=run)
    assert run.ledger.usage.prompt_tokens > 0
    assert run.ledger.usage.estimated


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"data": []}', "no score"),
        (b"{}", "no score"),
        (b'{"data": [{"score": NaN}]}', "not a finite number"),
        (b'{"data": [{"score": "high"}]}', "not a finite number"),
        (b'{"data": [{"score": true}]}', "not a finite number"),
        (b"[1]", "object"),
        (b"oops", "not JSON"),
    ],
)
async def test_replies_without_a_score(body: bytes, says: str) -> None:
    """An upstream error that names the endpoint and what is wrong."""
    with pytest.raises(BadReply, match=says):
        await score(ScoreModel, Fault.bad_body(body))


@pytest.mark.parametrize("step", [Fault.status(404, "The model does not support Score API"), Fault.status(400)])
async def test_a_refusal_keeps_its_words_and_status(step: Step) -> None:
    """And is not tried again."""
    with pytest.raises(Rejected):
        await score(ScoreModel, step)


async def test_a_busy_server_is_asked_again() -> None:
    """By the same rules as a chat endpoint; every request is counted."""
    run = RunContext(node="aggregate")
    async with ScriptedUpstream([Fault.status(503), Reply("2")]) as up:
        verifier = RerankModel("rm", base_url=up.url, retries=RetryPolicy(backoff=0.01))
        assert await verifier.score(QUESTION, CANDIDATE, run) == 2
        await verifier.aclose()
    assert run.ledger.usage.requests == 2


async def test_leaving_ends_the_request() -> None:
    """The server sees the client go, and the part that it may have read is booked as an estimate."""
    run = RunContext(node="aggregate")
    async with ScriptedUpstream([Fault.hang()]) as up, RewardModel("rm", base_url=up.url) as verifier:
        task = asyncio.create_task(verifier.score(QUESTION, CANDIDATE, run))
        await up.wait_until(lambda up: up.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await up.wait_until(lambda up: up.in_flight == 0)
        assert up.requests[0].disconnected
    assert run.ledger.usage.requests == 1
    assert run.ledger.usage.estimated


async def test_settings_are_checked_when_built() -> None:
    """An empty name, an address that is none; a server that is not there is an upstream error."""
    with pytest.raises(BadInput, match="empty"):
        RewardModel(" ", base_url="http://localhost:1")
    with pytest.raises(BadInput, match="base_url"):
        RewardModel("rm", base_url="localhost")
    async with ScoreModel("rm", base_url="http://127.0.0.1:9", retries=RetryPolicy(attempts=1)) as verifier:
        with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:9"):
            await verifier.score(QUESTION, CANDIDATE, RunContext())
