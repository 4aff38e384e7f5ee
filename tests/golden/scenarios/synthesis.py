"""Answers written anew from candidates."""

from __future__ import annotations

from collections.abc import AsyncIterator

from quorate import (
    Message,
    Question,
)
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..answering import MOSTLY, STORY, SUM, endpoint, solver, tiny
from ..scenario import Ask, scenario
from ..telling import build, drawing, failure, recipe


@scenario
async def self_moa() -> AsyncIterator[Ask]:
    """A model synthesizes its own samples."""
    yield Ask(build("self-moa@4/m", m=solver(18, 17, 17, 16)), SUM)


@scenario
async def self_moa_of_a_conversation() -> AsyncIterator[Ask]:
    """The conversation's own system message and format are kept, and another model synthesizes."""
    question = Question.of(
        [
            Message(role="system", content="Be brief."),
            Message(role="user", content="What is 3 + 14 ?"),
            Message(role="assistant", content="It is 16."),
            Message(role="user", content="Are you sure?"),
        ]
    )
    yield Ask(recipe("self-moa", solver(17, 16), n=3, aggregator_model=solver(name="writer")), question)


@scenario
async def self_moa_thinking() -> AsyncIterator[Ask]:
    """A synthesizer that thinks aloud; its thinking and its text are streamed apart."""
    async with ScriptedUpstream(Reply("So it is \\boxed{17}.", reasoning="They differ. Let me add.")) as up:
        yield Ask(recipe("self-moa", solver(), n=3, aggregator_model=endpoint(up, name="writer")), SUM)


@scenario
async def self_moa_synthesizer_fails() -> AsyncIterator[Ask]:
    """The vote stands in for a synthesizer that fails."""
    yield Ask(build("self-moa@3/m", m=solver(18, 17, 17, writes=failure(500))), SUM)


@scenario
async def self_moa_synthesizer_breaks_off() -> AsyncIterator[Ask]:
    """What has been streamed of a synthesis that breaks off stays the answer."""
    fault = Fault.error_midway(after_chunks=2, reply=Reply("So it is \\boxed{17} for sure."))
    async with ScriptedUpstream(fault) as up:
        yield Ask(recipe("self-moa", solver(18, 17, 17), n=3, aggregator_model=endpoint(up, name="writer")), SUM)


@scenario
async def self_moa_candidates_cut() -> AsyncIterator[Ask]:
    """Candidates that are too long for the prompt lose their middle."""
    long = "\\boxed{17} " + "and so on " * 400
    yield Ask(recipe("self-moa", solver(long, 17), n=2, options={"max_context_tokens": 200}), SUM)


@scenario
async def self_moa_seq() -> AsyncIterator[Ask]:
    """Samples are folded window by window into a running synthesis."""
    yield Ask(recipe("self-moa-seq", solver(*MOSTLY), n=9, options={"window": 4}), SUM)


@scenario
async def moa() -> AsyncIterator[Ask]:
    """Layers of two models, then one aggregator."""
    models = solver(*MOSTLY, name="a"), solver(*MOSTLY, name="b")
    yield Ask(recipe("moa", *models, n=4, options={"layers": 3}), SUM)


@scenario
async def aft() -> AsyncIterator[Ask]:
    """Proposals are aggregated in two rounds."""
    yield Ask(build("aft@3/m", m=solver(17, 17, 18)), SUM)


@scenario
async def rsa() -> AsyncIterator[Ask]:
    """A population is renewed from random subsets."""
    yield Ask(recipe("rsa", solver(*MOSTLY), n=5, options={"loops": 2, "subset": 3}), SUM)


@scenario
async def agglm() -> AsyncIterator[Ask]:
    """Solutions are reviewed and combined by a model that is not trained for it."""
    yield Ask(build("agglm@4/m", m=solver(18, 17, 17, 16)), SUM)


@scenario
async def agglm_embedded() -> AsyncIterator[Ask]:
    """The shipped aggregator reads samples of the shipped model."""
    yield Ask(build("agglm@3/tiny", tiny=tiny(temperature=0)), STORY)


@scenario
async def debate() -> AsyncIterator[Ask]:
    """Three agents revise their answers for two rounds, then vote."""
    yield Ask(build("debate@3/m", m=solver(17, 17, 18)), SUM)


@scenario
async def debate_with_a_failing_agent() -> AsyncIterator[Ask]:
    """An agent that fails is left out of the rounds."""
    model = recipe("debate", solver(17, failure(500), 18, 17), n=4, options={"rounds": 1})
    yield Ask(model, SUM)


@scenario
async def majority_over_self_moa() -> AsyncIterator[Ask]:
    """A vote over syntheses, each with samples of its own."""
    yield Ask(build("majority@3/self-moa@2/m", m=solver(17, 18)), SUM)


@scenario
async def self_moa_over_majority() -> AsyncIterator[Ask]:
    """A synthesis of votes; failures inside are told outside."""
    yield Ask(build("self-moa@2/majority@3/m", m=solver(17, failure(500), 17)), SUM)


@scenario
async def nested_deadline() -> AsyncIterator[Ask]:
    """Votes inside hand up what they have when the time of their own sampling is over."""
    inner = drawing(build("majority@3/m", m=solver(17, None, 17)), seconds=0.25)
    yield Ask(build("majority@2/inner", inner=inner), SUM)


@scenario
async def nested_all_fail() -> AsyncIterator[Ask]:
    """Pipelines inside fail with the status of their models."""
    yield Ask(build("majority@2/self-moa@2/m", m=solver(failure(429, "slow down", "rate_limited"))), SUM)
