"""NoThinking: how the thought is skipped, as it reaches a server, and how the votes weigh."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate import Endpoint
from quorate.aggregators.forms.nothinking import CLOSED
from quorate.aggregators.registry import build_pipeline
from quorate.orchestrator.errors import BadInput
from quorate.testing import Raw, ScriptedModel
from quorate.testing.script import Reply
from quorate.testing.upstream import ScriptedUpstream


def skipping(model: Any, **options: Any) -> Any:
    """`nothinking@3` over the model."""
    return build_pipeline("nothinking", [model], n=3, options=options)


async def test_settings_of_the_template_reach_the_server() -> None:
    """With the log-probabilities that the vote needs; the question stays as it was."""
    async with ScriptedUpstream([Reply("Answer: 4")]) as upstream:
        async with Endpoint("m", base_url=upstream.url) as model:
            answer = await skipping(model).answer("2 + 2?", seed=1)
        bodies = [request.body for request in upstream.requests]
    assert answer.answer == "4"
    for body in bodies:
        assert body["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}
        assert body["top_logprobs"] == 20
        assert [message["role"] for message in body["messages"]] == ["user"]


async def test_a_closed_thought_is_how_the_answer_begins() -> None:
    """For models without such a setting: the server goes on behind it, and the vote does not read it."""
    async with ScriptedUpstream([Reply("Answer: 4")]) as upstream:
        async with Endpoint("m", base_url=upstream.url) as model:
            answer = await skipping(model, way="prefill").answer("2 + 2?", seed=1)
        body = upstream.requests[0].body
    assert (answer.answer, answer.model) == ("4", "nothinking@3/m")
    assert body["messages"][-1]["role"] == "assistant"
    assert body["messages"][-1]["content"].endswith("</think>\n\n")
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)
    assert body["chat_template_kwargs"]["enable_thinking"] is False


@pytest.mark.parametrize("llama", [True, False])
async def test_a_server_that_repeats_the_beginning_is_no_model_that_does(llama: bool) -> None:
    """llama.cpp tells it again in a whole reply; from any other server it would be what the model wrote."""
    whole = {
        "choices": [{"index": 0, "message": {"content": f"{CLOSED}Answer: 4"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        **({"timings": {"predicted_n": 3}} if llama else {}),
    }
    reply = Raw([json.dumps(whole).encode()], content_type="application/json")
    async with ScriptedUpstream(reply) as upstream, Endpoint("m", base_url=upstream.url) as model:
        answer = await skipping(model, way="prefill").answer("2 + 2?", seed=1)
    assert answer.candidates[0].text.count("</think>") == (1 if llama else 2)


def test_what_is_refused() -> None:
    """A beginning for a pipeline, which cannot go on with one, and an empty one."""
    vote = build_pipeline("majority", [ScriptedModel()], n=3)
    with pytest.raises(BadInput, match="go on with a beginning"):
        skipping(vote, way="prefill")
    with pytest.raises(BadInput, match="thought"):
        skipping(ScriptedModel(), thought="")
