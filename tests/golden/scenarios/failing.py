"""Upstreams that fail, and who stands in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quorate import (
    Fallback,
    Hedged,
    Pool,
)
from quorate.orchestrator.errors import RateLimited
from quorate.testing import Fault, Reply, ScriptedModel, ScriptedUpstream

from ..answering import SUM, endpoint, said, sampled_by_seed, solver
from ..scenario import Ask, scenario
from ..telling import build, failure


@scenario
async def some_fail() -> AsyncIterator[Ask]:
    """Two of five samples fail; the others vote."""
    failed = failure(429, "slow down", "rate_limited", retry_after=2.0)
    yield Ask(build("majority@5/m", m=solver(17, failed, 18, failure(500), 17)), SUM)


@scenario
async def all_fail() -> AsyncIterator[Ask]:
    """The most telling of different failures is the error: a 429 before a 500 before a 400."""
    slow = failure(429, "slow down", "rate_limited", retry_after=2.0)
    yield Ask(build("majority@3/m", m=solver(failure(500), failure(400, code="upstream_rejected"), slow)), SUM)


@scenario
async def all_fail_alike() -> AsyncIterator[Ask]:
    """A server that refuses everything with 401."""
    async with ScriptedUpstream(Reply("ok"), api_key="secret") as up:
        yield Ask(build("majority@3/m", m=endpoint(up)), SUM)


@scenario
async def some_statuses() -> AsyncIterator[Ask]:
    """A 500, a broken stream, a reply that is no JSON, and one good answer."""
    good, broken = Reply(said(17)), Fault.close_midway(after_chunks=1)
    steps = sampled_by_seed(4, Fault.status(500), good, broken, Fault.status(413, "too long"))
    async with ScriptedUpstream(steps) as up:
        yield Ask(build("majority@4/m", m=endpoint(up, n_supported=False)), SUM)


@scenario
async def model_crashes() -> AsyncIterator[Ask]:
    """A model that raises what is no error of ours fails its samples; the other model answers."""
    crashing = ScriptedModel([ValueError("oops")], name="a")
    yield Ask(build("majority@4/a+b", a=crashing, b=solver(name="b")), SUM)


@scenario
async def model_raises() -> AsyncIterator[Ask]:
    """A model that raises an upstream's error alone."""
    yield Ask(build("a", a=ScriptedModel([RateLimited("wait", retry_after=3.0)], name="a")), SUM)


@scenario
async def fallback() -> AsyncIterator[Ask]:
    """Another model stands in for the samples that fail."""
    model = Fallback(solver(17, failure(503), failure(500), name="a"), solver(18, name="b"), name="both")
    yield Ask(build("majority@3/both", both=model), SUM)


@scenario
async def fallback_exhausted() -> AsyncIterator[Ask]:
    """Those that stand in fail as well."""
    model = Fallback(solver(failure(500), name="a"), solver(failure(503, "overloaded"), name="b"), name="both")
    yield Ask(build("both", both=model), SUM)


@scenario
async def fallback_over_sockets() -> AsyncIterator[Ask]:
    """A server that is down, and one that stands in for it, streamed."""
    async with ScriptedUpstream(Fault.status(503)) as down, ScriptedUpstream(Reply(said(17))) as up:
        model = Fallback(endpoint(down, name="a"), endpoint(up, name="b"), name="both")
        yield Ask(build("both", both=model), SUM)


@scenario
async def pool() -> AsyncIterator[Ask]:
    """Two servers of one model, of which one fails: the other is asked for its samples too."""
    texts = [said(17), said(18), said(17)]
    async with ScriptedUpstream(Fault.status(500)) as down, ScriptedUpstream(Reply(texts)) as up:
        model = Pool([endpoint(down, name="m"), endpoint(up, name="m")], name="pool")
        yield Ask(build("majority@3/pool", pool=model), SUM)


@scenario
async def hedge() -> AsyncIterator[Ask]:
    """A second request overtakes one that hangs, and both are paid for."""
    steps = iter((Fault.hang(), Reply("It is \\boxed{17}.")))
    async with ScriptedUpstream(lambda _: next(steps)) as up:
        yield Ask(build("m", m=Hedged(endpoint(up, n_supported=False), after=0.1)), SUM)
