"""A real instruct model, by both ways: chat, streams, seeds, log-probabilities, stops, schemas, every aggregator.

The questions are our own; nothing is asked that a model of this size does not know.
"""

from __future__ import annotations

import json

import pytest

from quorate.agents import Embedded, Endpoint
from quorate.aggregators import MajorityVote
from quorate.aggregators.registry import PIPELINES, build_pipeline
from quorate.config.catalog import Catalog
from quorate.config.models import PROVIDERS
from quorate.orchestrator.context import RunContext
from quorate.orchestrator.model import Agent
from quorate.orchestrator.pipeline import sample
from quorate.orchestrator.types import Message, Question, SamplingParams
from tests.vllm.asking import draw

pytestmark = pytest.mark.timeout(600)

CAPITAL = Question.of("What is the capital of France?").with_params(max_tokens=48)
SUM = Question.of("What is 2 + 3? Answer with the number.").with_params(max_tokens=24)
HOT = Question.of("Tell me a short story about a dog.").with_params(temperature=1.0, top_p=1.0, max_tokens=24)
NEEDED = {"majority-of-bests", "reward-best", "reward-vote", "reward-softmax-vote", "selector", "execution"}
"""Pipelines that need a verifier, a trained selector or a program's tests: their own suites have these."""
LISTED = sorted(name for name, spec in PIPELINES.items() if spec.listed and name not in NEEDED)


async def test_an_ordinary_question_is_answered_by_a_vote(model: Agent) -> None:
    """Paris, by most of five; the numbers of the tally are the samples'."""
    vote = sample(model, n=5) | MajorityVote()
    answer = await vote.answer(CAPITAL, seed=1)
    assert "Paris" in answer.text
    assert sum(cluster.votes for cluster in answer.tally) <= 5
    assert answer.usage.completion_tokens > 5


async def test_the_prompt_is_the_templates(model: Agent) -> None:
    """With the system message that it has where the caller has none, and the caller's where there is one."""
    said = [Message(role="system", content="You are a pirate."), Message(role="user", content=CAPITAL.text)]
    counts = []
    for question in (CAPITAL, Question(messages=tuple(said), sampling=CAPITAL.sampling)):
        run = RunContext(seed=1, live=False)
        await draw(model, question, [0], run)
        counts.append(run.ledger.usage.prompt_tokens)
    assert counts == [37, 26]


async def test_pieces_join_to_the_texts(model: Agent) -> None:
    """Several streams at once."""
    candidates, pieces = await draw(model, HOT, range(4), RunContext(seed=5))
    assert pieces == {candidate.index: candidate.text for candidate in candidates}
    assert {candidate.finish_reason for candidate in candidates} == {"length"}
    assert len({candidate.text for candidate in candidates}) == 4


async def test_seeds(model: Agent) -> None:
    """The same seed gives the same first tokens, another one others."""
    short = HOT.with_params(max_tokens=6)
    drawn = [[c.text for c in (await draw(model, short, range(3), RunContext(seed=seed)))[0]] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


async def test_log_probabilities(model: Agent) -> None:
    """Of what was drawn and of the likeliest; the end is one of the tokens or left out by the server."""
    (candidate,), _ = await draw(model, CAPITAL.with_params(top_logprobs=3, temperature=0))
    assert candidate.logprobs
    assert all(len(token.top) == 3 and token.logprob <= 0 for token in candidate.logprobs)
    assert candidate.logprobs[0].token == candidate.logprobs[0].top[0][0] == "The"


async def test_stops(model: Agent) -> None:
    """At a string, which is not told; at the end token, which is not either."""
    greedy = CAPITAL.with_params(temperature=0)
    (whole,), _ = await draw(model, greedy)
    (cut,), _ = await draw(model, greedy.with_params(stop=(" of",)))
    assert whole.finish_reason == cut.finish_reason == "stop"
    assert whole.text == "The capital of France is Paris."
    assert cut.text == "The capital"


async def test_deepconf_stops_and_votes(model: Agent) -> None:
    """Over its own log-probabilities."""
    answer = await Catalog({"m": model}).resolve("deepconf@4/m").answer(SUM, RunContext(seed=1))
    assert answer.candidates
    assert all(candidate.logprobs for candidate in answer.candidates if candidate.ok)


async def test_both_ways_say_the_same(name: str, url: str) -> None:
    """Greedily, token by token: vLLM's CPU kernels and transformers read the same folder."""
    async with Embedded(name, dtype="float32") as ours, Endpoint(name, base_url=url) as theirs:
        for question in (CAPITAL, SUM):
            texts = [(await draw(one, question.with_params(temperature=0)))[0][0].text for one in (ours, theirs)]
            assert texts[0][:20] == texts[1][:20]


async def test_a_schema_is_kept(url: str, name: str) -> None:
    """By vLLM's structured outputs."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "inhabitants": {"enum": ["many", "few"]}},
        "required": ["city", "inhabitants"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}
    question = CAPITAL.model_copy(update={"response_format": form})
    async with Endpoint(name, base_url=url) as endpoint:
        (candidate,), _ = await draw(endpoint, question)
    assert json.loads(candidate.text).keys() == {"city", "inhabitants"}


async def test_tools_are_refused_where_the_template_has_none(name: str) -> None:
    """Rather than left out without a word."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    async with Embedded(name) as embedded:
        (candidate,), _ = await draw(embedded, CAPITAL.model_copy(update={"tools": (tool,)}))
    assert candidate.error is not None
    assert "knows no tools" in candidate.error.message


@pytest.mark.parametrize("pipeline", LISTED)
async def test_every_aggregator_once(name: str, pipeline: str) -> None:
    """Over two or three samples: an answer, and all of its tokens accounted for."""
    question = SUM.model_copy(update={"sampling": SamplingParams(max_tokens=16, seed=3)})
    # A small model that judges goes on to its limit.
    options = {"max_tokens": 48} if "max_tokens" in PIPELINES[pipeline].options.model_fields else {}
    async with Embedded(name) as embedded:
        built = build_pipeline(pipeline, [embedded], n=3, options=options, providers=PROVIDERS)
        answer = await built.answer(question, seed=3)
    assert answer.text.strip()
    assert answer.usage.completion_tokens >= sum(c.usage.completion_tokens for c in answer.candidates) > 0
