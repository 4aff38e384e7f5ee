"""DeepConf online: unsure traces are stopped while they stream, and every token of theirs is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from quorate.agents import Embedded, Endpoint
from quorate.aggregators import DeepConfVote, deepconf
from quorate.orchestrator.context import Budget
from quorate.orchestrator.errors import BadInput, NoAnswer
from quorate.orchestrator.events import CandidateToken
from quorate.orchestrator.partial import PartialCandidate
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Candidate, Failure, Question, SamplingParams
from quorate.orchestrator.usage import Usage
from quorate.testing import Fault, Raw, ScriptedModel, ScriptedUpstream
from tests.agents.tiny import build

from ..helpers import Exact
from .traces import Streams, trace


class Whole:
    """The answer is the whole text, so that noise hardly ever agrees."""

    def extract(self, text: str) -> str | None:
        return text or None


SURE, UNSURE = [3.0] * 6, [3.0, 3.0, 3.0, 1.0, 1.0, 1.0, 1.0]


def online(model: Model, n: int = 6, **settings: float) -> Pipeline:
    values = {"warm_up": 2, "window": 2, "keep": 1.0, "wave": 2} | settings
    return deepconf(model, n=n, equivalence=Exact(), **values)  # type: ignore[arg-type]


async def test_an_unsure_trace_is_stopped_at_the_token_that_shows_it() -> None:
    """The threshold is the warm-up's least window, 3; the window of 3 and 1 after four tokens is below."""
    model = Streams({0: ("1", SURE), 1: ("2", SURE), 2: ("3", UNSURE), 3: ("1", SURE), 4: ("2", SURE)})
    answer = await online(model, n=5, consensus=1.0).answer("?", seed=1)
    stopped = answer.candidates[2]
    assert (stopped.finish_reason, stopped.usage.completion_tokens, stopped.text) == ("cancelled", 4, "xxxx")
    assert [c.index for c in answer.candidates if c.ok] == [0, 1, 3, 4]
    assert {i for c in answer.tally for i in c.voters} == {0, 1, 3, 4}
    assert answer.stopped == "complete"
    assert [note.code for note in answer.degraded] == ["tied"]


async def test_stopped_traces_cost_exactly_what_they_wrote() -> None:
    """The ledger is the sum of the candidates, the stopped ones among them."""
    model = Streams({0: ("1", SURE), 1: ("2", SURE), 2: ("3", UNSURE)})
    answer = await online(model, consensus=1.0).answer("?", seed=1)
    assert sum(c.finish_reason == "cancelled" for c in answer.candidates) == 4
    assert answer.usage == Usage.total(c.usage for c in answer.candidates)
    assert answer.usage.completion_tokens == 2 * 6 + 4 * 4
    assert not answer.usage.estimated


async def test_the_warm_up_is_one_request_and_the_others_are_one_each() -> None:
    """So that each can be stopped; all ask for log-probabilities, and a caller's larger wish stands."""
    model = Streams({0: ("1", SURE), 1: ("2", SURE)})
    await online(model, n=4, consensus=1.0).answer("?", seed=1)
    assert model.requests == [[0, 1], [2], [3]]
    assert {q.sampling.top_logprobs for q in model.asked} == {20}
    await online(model, n=2).answer(Question.of("?").with_params(top_logprobs=50), seed=1)
    assert model.asked[-1].sampling.top_logprobs == 50


async def test_it_stops_sampling_at_the_consensus() -> None:
    """Two warm-up traces that agree are enough here; fewer than the warm-up never are."""
    model = Streams({0: ("1", SURE)})
    answer = await online(model, n=32).answer("?", seed=1)
    assert len(answer.candidates) == 2
    assert answer.stopped.startswith("consensus: 1.000 of the weight")


async def test_warm_up_traces_below_the_threshold_do_not_vote() -> None:
    """Of three, the lowest lies below the percentile of the upper two thirds."""
    model = Streams({0: ("1", [3.0] * 4), 1: ("1", [3.1] * 4), 2: ("2", [1.0] * 4)})
    answer = await online(model, n=3, warm_up=3, keep=0.5).answer("?", seed=1)
    assert [(c.answer, c.voters) for c in answer.tally] == [("1", (0, 1))]


async def test_without_log_probabilities_nothing_is_stopped() -> None:
    """The vote is the plurality, and the answer says why."""
    model = Streams({0: ("1", SURE), 1: ("2", SURE), 2: ("2", UNSURE)}, telling=False)
    answer = await online(model, n=4, consensus=1.0).answer("?", seed=1)
    assert all(c.ok for c in answer.candidates)
    assert (answer.answer, [note.code for note in answer.degraded]) == ("2", ["no_confidence"])
    assert model.requests == [[0, 1], [2, 3]]


async def test_a_trace_shorter_than_the_window_is_never_stopped() -> None:
    """Only a full window is compared, as in the paper."""
    model = Streams({0: ("1", SURE), 1: ("2", SURE), 2: ("3", UNSURE)})
    answer = await online(model, n=4, window=64, consensus=1.0).answer("?", seed=1)
    assert all(c.ok for c in answer.candidates)


async def test_a_failed_warm_up_leaves_plain_sampling() -> None:
    """Failures are values here too; where all fail there is no answer."""
    lost = Failure(code="boom", message="no luck")
    answer = await online(ScriptedModel([lost, lost, "\\boxed{4}"]), n=3).answer("?", seed=1)
    assert answer.answer == "4"
    with pytest.raises(NoAnswer, match="no luck"):
        await online(ScriptedModel([lost])).answer("?", seed=1)


async def test_a_model_that_leaves_nothing_is_told_by_its_text() -> None:
    """An agent that does not say what it had spent still gives a cancelled candidate."""

    class Careless(Streams):
        def leave(self, slot: PartialCandidate) -> None:
            pass

    model = Careless({0: ("1", SURE), 1: ("2", SURE), 2: ("3", UNSURE)})
    answer = await online(model, n=3, consensus=1.0).answer("?", seed=1)
    assert (answer.candidates[2].finish_reason, answer.candidates[2].text) == ("cancelled", "xxxx")


async def test_the_budget_still_holds() -> None:
    """A limit of samples below the warm-up is the whole run."""
    model = Streams({0: ("1", SURE)})
    answer = await online(model, n=8, warm_up=4).answer("?", seed=1, budget=Budget(samples=2))
    assert len(answer.candidates) == 2
    assert [note.code for note in answer.degraded] == ["budget_exhausted"]


async def test_a_pipeline_may_propose() -> None:
    """Its tokens tell nothing of its confidence, so it is never stopped."""
    inner = online(Streams({0: ("1", SURE)}), n=2)
    answer = await online(inner, n=3).answer("?", seed=1)
    assert answer.answer == "1"


async def test_an_embedded_model_is_stopped_step_by_step(tmp_path: Path) -> None:
    """A real model: later traces are cut short, what each cost is what it wrote, and nothing is left running."""
    async with Embedded(build(tmp_path / "tiny", spread=1.0), threads=1) as model:
        settings = SamplingParams(max_tokens=24, temperature=1.0)
        pipeline = deepconf(model, n=10, warm_up=4, window=4, keep=0.5, sampling=settings, extractor=Whole())
        events = [event async for event in pipeline.events("Tom has 3 apples.", seed=5)]
        answer = events[-1].answer  # type: ignore[union-attr]
        await pipeline.aclose()
    cut = [c for c in answer.candidates if c.finish_reason == "cancelled"]
    assert cut
    assert answer.usage == Usage.total(c.usage for c in answer.candidates)
    assert all(c.logprobs is not None and len(c.logprobs) == c.usage.completion_tokens for c in answer.candidates)
    told = [e for e in events if isinstance(e, CandidateToken)]
    assert all(e.logprobs for e in told)


def warm_up_reply() -> Raw:
    """Two streamed choices, each of two tokens whose candidates have -log p = 10."""
    entry = {"token": "x", "logprob": -10.0, "top_logprobs": [{"token": f"x{i}", "logprob": -10.0} for i in range(20)]}
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": i, "delta": {"content": f"\\boxed{{{i}}}"}, "logprobs": {"content": [entry, entry]}}]}
        for i in range(2)
    ]
    chunks += [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in range(2)]
    chunks += [{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}}]
    return Raw([f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"])


async def test_a_servers_trace_is_stopped_by_leaving_it() -> None:
    """Over a real socket: the server sees the client go, and its last count is what the trace cost."""
    async with (
        ScriptedUpstream([warm_up_reply(), Fault.hang(after_chunks=4)]) as up,
        Endpoint("m", base_url=up.url) as model,
    ):
        answer = await online(model, n=3, consensus=1.0).answer("?", seed=1)
        await up.wait_until(lambda up: up.in_flight == 0)
    assert [r.disconnected for r in up.requests] == [False, True]
    assert up.requests[1].body["top_logprobs"] == 20
    stopped = answer.candidates[2]
    assert stopped.finish_reason == "cancelled"
    assert stopped.logprobs is not None
    assert 2 <= len(stopped.logprobs) == stopped.usage.completion_tokens <= 4
    assert answer.usage == Usage.total(c.usage for c in answer.candidates)
    assert not answer.usage.estimated


def test_the_threshold_of_the_vote_is_that_of_the_warm_up() -> None:
    """Later traces do not move it; without a warm-up trace of known confidence all set it."""
    aggregator = DeepConfVote(warm_up=2, keep=0.5, window=1)
    candidates: Sequence[Candidate] = [trace(0, "1", 1), trace(1, "1", 3), trace(2, "2", 2), trace(3, "2", 1.9)]
    confidence = {c.index: aggregator.measure(c) for c in candidates}
    assert set(aggregator.weigh_confidence(confidence)) == {1, 2}
    assert set(aggregator.weigh_confidence({i: confidence[i] for i in (2, 3)})) == {2}


@pytest.mark.parametrize("settings", [{"warm_up": 0}, {"keep": 0}, {"window": 0}, {"consensus": 0.2}, {"wave": 0}])
def test_impossible_parameters_are_refused(settings: dict[str, float]) -> None:
    """One clear error before anything is asked."""
    with pytest.raises(BadInput, match="="):
        online(Streams({0: ("1", SURE)}), 6, **settings)
