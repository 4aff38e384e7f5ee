"""Votes, and what they weigh by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from quorate.agents import Price
from quorate.testing import Fault, Reply, ScriptedUpstream

from ..answering import STORY, SUM, endpoint, recorded, said, scoring, solver, tiny
from ..scenario import Ask, scenario
from ..telling import build, recipe


@scenario
async def majority() -> AsyncIterator[Ask]:
    """The most frequent of five answers; one abstains."""
    yield Ask(build("majority@5/m", m=solver(18, 17, 17, "I do not know", 17)), SUM)


@scenario
async def majority_tied() -> AsyncIterator[Ask]:
    """Two answers with two votes each."""
    yield Ask(build("majority@4/m", m=solver(18, 17, 17, 18)), SUM)


@scenario
async def majority_equivalent() -> AsyncIterator[Ask]:
    """Different spellings of one value vote together, and the spelling that most voters used is told."""
    lines = ("\\boxed{1/2}", "\\boxed{0.5}", "\\boxed{0.5}", "The answer is 2", "#### 2")
    yield Ask(build("majority@5/m", m=solver(*lines)), SUM)


@scenario
async def majority_all_abstain() -> AsyncIterator[Ask]:
    """Nobody gives an answer that can be counted."""
    yield Ask(build("majority@3/m", m=solver("No idea", "Hm, hard", "Who knows")), SUM)


@scenario
async def majority_without_a_seed() -> AsyncIterator[Ask]:
    """Without a seed candidates have none."""
    yield Ask(build("majority@3/m", m=solver()), SUM, seed=None)


@scenario
async def majority_of_two_models() -> AsyncIterator[Ask]:
    """Samples are dealt to two models in turn."""
    yield Ask(build("majority@5/a+b", a=solver(17, 18, 18, name="a"), b=solver(18, 17, name="b")), SUM)


@scenario
async def majority_embedded() -> AsyncIterator[Ask]:
    """Five samples of the shipped model."""
    yield Ask(build("majority@5/tiny", tiny=tiny()), STORY)


@scenario
async def majority_endpoint_choices() -> AsyncIterator[Ask]:
    """Four choices of one request, whose prompt is counted once."""
    texts = [said(17), said(18), said(17), said(17)]
    async with ScriptedUpstream(Reply(texts)) as up:
        yield Ask(build("majority@4/m", m=endpoint(up, price=Price(prompt=2.0, completion=8.0))), SUM)


@scenario
async def by_model() -> AsyncIterator[Ask]:
    """A trusted model outvotes two others."""
    models = [solver(line, name=name) for name, line in (("a", 18), ("b", 17), ("c", 17))]
    yield Ask(recipe("by-model", *models, n=3, options={"weights": {"a": 2.5}}), SUM)


@scenario
async def log_odds() -> AsyncIterator[Ask]:
    """Votes weigh by how often their models are right."""
    models = [solver(line, name=name) for name, line in (("a", 18), ("b", 17), ("c", 17))]
    yield Ask(recipe("log-odds", *models, n=3, options={"accuracies": {"a": 0.95, "b": 0.7, "c": 0.55}}), SUM)


@scenario
async def run_off() -> AsyncIterator[Ask]:
    """A second round between the two most frequent answers."""
    models = {"a": solver(17, 17, 18, name="a"), "b": solver(18, 16, 18, name="b"), "c": solver(16, 17, 17, name="c")}
    yield Ask(build("run-off@9/a+b+c", **models), SUM)


@scenario(needs="numpy")
async def label_free() -> AsyncIterator[Ask]:
    """Several models' votes with abilities that their agreement teaches."""
    models = {"a": solver(18, name="a"), "b": solver(17, name="b"), "c": solver(17, name="c")}
    yield Ask(build("label-free@3/a+b+c", **models), SUM)


@asynccontextmanager
async def rewarded(name: str, **options: Any) -> AsyncIterator[Ask]:
    """A pipeline with a reward model over a socket."""
    async with ScriptedUpstream(scoring) as up:
        verifier = {"base_url": up.url, "model": "reward"}
        yield Ask(recipe(name, solver(17, 18, 17, 16, 17), n=5, options={"verifier": verifier, **options}), SUM)


@scenario
async def borda() -> AsyncIterator[Ask]:
    """A vote weighted by the rank of a reward model's score."""
    async with rewarded("borda", power=2) as ask:
        yield ask


@scenario(needs="numpy")
async def majority_of_bests() -> AsyncIterator[Ask]:
    """The answer that best-of-m would give most often."""
    async with rewarded("majority-of-bests") as ask:
        yield ask


@scenario
async def reward_best() -> AsyncIterator[Ask]:
    """The sample with the best score."""
    async with rewarded("reward-best") as ask:
        yield ask


@scenario
async def reward_vote() -> AsyncIterator[Ask]:
    """Scores are added up by answer."""
    async with rewarded("reward-vote") as ask:
        yield ask


@scenario
async def reward_softmax_vote() -> AsyncIterator[Ask]:
    """Softmax of the scores, added up by answer."""
    async with rewarded("reward-softmax-vote", temperature=0.5) as ask:
        yield ask


@scenario
async def reward_model_fails() -> AsyncIterator[Ask]:
    """Without any score the vote decides, and the answer says so."""
    async with ScriptedUpstream(Fault.status(400, "no such model")) as up:
        verifier = {"base_url": up.url, "model": "reward"}
        yield Ask(recipe("reward-best", solver(18, 17, 17), n=3, options={"verifier": verifier}), SUM)


def traced(answer: int, *logprobs: float) -> dict[str, Any]:
    """A recorded sample whose tokens have these log-probabilities."""
    tokens = [
        {"token": f"t{place}", "logprob": value, "top": [(f"t{place}", value), (f"u{place}", -3.0)]}
        for place, value in enumerate(logprobs)
    ]
    return {"text": said(answer), "logprobs": tokens}


TRACES = (
    traced(18, -0.1, -0.2, -0.1),
    traced(17, -1.5, -1.0, -2.0),
    traced(17, -1.2, -0.9, -1.1),
    traced(18, -0.3, -0.1, -0.2),
    traced(17, -2.5, -0.5, -0.7),
)


@scenario
async def confidence() -> AsyncIterator[Ask]:
    """The surest samples vote, weighted by how sure they are."""
    model = recorded(*TRACES)
    yield Ask(recipe("confidence", model, n=5, options={"measure": "mean-logprob", "keep": 0.8}), SUM)


@scenario
async def confidence_embedded() -> AsyncIterator[Ask]:
    """The lowest group of the shipped model's own traces."""
    yield Ask(build("confidence@4/tiny", tiny=tiny()), STORY)


@scenario
async def self_certainty() -> AsyncIterator[Ask]:
    """A Borda vote by how sure the model was."""
    yield Ask(build("self-certainty@5/m", m=recorded(*TRACES)), SUM)


@scenario
async def confidence_unknown() -> AsyncIterator[Ask]:
    """A model that tells no probabilities: the votes count alike, and the answer says so."""
    yield Ask(build("confidence@3/m", m=solver(18, 17, 17)), SUM)


@scenario
async def deepconf() -> AsyncIterator[Ask]:
    """After the warm-up sampling ends at a consensus."""
    model = recorded(*[traced(17, -0.2, -0.1 * place) for place in range(1, 13)])
    yield Ask(recipe("deepconf", model, n=12, options={"warm_up": 4, "window": 2}), SUM)
