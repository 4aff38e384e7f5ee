"""Answers held to a JSON schema while they are written: valid whatever writes together, and else as the models like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.aggregators.registry import build_ensemble
from quorate.aggregators.token_level import SAFE, JsonMonitor
from quorate.aggregators.token_level.token_bytes import TokenBytes
from quorate.orchestrator.errors import MissingExtra, QuorateError
from quorate.orchestrator.json_schema import Schema
from quorate.orchestrator.types import Question

from .writers import model

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers")
llguidance = pytest.importorskip("llguidance")

SMALL = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer", "minimum": 0, "maximum": 99},
        "word": {"enum": ["yes", "no", "d\u00e9j\u00e0"]},
        "parts": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["answer", "word"],
    "additionalProperties": False,
}


def ask(schema: Any, **params: Any) -> Question:
    """A question whose answer is to be such a document."""
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    return Question.of("Is it?").with_params(**params).model_copy(update={"response_format": form})


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["safe", "unite", "gac", "mix", "glimpse"]),
    st.sampled_from(["bytes", "spaces"]),
    st.integers(0, 999),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([None, 5]),
)
def test_what_is_written_together_is_valid(
    name: str, kind: str, seed: int, temperature: float, told: int | None
) -> None:
    """Every ensemble over two tokenizers, greedy and sampled, all probabilities known or a server's best few."""
    models: list[Any] = [model(kind, seed, k=told), model("bytes", seed + 1, k=told)]
    options = {"steps": ["e", '"'], "threshold": 2.0} if name == "glimpse" else {}
    made = build_ensemble(name, models, options=options)
    assert isinstance(made, SAFE)
    answer = made.answer_sync(ask(SMALL, temperature=temperature, max_tokens=200), seed=seed)
    assert answer.finish_reason == "stop"
    assert Schema(SMALL).accepts_text(answer.text)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 999))
def test_one_model_is_that_model_under_the_same_grammar(seed: int) -> None:
    """Greedily: at each place the likeliest of the tokens that the grammar allows, read in the model's own tokens."""
    one = model("bytes", seed)
    tokens = TokenBytes(one.vocabulary)
    grammar = f'%llguidance {{"no_forcing": true}}\nstart: %json {json.dumps({**SMALL, "x-guidance": SPACED})}'
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer(Reading(tokens), slices=[]), grammar, log_level=0)
    context, written = one.prompt(ask(SMALL)), b""
    while not matcher.is_stopped():
        allowed = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        row = np.where(allowed[: len(tokens.keys)] == 1, one.row(context), -np.inf)
        context = [*context, int(row.argmax())]
        written += tokens.key_of(context[-1]) or b""
        matcher.consume_token(context[-1])
    answer = SAFE([one]).answer_sync(ask(SMALL, temperature=0.0))
    assert answer.text == written.decode()


SPACED: Mapping[str, Any] = {"whitespace_pattern": "[ ]?"}


class Reading:
    """A vocabulary as it stands, for llguidance; these have no two tokens of one text."""

    def __init__(self, tokens: TokenBytes) -> None:
        keys = tokens.keys
        assert len({key for key in keys if key}) == sum(bool(key) for key in keys)
        self.eos_token_id = next(iter(tokens.vocabulary.ends))
        self.bos_token_id, self.is_tokenizer_wrapper = None, True
        self.tokens = [key or b"special" for key in keys]
        self.special_token_ids = [token for token, key in enumerate(keys) if not key]

    def __call__(self, text: Any) -> list[int]:
        return []


def test_an_answer_that_is_cut_is_the_beginning_of_a_document() -> None:
    """At the limit of tokens, and marked as cut."""
    answer = SAFE([model("bytes", 1)]).answer_sync(ask(SMALL, max_tokens=3))
    assert answer.finish_reason == "length"
    assert '{"answer":'.startswith(answer.text.replace(" ", ""))


def test_any_object_and_any_document() -> None:
    """`json_object`, and a `json_schema` that says nothing of the document."""
    one = SAFE([model("bytes", 3)])
    any_object = Question.of("Is it?").model_copy(update={"response_format": {"type": "json_object"}})
    assert one.answer_sync(any_object.with_params(max_tokens=30)).text.startswith("{")
    assert JsonMonitor.of(ask(True)) is not None
    assert JsonMonitor.of(Question.of("Is it?")) is None


def test_a_token_that_says_the_same_as_another_is_as_good() -> None:
    """Tokenizers have several tokens of one text, such as a byte beside a letter: all are allowed, or none."""
    tokens = TokenBytes(model("spaces", 1).vocabulary)
    monitor = JsonMonitor(Schema(SMALL))
    allowed = monitor.allow(b'{"answer": ', tokens)
    assert {tokens.keys[n] for n in np.flatnonzero(allowed)} >= {b"0", b"7", b"3"}
    assert all(allowed[n] == allowed[tokens.keys.index(key)] for n, key in enumerate(tokens.keys) if key)


def test_it_reads_back_what_was_overruled() -> None:
    """Texts in any order give what each gives alone."""
    tokens = TokenBytes(model("bytes", 1).vocabulary)
    texts = [b"", b'{"answer": 12', b'{"answer": 1, "word": "y', b"{", b'{"answer": 1, "word": "yes"}', b'{"answer"']
    together = JsonMonitor(Schema(SMALL))
    for text in texts:
        assert (together.allow(text, tokens) == JsonMonitor(Schema(SMALL)).allow(text, tokens)).all()


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nonsense"}, "Invalid type: nonsense$"),
        ({"enum": []}, "Unsatisfiable"),
        (False, "false"),
        ({"not": {"type": "string"}}, 'Unimplemented keys: \\["not"\\]'),
        ({"$ref": "https://example.com/schema"}, "example.com"),
        ({"type": "string", "pattern": "("}, "regex parse error: .* unclosed group$"),
    ],
)
def test_schemas_that_cannot_be_kept_are_refused(schema: Any, says: str) -> None:
    """One error that says why, before anything is written."""
    with pytest.raises(QuorateError, match=f"^response_format: its schema cannot be kept .*{says}") as raised:
        SAFE([model("bytes", 1)]).answer_sync(ask(schema))
    assert raised.value.status == 400


def test_a_schema_that_would_take_too_long_is_refused() -> None:
    """By its length, since a caller's schema is read for each answer."""
    long = {"enum": [f"value {number}" for number in range(4000)]}
    with pytest.raises(QuorateError, match=r"its schema has [0-9,]+ characters, and 32,768 can be kept"):
        SAFE([model("bytes", 1)]).answer_sync(ask(long))


def test_formats_that_are_none_are_refused() -> None:
    """By name, with those that there are."""
    question = Question.of("Is it?").model_copy(update={"response_format": {"type": "yaml"}})
    with pytest.raises(QuorateError, match="type 'yaml': give text, json_object or json_schema") as raised:
        SAFE([model("bytes", 1)]).answer_sync(question)
    assert raised.value.status == 400


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by name, and only where a format is asked for."""
    monkeypatch.setitem(__import__("sys").modules, "llguidance", None)
    one = SAFE([model("bytes", 1)])
    with pytest.raises(MissingExtra, match=r"quorate\[grammar\]"):
        one.answer_sync(ask({"type": "array", "maxItems": 7}))
    assert one.answer_sync(Question.of("Is it?").with_params(max_tokens=3)).text
