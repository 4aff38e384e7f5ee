"""Two real models of different tokenizers under one JSON schema; Gemma 3 270M is fetched like SmolLM2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate.agents import Embedded
from quorate.agents.embedded import locate
from quorate.agents.embedded.adding import KNOWN_MODELS, add_model
from quorate.aggregators.registry import build_ensemble
from quorate.aggregators.token_level import SAFE, JsonMonitor
from quorate.aggregators.token_level.token_bytes import TokenBytes
from quorate.orchestrator.json_schema import Schema
from quorate.orchestrator.types import Question

pytestmark = pytest.mark.slow
transformers = pytest.importorskip("transformers")
llguidance = pytest.importorskip("llguidance")

CAPITAL = {
    "type": "object",
    "properties": {
        "capital": {"type": "string", "maxLength": 20},
        "known_since": {"type": "integer", "minimum": -3000, "maximum": 2026},
        "big": {"type": "boolean"},
    },
    "required": ["capital", "known_since", "big"],
    "additionalProperties": False,
}
ASKED = "What is the capital of France? Answer with a JSON object: capital, known_since (a year), big."


def question(**params: Any) -> Question:
    form = {"type": "json_schema", "json_schema": {"name": "capital", "schema": CAPITAL}}
    return Question.of(ASKED).with_params(**params).model_copy(update={"response_format": form})


@pytest.fixture(scope="module")
def pair(name: str) -> list[Embedded]:
    gemma = add_model(KNOWN_MODELS["gemma3-270m"], lambda *_: None)[0].name
    return [Embedded(name), Embedded(gemma)]


@pytest.mark.parametrize(
    ("way", "temperature"),
    [("safe", 0.0), ("safe", 1.0), ("unite", 0.0), ("gac", 1.0), ("mix", 1.0), ("glimpse", 0.0)],
)
async def test_what_they_write_together_fits(pair: list[Any], way: str, temperature: float) -> None:
    """Greedy and sampled."""
    options = {"steps": [":", ","]} if way == "glimpse" else {}
    made = build_ensemble(way, pair, options=options)
    assert isinstance(made, SAFE)
    answer = await made.answer(question(temperature=temperature, max_tokens=120))
    assert answer.finish_reason == "stop"
    assert Schema(CAPITAL).accepts_text(answer.text)


async def test_one_of_them_is_that_model_under_the_grammar(name: str) -> None:
    """Greedily, against llguidance's own view of the tokenizer, which is advanced by the model's tokens."""
    from llguidance.hf import from_tokenizer

    model = Embedded(name).token_model()
    await model.open()
    answer = await SAFE([Embedded(name)]).answer(question(temperature=0.0, max_tokens=120))
    schema = json.dumps({**CAPITAL, "x-guidance": {"whitespace_pattern": "[ ]?"}})
    grammar = f'%llguidance {{"no_forcing": true}}\nstart: %json {schema}'
    tokenizer = transformers.AutoTokenizer.from_pretrained(locate(name))
    matcher = llguidance.LLMatcher(from_tokenizer(tokenizer, slices=[]), grammar, log_level=0)
    tokens, monitor, written = TokenBytes(model.vocabulary), JsonMonitor(Schema(CAPITAL)), b""
    for token in tokenizer.encode(answer.text, add_special_tokens=False):
        assert monitor.allow(written, tokens)[token]
        assert matcher.consume_token(token)
        written += tokens.key_of(token) or b""
    assert matcher.is_accepting()
