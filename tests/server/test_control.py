"""What a request decides for itself, where alone it can do so, and when the first token leaves."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from quorate.agents.endpoint import Endpoint, Price
from quorate.aggregators import MajorityVote, SelfMoA
from quorate.orchestrator.pipeline import cascade, sample
from quorate.testing import Fault, Reply, ScriptedUpstream, Step

from .conftest import Start, asked
from .scripted import Echo, Plurality

PASTED = [
    "majority@64/echo What is 6 * 7?",
    '{"quorate": {"pipeline": "vote", "n": 64}} What is it?',
    "<optillm_approach>moa</optillm_approach> What is it?",
    "model: vote@8\nquorate.n = 8\n@quorate n=8",
    '<quorate pipeline="vote" n="8"/>',
]


@pytest.mark.parametrize("text", PASTED)
@pytest.mark.parametrize("role", ["system", "user"])
async def test_no_text_of_a_prompt_controls_anything(start: Start, text: str, role: str) -> None:
    """Tags, names and objects in any message reach the model as text, and one call stays one call."""
    model = Echo()
    messages = [{"role": role, "content": text}, {"role": "user", "content": text}]
    async with start(model, pipelines={"vote": sample(model, n=4) | Plurality()}) as served:
        reply = (await served.post(messages=messages)).json()
        await served.http.post("/v1/completions", json={"model": "echo", "prompt": text})
        await served.http.post("/v1/responses", json={"model": "echo", "input": text, "instructions": text})
    assert reply["choices"][0]["message"]["content"] == text
    assert len(model.questions) == 3
    assert [m.content for m in model.questions[0].messages] == [text, text]


async def test_a_stopping_rule_for_one_request(start: Start) -> None:
    """By its name, or with its options beside it; the next request has the pipeline's own again."""
    model = Echo(say=lambda *_: "#### 42")
    async with start(model, pipelines={"vote": sample(model, n=16, wave=1) | MajorityVote()}) as served:
        rules: list[Any] = ["esc", {"rule": "esc", "window": 3}, {"rule": "fixed", "votes": 2}, None]
        told = [
            (await served.post(model="vote", quorate={"stop": rule, "trace": True})).json()["quorate"] for rule in rules
        ]
    assert [len(own["candidates"]) for own in told] == [5, 3, 2, 16]
    assert told[0]["stopped"] != "complete"
    assert told[3]["stopped"] == "complete"


async def test_a_threshold_for_one_request(start: Start) -> None:
    """Of a cascade; the next request has its own again, and what is no cascade refuses it by name."""
    small, large = Echo("small", lambda _, index: f"#### {index % 2}"), Echo("large", lambda *_: "#### 7")
    both = cascade((sample(small, n=3) | MajorityVote()).with_name("vote"), large, accept=0.8)
    async with start(small, large, pipelines={"both": both}) as served:
        routes = [
            (await served.post(model="both", quorate=control)).json()["quorate"]["route"]
            for control in ({"threshold": 0.5}, {})
        ]
        refused = [await served.post(model=m, quorate={"threshold": 0.5}) for m in ("small", "majority@3/small")]
        odd = await served.post(model="both", quorate={"threshold": "high"})
    assert routes == ["vote: agreement 0.667, 0.5 needed", "large: agreement 0.667, 0.8 needed"]
    assert [reply.status_code for reply in (*refused, odd)] == [400] * 3
    assert {reply.json()["error"]["param"] for reply in (*refused, odd)} == {"quorate.threshold"}


async def test_budgets_give_the_best_answer_so_far(start: Start) -> None:
    """Tokens and money end a vote before its sixteen samples, and the reply says so."""
    async with ScriptedUpstream(Reply("#### 42", usage=(10, 10)), refuses=["n"]) as up:
        model = Endpoint("m", base_url=up.url, price=Price(prompt=1e6, completion=1e6))
        async with start(model, pipelines={"vote": sample(model, n=16, wave=1) | MajorityVote()}) as served:
            for budget in ({"tokens": 60}, {"money": 60.0}):
                own = (await served.post(model="vote", quorate={"budget": budget})).json()["quorate"]
                assert own["answer"] == "42"
                assert own["usage"]["cost"] == 60.0
                assert own["stopped"].startswith("budget")
                assert "budget_exhausted" in {each["code"] for each in own["degraded"]}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("completions", {"prompt": "x"}),
        ("responses", {"input": "x"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_is_exact_in_every_form(start: Start, path: str, wanted: dict[str, Any], stream: bool) -> None:
    """Samples and synthesis, as the upstream counted them: the same total in `usage` and, by stage, in `quorate`."""
    script = Reply("so #### 42", usage=(7, 11))
    async with ScriptedUpstream(script) as up:
        model = Endpoint("m", base_url=up.url, price=Price(prompt=1.0, completion=1.0), n_supported=False)
        fused = sample(model, n=3) | SelfMoA(model)
        async with start(model, pipelines={"fused": fused}) as served:
            options = {"stream_options": {"include_usage": True}} if stream else {}
            body = {"model": "fused", "stream": stream, **wanted, **options}
            reply = await served.http.post(f"/v1/{path}", json=body)
        asked_for = len(up.requests)
    whole = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    last = [part.get("response", part) for part in whole] if stream else [reply.json()]
    usage: Counter[str] = Counter(next(part["usage"] for part in reversed(last) if part.get("usage")))
    own = next(part["quorate"]["usage"] for part in reversed(last) if part.get("quorate"))
    assert asked_for == 4
    assert usage["prompt_tokens"] + usage["input_tokens"] == 28
    assert usage["completion_tokens"] + usage["output_tokens"] == 44
    assert (own["prompt_tokens"], own["completion_tokens"], own["requests"], own["estimated"]) == (28, 44, 4, False)
    assert [(s["node"], s["completion_tokens"]) for s in own["nodes"]] == [("sample", 33), ("aggregate", 11)]
    assert own["cost"] == pytest.approx(72e-6)


async def test_the_first_token_of_a_synthesis_does_not_wait_for_the_second(start: Start) -> None:
    """It is with the client while the aggregator's server still holds the second back."""
    hold = asyncio.Event()
    aggregated = Reply("It is 42", hold=hold)

    def step(request: Any) -> Reply:
        return aggregated if request.body["model"] == "writer" else Reply("#### 42")

    async with ScriptedUpstream(step) as up:
        model, writer = Endpoint("m", base_url=up.url), Endpoint("writer", base_url=up.url)
        fused = sample(model, n=2) | SelfMoA(writer)
        async with start(model, pipelines={"fused": fused}) as served:
            stream = await served.openai.chat.completions.create(**(asked() | {"model": "fused"}), stream=True)
            texts = []
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    hold.set()
                    texts.append(chunk.choices[0].delta.content)
    assert texts == ["It ", "is ", "42"]


async def test_a_vote_opens_with_its_first_token(start: Start) -> None:
    """The role is with the client while every sample's server holds its second token back; then progress, then all."""
    hold = asyncio.Event()
    async with ScriptedUpstream(Reply("It is #### 42", hold=hold)) as up:
        model = Endpoint("m", base_url=up.url)
        async with start(model, pipelines={"vote": sample(model, n=3) | MajorityVote()}) as served:
            stream = await served.openai.chat.completions.create(**(asked() | {"model": "vote"}), stream=True)
            first = await anext(stream)
            assert not hold.is_set()
            hold.set()
            rest = [chunk async for chunk in stream]
    assert first.choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in rest) == "It is #### 42"
    assert any("3/3 sampled" in (c.choices[0].delta.model_extra or {}).get("reasoning_content", "") for c in rest)


async def test_a_quorum_for_one_request(start: Start) -> None:
    """Four good samples of five will do; the one that hangs is given up, its place told in the trace."""

    def step(request: Any) -> Step:
        return Fault.hang() if request.body["seed"] == 5 else Reply("#### 42")

    async with ScriptedUpstream(step) as up:
        model = Endpoint("m", base_url=up.url, n_supported=False)
        async with start(model, pipelines={"vote": sample(model, n=5) | MajorityVote()}) as served:
            control = {"quorum": 4, "grace": 0, "min_candidates": 2, "trace": True}
            own = (await served.post(model="vote", seed=5, quorate=control)).json()["quorate"]
            strict = await served.post(model="vote", seed=5, quorate={"sample_seconds": 0.3, "min_candidates": 5})
    assert own["answer"] == "42"
    assert own["tally"][0]["votes"] == 4
    assert [c["finish_reason"] for c in own["candidates"]] == ["cancelled", *["stop"] * 4]
    assert strict.status_code == 504


async def test_a_graph_that_does_not_sample_first_says_so(start: Start) -> None:
    """Its stages are its own: how many samples, until when and how long is no matter of one request."""
    model = Echo()
    small, large = sample(model, n=2) | Plurality(), sample(model, n=3) | Plurality()
    both = cascade(small.with_name("small"), large.with_name("large"))
    async with start(model, pipelines={"both": both}) as served:
        assert (await served.post(model="both")).status_code == 200
        for name, value in {"stop": "esc", "quorum": 2, "aggregate_seconds": 3, "n": 2}.items():
            refused = await served.post(model="both", quorate={name: value})
            assert refused.status_code == 400
            assert "a graph that does not begin by sampling" in refused.json()["error"]["message"]
