"""The ledger against what the servers say they have counted, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorate import Budget, Endpoint, Fallback, Hedged, MajorityVote, Pool, SelfMoA, sample
from quorate.agents import BreakerPolicy, Price, RetryPolicy, Timeouts
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import NoAnswer
from quorate.orchestrator.model import Agent, ModelBase
from quorate.orchestrator.types import Answer, Question
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Reply, ScriptedUpstream, Step

TEXT = Reply("the answer is 42")
STEPS: dict[str, Step] = {
    "good": TEXT,
    "slow": Reply("so slowly 42", gap=0.01),
    "429": Fault.status(429, retry_after=0.01),
    "500": Fault.status(500),
    "503": Fault.status(503),
    "refused": Fault.status(400),
    "closed": Fault.close(),
    "truncated": Fault.close_midway(after_chunks=2, reply=TEXT),
    "reset": Fault.reset_midway(after_chunks=3, reply=TEXT),
    "error event": Fault.error_midway(after_chunks=1, reply=TEXT),
    "hangs in the middle": Fault.hang(after_chunks=2, reply=TEXT),
    "strange usage": Reply("42", usage=(1000, 7)),
}


def endpoint(up: ScriptedUpstream, **more: object) -> Endpoint:
    given = {
        "n_supported": False,
        "retries": RetryPolicy(attempts=2, backoff=0.001, reserve=100),
        "timeouts": Timeouts(first_byte=5, total=5),
        "breaker": BreakerPolicy(failures=100),
        "price": Price(prompt=1e6, completion=2e6),
    }
    return Endpoint("m", base_url=up.url, **{**given, **more})  # type: ignore[arg-type]


SYSTEMS: dict[str, Callable[[Agent, Agent], ModelBase]] = {
    "a vote": lambda a, b: sample(a, n=4) | MajorityVote(),
    "a quorum": lambda a, b: sample([a, b], n=4, quorum=2, grace=0.05) | MajorityVote(),
    "a nested vote": lambda a, b: sample(sample(a, n=2) | MajorityVote(), n=2) | MajorityVote(),
    "a fallback": lambda a, b: sample(Fallback(a, b), n=3) | MajorityVote(),
    "a hedged pool": lambda a, b: sample(Hedged(Pool([a, b]), after=0.03, share=1), n=3) | MajorityVote(),
    "a synthesis": lambda a, b: sample(a, n=2) | SelfMoA(Fallback(b, a)),
    "a bare model": lambda a, b: a,
}


Outcome = Answer | NoAnswer


async def ask(system: str, scripts: Sequence[Sequence[str]]) -> tuple[Usage, Answer | NoAnswer, list[ScriptedUpstream]]:
    """What a run over two servers spent and gave."""
    async with AsyncExitStack() as stack:
        ups = [
            await stack.enter_async_context(ScriptedUpstream([STEPS[name] for name in script])) for script in scripts
        ]
        one, two = [await stack.enter_async_context(endpoint(up)) for up in ups]
        run = RunContext(seed=1, budget=Budget(seconds=0.8))
        outcome: Outcome
        try:
            outcome = await SYSTEMS[system](one, two).answer(Question.of("How many are there?"), run)
        except NoAnswer as error:
            outcome = error
        for up in ups:
            await up.wait_until(lambda up: up.in_flight == 0)
    return run.ledger.usage, outcome, ups


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    first=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6),
    second=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4),
)
def test_the_ledger_holds_what_the_servers_counted(system: str, first: list[str], second: list[str]) -> None:
    """Over finished, retried, failed, truncated, cancelled, hedged and handed-on requests; and so do the candidates."""
    spent, outcome, ups = asyncio.run(ask(system, [first, second]))
    prompt, completion = (sum(pair) for pair in zip(*(up.token_counts for up in ups), strict=True))
    received = [request for up in ups for request in up.requests]
    left = sum(request.disconnected for request in received)
    assert spent.requests >= len(received)
    if not spent.estimated:  # no request was given up before its first byte
        # What a server has just sent when it is let go may be on its way still: a token at most.
        assert spent.prompt_tokens == prompt
        assert 0 <= completion - spent.completion_tokens <= left
        assert spent.requests == len(received)
    assert spent.cost in (None, pytest.approx(spent.prompt_tokens + 2 * spent.completion_tokens))
    if isinstance(outcome, Answer):
        assert outcome.usage == spent
        sampled = Usage.total(node.usage for node in outcome.nodes if node.node != "aggregate")
        parts = Usage.total(candidate.usage for candidate in outcome.candidates)
        assert (parts.total_tokens, parts.requests) == (sampled.total_tokens, sampled.requests)


@pytest.mark.parametrize("fault", [Fault.hang(), Fault.hang(after_chunks=2), Fault.bad_body(b"{")])
async def test_what_nobody_counted_is_marked_as_estimated(fault: Step) -> None:
    """A request that is cancelled before its first byte, or whose stream tells no usage, is our own count."""
    async with ScriptedUpstream(fault, ignores=["stream_options"]) as up, endpoint(up) as model:
        vote = sample([model], n=2) | MajorityVote()
        run = RunContext(budget=Budget(seconds=0.3))
        with suppress(NoAnswer):
            await vote.answer(Question.of("How many?"), run)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert run.ledger.usage.estimated
    assert run.ledger.usage.requests == 2
    assert run.ledger.usage.prompt_tokens > 0


async def test_a_writer_cut_off_by_its_stage_is_counted() -> None:
    """The vote answers in time, and the tokens of the text that came too late are in the ledger."""
    async with ScriptedUpstream(TEXT) as up, ScriptedUpstream(Fault.hang(after_chunks=2)) as slow:
        async with endpoint(up) as proposer, endpoint(slow) as writer:
            fused = (sample(proposer, n=2) | SelfMoA(writer)).with_timeout(0.3)
            answer = await fused.answer("How many?")
        await slow.wait_until(lambda up: up.in_flight == 0)
        counted = [a + b for a, b in zip(up.token_counts, slow.token_counts, strict=True)]
    assert [answer.usage.prompt_tokens, answer.usage.completion_tokens] == counted
    assert "deadline_passed" in [d.code for d in answer.degraded]
