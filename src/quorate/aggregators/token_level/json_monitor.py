"""A monitor that holds an answer to a JSON schema, whatever tokenizers the models have.

The grammar is llguidance's, which vLLM, SGLang and llama.cpp use, too. It reads the answer in bytes: each vocabulary is
given to it with every byte as a token, so that an answer is read on by any model whichever model wrote it, and
taken back byte by byte where a draft was overruled. Between the marks of a document stands one space or none: white
space without end is what a weak model likes best where it may.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Self

import numpy as np

from quorate.orchestrator.errors import BadInput, MissingExtra, NoAnswer
from quorate.orchestrator.json_schema import Schema, wants_json
from quorate.orchestrator.tokens import common_prefix_length
from quorate.orchestrator.types import Question

from .token_bytes import END, TokenBytes

MOST = 32_768
"""Characters of a schema: reading one takes time, for every answer."""
SPACE = {"whitespace_pattern": "[ ]?"}


class JsonMonitor:
    """Lets nothing be written that no document of a schema begins with, and ends an answer where one is complete.

    It remembers how far it has read, so each answer has its own (see `Monitor`). An answer that reaches its limit of
    tokens is the beginning of a document.

    Args:
        schema: a JSON schema.

    Raises:
        BadInput: no document fits it, or it uses what cannot be kept while writing.
        MissingExtra: llguidance is not installed.
    """

    def __init__(self, schema: Schema) -> None:
        self._grammar = _compile(schema.text)
        self._readers: dict[str, _GrammarReader] = {}

    @classmethod
    def of(cls, question: Question) -> Self | None:
        """What the question's `response_format` asks for; None for plain text.

        Raises:
            BadInput, MissingExtra: as above; or the format is an unknown one.
        """
        kind = (question.response_format or {}).get("type", "text")
        if kind not in {"text", "json_object", "json_schema"}:
            raise BadInput(f"response_format: type {kind!r}: give text, json_object or json_schema")
        return cls(Schema.of(question)) if wants_json(question) else None

    def allow(self, text: bytes, tokens: TokenBytes) -> Any:
        """See `Monitor`."""
        name = tokens.vocabulary.fingerprint
        if name not in self._readers:
            if name not in _vocabularies:
                _vocabularies[name] = _ByteVocabulary(tokens)
            self._readers[name] = _GrammarReader(_vocabularies[name], self._grammar)
        return self._readers[name].allow(text)


class _ByteVocabulary:
    """A vocabulary as llguidance takes it: each text once, and every byte; it takes a moment to make and is kept."""

    def __init__(self, tokens: TokenBytes) -> None:
        units = sorted({key for key in tokens.keys if key} | {bytes([byte]) for byte in range(256)})
        self._places = {unit: place for place, unit in enumerate(units)}
        end, silent = len(units), len(units) + 1
        self.where = np.array([self._places.get(key or END, end) if key is not None else silent for key in tokens.keys])
        """Of each of the model's tokens the place here."""
        self.tokens, self.special_token_ids = [*units, b"end", b"silent"], [end, silent]
        self.eos_token_id, self.bos_token_id, self.is_tokenizer_wrapper = end, None, True
        self.made = _import().LLTokenizer(self, slices=[])

    def __call__(self, text: bytes | str) -> list[int]:
        """A text byte by byte."""
        return [self._places[bytes([byte])] for byte in (text.encode() if isinstance(text, str) else text)]


_vocabularies: dict[str, _ByteVocabulary] = {}


class _GrammarReader:
    """An answer as the grammar reads it for one vocabulary."""

    def __init__(self, vocabulary: _ByteVocabulary, grammar: str) -> None:
        self._vocabulary = vocabulary
        self._matcher = _import().LLMatcher(vocabulary.made, grammar, log_level=0)
        self._read = b""

    def allow(self, text: bytes) -> Any:
        """Which of the model's tokens may follow this text."""
        same = common_prefix_length(self._read, text)
        if same < len(self._read):
            self._matcher.rollback(len(self._read) - same)
        self._matcher.consume_tokens(self._vocabulary(text[same:]))
        self._read = text
        mask = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            reason = self._matcher.get_error().splitlines()[0]
            raise NoAnswer(f"the schema of response_format cannot be followed any further: {reason}")
        return np.unpackbits(np.frombuffer(mask, dtype=np.uint8), bitorder="little")[self._vocabulary.where].astype(
            bool
        )


@lru_cache(maxsize=64)
def _compile(schema: str) -> str:
    """A grammar in which nothing is forced: what must follow may be said in whatever tokens a model likes."""
    if len(schema) > MOST:
        raise BadInput(
            f"response_format: its schema has {len(schema):,} characters, and {MOST:,} can be kept: shorten it"
        )
    made = json.loads(schema)
    if isinstance(made, dict):
        made = {**made, "x-guidance": SPACE}
    grammar = f'%llguidance {{"no_forcing": true}}\nstart: %json {json.dumps(made)}'
    wrong, reasons = _import().LLMatcher.validate_grammar_with_warnings(grammar)
    if wrong:
        # Behind its place in the grammar, before the grammar itself.
        found = re.match(
            r"(?:at [\d():]+: failed to compile JSON schema: )?(.*?)(?:\n +\d+ \| .*)?$", reasons[0], re.DOTALL
        )
        reason = " ".join((found[1] if found else reasons[0]).split())[:200]
        raise BadInput(f"response_format: its schema cannot be kept while writing token by token: {reason}")
    return grammar


def _import() -> Any:
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtra("grammar", "a response_format in token-level ensembling") from error
    return llguidance
