"""Whoever reads candidates sends no more than its model's context holds, and says what was cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate import Answer
from quorate.agents.endpoint import Endpoint
from quorate.aggregators.registry import build_pipeline
from quorate.aggregators.synthesis.context import allocate
from quorate.orchestrator.errors import PromptTooLong
from quorate.testing import Fault, Received, Reply, ScriptedUpstream, Step

CONTEXT = 900
ROOM = 3 * CONTEXT
"""Characters of a prompt that such a server takes."""
EVERYBODY = {
    **{name: {} for name in ("usc", "genselect", "knockout", "judge-run-off", "self-moa", "agglm", "aft", "fusion")},
    "moa": {"layers": 3},
    "rsa": {"loops": 1},
    "debate": {"rounds": 1},
    "self-moa-seq": {"window": 3},
    "council": {},
}


class Server:
    """A model whose texts are long, behind a server whose context is short."""

    def __init__(self, refusal: str, **about: object) -> None:
        self.refused = 0
        self._refusal = refusal
        self.upstream = ScriptedUpstream(self.reply, about=about)

    def reply(self, received: Received) -> Step:
        prompt = json.dumps([message["content"] for message in received.body["messages"]])
        if len(prompt) > ROOM or len(prompt) / 3 + (received.body.get("max_tokens") or 0) > CONTEXT:
            self.refused += 1
            return Fault.status(400, self._refusal)
        if "Chosen:" in prompt:
            return Reply("Chosen: 1")
        if "Ranking:" in prompt:
            return Reply("Ranking: 1 > 2 > 3" if "response 3" in prompt else "Ranking: 1 > 2")
        if "Reply with one JSON object" in prompt:
            return Reply('{"consensus": ["all of it"]}')
        number = len(self.upstream.requests)
        return Reply(f"{number} {'word ' * 300}so it is \\boxed{{{number % 3}}}.")


async def asked(server: Server, name: str) -> Answer:
    async with server.upstream as upstream, Endpoint("m", base_url=upstream.url, n_supported=False) as model:
        pipeline = build_pipeline(name, [model], n=4, options=EVERYBODY[name])
        return await pipeline.answer("How many?", seed=3)


@pytest.mark.parametrize("name", EVERYBODY)
async def test_what_the_server_lists_is_kept_to(name: str) -> None:
    """Nothing is sent that would be refused."""
    server = Server("too long", max_model_len=CONTEXT)
    answer = await asked(server, name)
    assert server.refused == 0
    assert {note.code for note in answer.degraded} == {"candidate_cut"}


@pytest.mark.parametrize("name", EVERYBODY)
async def test_what_a_refusal_says_is_kept_to(name: str) -> None:
    """The same again with less to read; after that nothing is refused."""
    server = Server(f"This model's maximum context length is {CONTEXT} tokens. However, you requested 2000 tokens.")
    answer = await asked(server, name)
    assert server.refused > 0
    assert {note.code for note in answer.degraded} == {"candidate_cut"}


async def test_a_refusal_without_a_number() -> None:
    """Half of it, until it fits."""
    server = Server("Please reduce the length of the messages.")
    answer = await asked(server, "self-moa")
    assert server.refused == 2
    assert {note.code for note in answer.degraded} == {"candidate_cut"}


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(0, 200))
def test_as_many_texts_as_can_be_stay_whole(lengths: list[int], limit: int) -> None:
    """No more than there is room for, all where all fit, no text less than half of its share, and no room left over."""
    kept = allocate(lengths, limit)
    assert sum(kept) <= limit
    assert all(k <= length for k, length in zip(kept, lengths, strict=True))
    if sum(lengths) <= limit:
        assert kept == lengths
    elif lengths:
        assert sum(kept) > limit - len(lengths)
        assert all(k >= min(length, limit // (2 * len(lengths))) for k, length in zip(kept, lengths, strict=True))


def test_few_are_cut_so_that_many_stay_whole() -> None:
    """One of six loses half; where that would leave nothing of the others, all lose the same."""
    assert allocate([1000] * 6, 5500) == [1000] * 5 + [500]
    assert allocate([500] * 4, 450) == [112, 112, 113, 113]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_prompt_that_is_too_long_has_a_name(status: int) -> None:
    """Callers can tell it from other refusals, and its number is learned."""
    words = "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
    async with ScriptedUpstream(Fault.status(status, words)) as up, Endpoint("m", base_url=up.url) as model:
        with pytest.raises(Exception, match="longer than the maximum") as raised:
            await model.answer("What?")
        assert getattr(raised.value, "code") == PromptTooLong.code  # noqa: B009
        assert model.identity.context == 4096
