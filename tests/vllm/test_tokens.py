"""vLLM asked token by token, in process and over HTTP, against transformers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator

import numpy as np
import pytest
import pytest_asyncio

from quorate.agents import VLLM, Embedded, Endpoint
from quorate.aggregators.token_level import SAFE, EnsembleRule, EveryToken, GaC
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.errors import UpstreamError
from quorate.orchestrator.tokens import DraftAsk, Draw, ScoreAsk, TokenModel
from quorate.orchestrator.types import Question

from .asking import IN_PROCESS, PROBLEMS, cancel_midway
from .conftest import MODEL

pytestmark = IN_PROCESS

OTHER = "quorate-tiny-sum"
ASKED = [Question.of(problem).with_params(max_tokens=60, temperature=0) for problem in PROBLEMS]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[VLLM, None]:
    """One engine for the module."""
    async with VLLM(MODEL, dtype="float32", max_model_len=1024, max_num_batched_tokens=65536) as agent:
        yield agent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(vllm_url: str) -> AsyncGenerator[Endpoint, None]:
    """An agent of the server."""
    async with Endpoint(MODEL, base_url=vllm_url) as agent:
        yield agent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models(engine: VLLM, endpoint: Endpoint) -> list[TokenModel]:
    """The same model three times: by transformers, in process, over HTTP."""
    models: list[TokenModel] = [agent.token_model() for agent in (Embedded(MODEL), engine, endpoint)]
    for model in models:
        await model.open()
    return models


async def test_drafts_and_scores_agree(models: list[TokenModel]) -> None:
    """Prompts, drafts to the end and whole distributions are the same on all three."""
    for question in ASKED:
        prompts = [model.prompt(question) for model in models]
        assert prompts[0] == prompts[1] == prompts[2]
        [prompt] = prompts[:1]
        drafts = [(await model.draft([DraftAsk("a", prompt, 60)]))[0] for model in models]
        tokens = list(drafts[0].tokens)
        assert all(list(draft.tokens) == tokens for draft in drafts)
        assert tokens[-1] in models[0].vocabulary.ends
        context = prompt + tokens[:-1]
        places = [1, len(prompt) - 2, len(prompt), len(context)]
        asked = ScoreAsk("a", context, places)
        scores = [(await model.score([asked]))[0] for model in models]
        for three in zip(*(score.distributions for score in scores), strict=True):
            assert all(one.exact for one in three)
            assert np.abs(three[0].row() - three[1].row()).max() < 1e-3
            assert np.abs(three[0].row() - three[2].row()).max() < 1e-3
        for three in zip(*(draft.distributions for draft in drafts), strict=True):
            assert three[0].best == three[1].best == three[2].best


async def test_a_draft_in_process_ends_where_it_is_unsure(models: list[TokenModel]) -> None:
    """It stops behind the first token below the bound, as transformers does; a server may go on."""
    prompt = models[0].prompt(ASKED[0])
    asked = DraftAsk("a", prompt, 60, until=0.9999)
    here, there, over = [(await model.draft([asked]))[0].tokens for model in models]
    assert list(here) == list(there) == list(over)[: len(here)]
    assert len(here) < 20


async def test_ensembles_agree(engine: VLLM, endpoint: Endpoint) -> None:
    """SAFE and every-token ensembling write the same whichever back end drafts and whichever judges."""
    other = Embedded(OTHER)
    for rule in (None, EnsembleRule(EveryToken(), GaC())):
        for question in ASKED[:2]:
            wanted = (await SAFE([Embedded(MODEL), other], rule=rule).answer(question, seed=1)).text
            pairs = [(engine, other), (endpoint, other)]
            turned = (await SAFE([other, Embedded(MODEL)], rule=rule).answer(question, seed=1)).text
            answers = await asyncio.gather(*(SAFE(pair, rule=rule).answer(question, seed=1) for pair in pairs))
            assert [answer.text for answer in answers] == [wanted] * 2
            back = [SAFE(pair[::-1], rule=rule).answer(question, seed=1) for pair in pairs]
            assert [answer.text for answer in await asyncio.gather(*back)] == [turned] * 2
            assert not any(answer.degraded for answer in answers)


async def test_one_model_twice_is_the_model(engine: VLLM, endpoint: Endpoint) -> None:
    """[M, M], once in process and once over HTTP, is M, and no token is ensembled."""
    for question in ASKED:
        alone = await Embedded(MODEL).answer(question)
        answer = await SAFE([engine, endpoint]).answer(question, seed=1)
        assert answer.text == alone.text
        told = answer.candidates[0].ensembling
        assert told is not None
        assert "ensembled" not in told.counts


async def test_sampling_repeats(engine: VLLM, endpoint: Endpoint) -> None:
    """Drafts at a temperature follow from their seed."""
    for agent in (engine, endpoint):
        model = agent.token_model()
        prompt = model.prompt(ASKED[0])
        asks = [DraftAsk("a", prompt, 12, draw=Draw(2.0, [], seed)) for seed in (1, 1, 2)]
        one, again, other = [(await model.draft([ask]))[0].tokens for ask in asks]
        assert list(one) == list(again)
        assert list(one) != list(other)


async def test_usage(endpoint: Endpoint) -> None:
    """The server's count of every request is in the ledger."""
    answer = await SAFE([Embedded(OTHER), endpoint]).answer(ASKED[0], seed=1)
    [judged] = [node.usage for node in answer.nodes if node.model == MODEL]
    assert not judged.estimated
    assert judged.requests >= 1
    assert judged.completion_tokens > 0, "one token for every prefix"


async def test_cancellation(engine: VLLM) -> None:
    """Whoever stops listening leaves no request in the engine, and it serves on."""
    pair = SAFE([engine, Embedded(OTHER)])
    cut = await cancel_midway(pair, ASKED[0], [0, 1, 2], RunContext(seed=1))
    assert not engine._engine.running
    assert {candidate.finish_reason for candidate in cut} <= {"cancelled"}
    assert (await pair.answer(ASKED[0], seed=1)).text


async def test_a_context_that_overflows(models: list[TokenModel]) -> None:
    """vLLM's refusal of too long a context is an error of status 400."""
    for model in models[1:]:
        with pytest.raises(UpstreamError) as raised:
            await model.draft([DraftAsk("a", [5] * 2000, 4)])
        assert raised.value.status == 400


async def test_an_engine_that_dies_midway(engine: VLLM) -> None:
    """The rest go on without it, the answer says so; the next question starts the engine anew."""
    pair = SAFE([Embedded(OTHER), engine])
    events = pair.events(ASKED[0], seed=1)
    answer = None
    killed = False
    async for event in events:
        if event.type == "synthesis_token" and not killed:
            [process] = (await engine._engine.get()).engine_core.resources.engine_manager.processes
            os.kill(process.pid, signal.SIGKILL)
            killed = True
        if event.type == "done":
            answer = event.answer
    assert answer is not None
    assert answer.text
    assert [note.code for note in answer.degraded] == ["verifier_lost"]
    assert (await engine.answer(ASKED[0])).text
