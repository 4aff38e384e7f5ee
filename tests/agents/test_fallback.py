"""Fallback models and pools, over real sockets: who is asked, what is told, what it costs."""

from __future__ import annotations

import asyncio

import pytest

from quorate import Endpoint, Fallback, MajorityVote, Pool, Recorded, SelfMoA, prompted, sample
from quorate.agents import BreakerPolicy, Price, RetryPolicy, RoundRobin, Timeouts
from quorate.aggregators import UniversalSelfConsistency
from quorate.aggregators.token_level import SAFE
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.model import Agent
from quorate.orchestrator.protocols import is_sampler
from quorate.orchestrator.tokens import TokenModel
from quorate.orchestrator.types import Failure
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Reply, ScriptedModel, ScriptedUpstream, Step
from tests.aggregators.token_level.writers import model

from .asking import Drawing, draw

ONCE = RetryPolicy(attempts=1)


def endpoint(up: ScriptedUpstream, name: str, **settings: object) -> Endpoint:
    return Endpoint(name, base_url=up.url, **{"retries": ONCE, "n_supported": False, **settings})  # type: ignore[arg-type]


FAULTS: dict[str, Step] = {
    "refuses": Fault.status(401),
    "is overloaded": Fault.status(429, retry_after=90),
    "fails": Fault.status(500),
    "closes": Fault.close(),
    "hangs": Fault.hang(),
    "gives nonsense": Fault.bad_body(b"<html>"),
}


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_model_stands_in(fault: str, live: bool) -> None:
    """Whatever the first one's failure before its first token; the answer is whole, marked, and counts both."""
    async with ScriptedUpstream(FAULTS[fault]) as broken, ScriptedUpstream(Reply("so it is")) as good:
        first = endpoint(broken, "big", timeouts=Timeouts(first_byte=0.3, total=0.3))
        async with Fallback(first, endpoint(good, "small")) as model:
            result = await draw(model, 2, live=live)
            answer = await model.answer("How many?")
    assert result.texts == ["so it is"] * 2
    assert [c.agent for c in result.candidates] == ["small"] * 2
    assert [[d.code for d in c.degraded] for c in result.candidates] == [["fallback_used"]] * 2
    assert (answer.text, answer.model) == ("so it is", "big")
    [note] = answer.degraded
    assert (note.code, note.where) == ("fallback_used", "answer: big #0")
    assert "big at http://127.0.0.1" in note.detail
    assert answer.usage.requests == 2
    assert answer.candidates[0].usage == answer.usage


async def test_a_working_model_needs_nobody() -> None:
    """No note, and not a single request to the others."""
    async with (
        ScriptedUpstream(Reply("x")) as good,
        ScriptedUpstream() as other,
        Fallback(endpoint(good, "big"), endpoint(other, "small")) as model,
    ):
        answer = await model.answer("?")
    assert answer.degraded == ()
    assert not other.requests


async def test_what_has_been_read_is_not_taken_back() -> None:
    """A stream that breaks after its first token is a failure, not another model's text glued to it."""
    async with (
        ScriptedUpstream(Fault.reset_midway(after_chunks=2)) as broken,
        ScriptedUpstream() as other,
        Fallback(endpoint(broken, "big"), endpoint(other, "small")) as model,
    ):
        result = await draw(model, live=True)
    assert result.one.error is not None
    assert result.tokens(0) == ["one ", "two "]
    assert not other.requests


async def test_an_open_circuit_hands_on_at_once() -> None:
    """Once the first server has failed often enough, it is not asked any more."""
    async with ScriptedUpstream(Fault.status(503)) as broken, ScriptedUpstream(Reply("x")) as good:
        first = endpoint(broken, "big", breaker=BreakerPolicy(failures=2, pause=60))
        async with Fallback(first, endpoint(good, "small")) as model:
            for number in range(5):
                assert (await draw(model, question=f"{number}?")).texts == ["x"]
    assert len(broken.requests) == 2


async def test_the_last_failure_is_told_when_all_fail() -> None:
    """With what all of them cost."""
    async with (
        ScriptedUpstream(Fault.status(500)) as one,
        ScriptedUpstream(Fault.status(429)) as two,
        Fallback(endpoint(one, "big"), endpoint(two, "small")) as model,
    ):
        candidate = (await draw(model)).one
    assert candidate.error is not None
    assert candidate.error.status == 429
    assert candidate.usage.requests == 2


async def test_a_fallback_is_a_proposer_and_a_writer_and_a_judge() -> None:
    """Its note reaches the answer from each place."""
    async with ScriptedUpstream(Fault.status(500)) as broken, ScriptedUpstream(Reply("so 42")) as good:
        breaking = BreakerPolicy(failures=1000)
        async with Fallback(endpoint(broken, "big", breaker=breaking), endpoint(good, "small")) as model:
            plain = endpoint(good, "small")
            vote = await (sample(model, n=2) | MajorityVote()).answer("?")
            fused = await (sample(plain, n=2) | SelfMoA(model)).answer("?")
            judged = await (sample(plain, n=2) | UniversalSelfConsistency(model)).answer("?")
            await plain.aclose()
    assert [(d.code, d.where) for d in vote.degraded] == [
        ("fallback_used", "sample: big #0"),
        ("fallback_used", "sample: big #1"),
    ]
    assert [d.code for d in fused.degraded] == ["fallback_used"]
    assert fused.text == "so 42"
    assert "fallback_used" in [d.code for d in judged.degraded]


async def test_a_pipeline_can_stand_in() -> None:
    """A pipeline is a model."""
    vote = sample(ScriptedModel(["so 1", "so 2", "so 2"]), n=3) | MajorityVote()
    async with ScriptedUpstream(Fault.status(500)) as broken, Fallback(endpoint(broken, "big"), vote) as model:
        answer = await model.answer("?")
    assert answer.text == "so 2"


async def test_leaving_a_chain_counts_what_was_spent() -> None:
    """Cancelled while the second model writes: both are in the ledger and on the cut candidate."""
    async with (
        ScriptedUpstream(Fault.status(500)) as broken,
        ScriptedUpstream(Fault.hang(after_chunks=2)) as good,
        Fallback(endpoint(broken, "big"), endpoint(good, "small")) as model,
    ):
        drawing = Drawing.of([0], live=True)
        await drawing.cut_off(model, lambda drawing: drawing.token_count == 2)
        await good.wait_until(lambda up: up.in_flight == 0)
    [cut] = drawing.cut
    assert (cut.text, cut.usage) == ("one two ", drawing.spent)
    assert [d.code for d in cut.degraded] == ["fallback_used"]
    assert (cut.usage.requests, cut.usage.completion_tokens) == (2, 2)


async def test_a_pool_shares_the_load() -> None:
    """Requests under way are spread evenly; a request for several samples goes to one server."""
    async with (
        ScriptedUpstream(Reply("x", delay=0.1)) as one,
        ScriptedUpstream(Reply("x", delay=0.1)) as two,
        Pool([endpoint(one, "m"), endpoint(two, "m")]) as model,
    ):
        results = await asyncio.gather(*(draw(model) for _ in range(8)))
        assert model.load == [0, 0]
        assert [r.one.degraded for r in results] == [()] * 8
        assert (len(one.requests), len(two.requests)) == (4, 4)
        await draw(model, 3)
    assert sorted((len(one.requests), len(two.requests))) == [4, 7]


async def test_a_pool_prefers_the_idle_server() -> None:
    """One server hangs with two samples; the next three all go to the other one."""
    async with (
        ScriptedUpstream(Fault.hang()) as slow,
        ScriptedUpstream(Reply("x")) as quick,
        Pool([endpoint(slow, "m"), endpoint(quick, "m")]) as model,
    ):
        waiting = asyncio.create_task(draw(model, 2))
        await slow.wait_until(lambda up: up.in_flight == 2)
        for _ in range(3):
            assert (await draw(model)).texts == ["x"]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert model.load == [0, 0]
    assert len(quick.requests) == 3


async def test_round_robin_takes_turns() -> None:
    """Whatever is under way."""
    async with (
        ScriptedUpstream(Reply("x")) as one,
        ScriptedUpstream(Reply("x")) as two,
        RoundRobin([endpoint(one, "m"), endpoint(two, "m")]) as model,
    ):
        for _ in range(6):
            await draw(model)
    assert (len(one.requests), len(two.requests)) == (3, 3)


async def test_a_pool_outlives_one_of_its_servers() -> None:
    """Its failure is nobody's business: no note, no failed candidate; later it is not even asked."""
    async with ScriptedUpstream(Fault.close()) as dead, ScriptedUpstream(Reply("x")) as good:
        first = endpoint(dead, "m", breaker=BreakerPolicy(failures=2, pause=60))
        async with Pool([first, endpoint(good, "m")]) as model:
            for number in range(8):
                result = await draw(model, question=f"{number}?")
                assert (result.texts, result.one.degraded) == (["x"], ())
    assert len(dead.requests) == 2


async def test_a_pool_does_not_spread_a_bad_request() -> None:
    """Another server of the same model would refuse it too."""
    async with (
        ScriptedUpstream(Fault.status(400)) as one,
        ScriptedUpstream(Fault.status(400)) as two,
        Pool([endpoint(one, "m"), endpoint(two, "m")]) as model,
    ):
        assert (await draw(model)).one.error is not None
    assert len(one.requests) + len(two.requests) == 1


@pytest.mark.parametrize("kind", [Pool, RoundRobin])
def test_one_model_is_no_pool(kind: type[Pool]) -> None:
    """Nor is something that is no model."""
    with pytest.raises(BadInput, match="two or more"):
        kind([ScriptedModel()])
    with pytest.raises(BadInput, match="'m' is no model"):
        kind([ScriptedModel(), "m"])  # type: ignore[list-item]


@pytest.mark.parametrize("make", [Fallback, lambda a, b: Pool([a, b])])
async def test_finished_samples_are_not_lost_when_the_first_one_will_do(make: object) -> None:
    """As with a single endpoint: they stand as they are, and candidates sum to the ledger."""
    async with ScriptedUpstream(Reply(["a", "b", "c"])) as one, ScriptedUpstream() as two:
        first, second = endpoint(one, "m", n_supported=True), endpoint(two, "m")
        model: Agent = make(first, second)  # type: ignore[operator]
        async with model:
            drawing = Drawing.of(range(3))
            await drawing.cut_off(model, lambda drawing: any(hasattr(e, "candidate") for e in drawing.events))
    assert [(c.index, c.finish_reason) for c in drawing.candidates] == [(0, "stop"), (1, "stop"), (2, "stop")]
    assert Usage.total(c.usage for c in drawing.candidates).total_tokens == drawing.spent.total_tokens


async def test_a_pool_writes_together_by_one_of_its_servers() -> None:
    """The first that can and is healthy; models that differ cannot stand in for each other in one text."""
    one, two, plain = Tokens("bytes", 1), Tokens("bytes", 1), ScriptedModel(["4"], name="chat")
    pool = Pool([plain, one, two], name="box")
    assert pool.token_model() is one.tokens
    one.up = False
    assert pool.token_model() is two.tokens
    two.up = False
    assert pool.token_model() is one.tokens
    with pytest.raises(BadInput, match="box cannot be asked token by token"):
        Pool([plain, plain], name="box").token_model()
    with pytest.raises(BadInput, match="'big' cannot be asked token by token"):
        SAFE([Fallback(one, two, name="big")])


class Tokens(ScriptedModel):
    """A model that can be asked token by token, and may be down."""

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__(["4"], name=f"{kind}-{seed}")
        self.tokens, self.up = model(kind, seed), True

    @property
    def available(self) -> bool:
        return self.up

    def token_model(self) -> TokenModel:
        return self.tokens


def test_what_a_chain_is() -> None:
    """That of its first model, with all of them as members, and what all of them can."""
    price = Price(prompt=1, completion=2)
    one = Endpoint("big", base_url="http://one", price=price)
    two = Recorded([{"question": "q", "answers": ["a"]}], name="small")
    for chain, kind in ((Fallback(one, two, name="both"), "fallback"), (Pool([one, two], name="both"), "pool")):
        identity = chain.identity
        assert (identity.kind, identity.model, identity.price) == (kind, "big", price)
        assert identity.members == (one.identity, two.identity)
        assert identity.capabilities == {"samples"} | ({"tokens"} if kind == "pool" else set())
        assert chain.parts == (one, two)
        assert (chain.calls, chain.available) == (1, True)
    assert Fallback(sample(one, n=3) | MajorityVote(), two).calls == 3


def test_a_prompted_agent_before_a_chain_is_known_by_its_own_name() -> None:
    """Marks of the outer slot hold, whoever writes it in the end."""
    failing = ScriptedModel([Failure(code="down", message="down")], name="big")
    chain = Fallback(failing, ScriptedModel(["4"], name="small"))
    terse = prompted(chain, system="Be brief.", name="terse")
    assert is_sampler(terse)
    [candidate] = asyncio.run(draw(terse)).candidates
    assert (candidate.text, candidate.agent) == ("4", "terse")
    assert candidate.prompt_version is not None
    assert [note.code for note in candidate.degraded] == ["fallback_used"]


async def test_a_beginning_of_its_own_is_no_first_token() -> None:
    """A model that fails before it says anything has said nothing, whatever its answer begins with."""
    failing = prompted(ScriptedModel([Failure(code="down", message="down")], name="big"), prefill="So ")
    result = await draw(Fallback(failing, ScriptedModel(["it is 4"], name="small")), live=True)
    assert result.texts == ["it is 4"]
    assert result.tokens(0) == ["it ", "is ", "4"]
