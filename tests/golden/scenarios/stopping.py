"""Sampling that ends early: rules, quorums, deadlines, budgets."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quorate import (
    Budget,
    Recorded,
)
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..answering import MOSTLY, SUM, endpoint, recorded, said, sampled_by_seed, solver
from ..scenario import Ask, scenario
from ..telling import aggregating_within, build, drawing, failure, recipe, rule


@scenario
async def adaptive_consistency() -> AsyncIterator[Ask]:
    """Unanimous samples stop after the first wave."""
    yield Ask(build("adaptive-consistency@12/m", m=solver(17)), SUM)


@scenario
async def adaptive_consistency_divided() -> AsyncIterator[Ask]:
    """Divided samples are all drawn."""
    yield Ask(build("adaptive-consistency@8/m", m=solver(17, 18)), SUM)


@scenario
async def adaptive_consistency_one_by_one() -> AsyncIterator[Ask]:
    """One sample at a time stops as early as it can."""
    model = solver(18, 17, 17, 17, 17, 17)
    yield Ask(recipe("adaptive-consistency", model, n=12, wave=1), SUM)


@scenario
async def esc() -> AsyncIterator[Ask]:
    """A unanimous window of three ends sampling."""
    yield Ask(recipe("esc", solver(18, 17, 17, 17, 17, 17, 17), n=12, wave=1, options={"window": 3}), SUM)


@scenario
async def look_ahead() -> AsyncIterator[Ask]:
    """The samples left would not change the winner."""
    yield Ask(recipe("look-ahead", solver(17, 17, 18, 17, 17, 17, 17), n=10, wave=1), SUM)


@scenario
async def best_of_infinity() -> AsyncIterator[Ask]:
    """The evidence for the leading answer is strong enough."""
    yield Ask(recipe("best-of-infinity", solver(17, 18, 17, 17, 17, 17, 17, 17), n=16, wave=1), SUM)


@scenario
async def stop_at_votes() -> AsyncIterator[Ask]:
    """A number of votes ends sampling; failures and abstentions do not count."""
    model = solver(17, failure(500), "No idea", 18, 17, 17)
    yield Ask(recipe("majority", model, n=12, wave=1, stop=rule("fixed", votes=3)), SUM)


@scenario
async def stop_at_tokens() -> AsyncIterator[Ask]:
    """A number of tokens ends sampling without any budget."""
    yield Ask(recipe("majority", solver(), n=12, wave=1, stop=rule("token-limit", tokens=30)), SUM)


@scenario
async def stop_at_consensus() -> AsyncIterator[Ask]:
    """A share of the weight ends a synthesis's sampling."""
    stop = rule("weight-share", share=0.7, after=4)
    yield Ask(recipe("self-moa", solver(17, 17, 17, 18), n=8, wave=1, stop=stop), SUM)


@scenario
async def quorum_and_grace() -> AsyncIterator[Ask]:
    """Three of five samples will do; the two that hang are cancelled after their grace."""
    model = build("majority@5/m", m=solver(17, None, 18, None, 17))
    yield Ask(drawing(model, quorum=3, grace=0.1), SUM)


@scenario
async def quorum_missed() -> AsyncIterator[Ask]:
    """Too many samples fail for a quorum, and the answer says so."""
    model = build("majority@4/m", m=solver(17, failure(500), failure(500), 17))
    yield Ask(drawing(model, quorum=3, grace=0.1), SUM)


@scenario
async def quorum_of_streams() -> AsyncIterator[Ask]:
    """Three streams end and one hangs in the middle: its part is kept, and what it cost."""
    good = Reply(said(17))
    steps = sampled_by_seed(4, good, Fault.hang(after_chunks=2, reply=Reply("Let me think about it")), good, good)
    async with ScriptedUpstream(steps) as up:
        model = build("majority@4/m", m=endpoint(up, n_supported=False))
        yield Ask(drawing(model, quorum=3, grace=0.35), SUM)


@scenario
async def least_samples() -> AsyncIterator[Ask]:
    """Fewer good samples than asked for are an error with the status of the failures."""
    failed = failure(503, "overloaded", retry_after=4.0)
    model = build("majority@4/m", m=solver(17, failed, failed, 17))
    yield Ask(drawing(model, min_candidates=3), SUM)


@scenario
async def stage_deadline() -> AsyncIterator[Ask]:
    """The time of the sampling stage is over; the vote is over what has come."""
    model = build("majority@4/m", m=solver(17, 18, None, 17))
    yield Ask(drawing(model, seconds=0.3), SUM)


@scenario
async def deadline() -> AsyncIterator[Ask]:
    """The time of the whole call is over; the vote is over what has come."""
    yield Ask(build("majority@4/m", m=solver(17, None, None, 17)), SUM, budget=Budget(seconds=0.3))


@scenario
async def deadline_before_any() -> AsyncIterator[Ask]:
    """Every sample hangs: an error of its own."""
    yield Ask(build("majority@3/m", m=solver(None)), SUM, budget=Budget(seconds=0.1))


@scenario
async def deadline_of_streams() -> AsyncIterator[Ask]:
    """All streams hang in the middle: their parts are the candidates, cut by their length."""
    cut = "It is \\boxed{17} and that because of many things"
    async with ScriptedUpstream(Fault.hang(after_chunks=4, reply=Reply(cut))) as up:
        model = build("majority@2/m", m=endpoint(up, n_supported=False))
        yield Ask(model, SUM, budget=Budget(seconds=0.4))


@scenario
async def aggregation_deadline() -> AsyncIterator[Ask]:
    """The synthesizer hangs; the vote stands in."""
    yield Ask(aggregating_within(build("self-moa@3/m", m=solver(18, 17, 17, writes=None)), 0.1), SUM)


def priced(*answers: int) -> Recorded:
    """Recorded samples of twelve tokens and a quarter of money each."""
    usage = {"prompt_tokens": 6, "completion_tokens": 6, "requests": 1, "cost": 0.25}
    return recorded(*[{"text": said(answer), "usage": usage} for answer in answers])


@scenario
async def token_budget() -> AsyncIterator[Ask]:
    """The budget of tokens is used up by the first wave, so there is no second."""
    yield Ask(build("majority@8/m", m=priced(*MOSTLY, 17, 17)), SUM, budget=Budget(tokens=48))


@scenario
async def token_budget_before_synthesis() -> AsyncIterator[Ask]:
    """Nothing is left for the synthesis, and the vote stands in."""
    yield Ask(build("self-moa@4/m", m=priced(*MOSTLY)), SUM, budget=Budget(tokens=48))


@scenario
async def money_budget() -> AsyncIterator[Ask]:
    """Money is spent by the first wave."""
    yield Ask(build("majority@8/m", m=priced(*MOSTLY, 17, 17)), SUM, budget=Budget(money=1.0))


@scenario
async def sample_budget() -> AsyncIterator[Ask]:
    """The budget allows three of eight samples."""
    yield Ask(build("majority@8/m", m=solver()), SUM, budget=Budget(samples=3))


@scenario
async def sample_budget_of_a_stopping_rule() -> AsyncIterator[Ask]:
    """A rule that looks ahead looks no further than the budget."""
    model = recipe("look-ahead", solver(17, 18, 17, 17, 17), n=16, wave=1)
    yield Ask(model, SUM, budget=Budget(samples=5))
