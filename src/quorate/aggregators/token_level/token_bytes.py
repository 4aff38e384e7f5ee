"""What two models' tokens have in common: the bytes they stand for, and the end of the answer.

A *key* is a token's text, or `END` for any of a model's end tokens. Tokens without text (special ones,
padding) have no key, and no part in an ensemble.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from quorate.orchestrator.tokens import Distribution, Vocabulary

END = b""
"""The key of all end tokens together."""


class TokenBytes:
    """The tokens of one model by the bytes that they stand for.

    Args:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._ends = sorted(vocabulary.ends)
        self._first: dict[bytes, int | None] = {}
        self._writable: dict[bytes, bool] = {}
        self._marked: tuple[Sequence[bytes], Any] | None = None

    @cached_property
    def keys(self) -> list[bytes | None]:
        """The key of every id."""
        vocabulary = self.vocabulary
        return [END if t in vocabulary.ends else vocabulary.bytes_of(t) or None for t in range(vocabulary.size)]

    def key_of(self, token: int) -> bytes | None:
        """The key of an id; None where it has none."""
        if token in self.vocabulary.ends:
            return END
        return self.vocabulary.bytes_of(token) or None

    @cached_property
    def _synonyms(self) -> dict[bytes, list[int]]:
        """Keys that several ids stand for."""
        found: dict[bytes, list[int]] = {END: self._ends}
        for token, key in enumerate(self.keys):
            if key and (other := self.vocabulary.id_of(key)) is not None and other != token:
                found.setdefault(key, [other]).append(token)
        return {key: sorted(tokens) for key, tokens in found.items() if len(tokens) > 1}

    def tokens_of(self, key: bytes) -> list[int]:
        """All ids that say this whole; none where no token does."""
        if key in self._synonyms:
            return self._synonyms[key]
        token = self._ends[0] if key == END else self.vocabulary.id_of(key)
        return [] if token is None else [token]

    def has_token(self, key: bytes) -> bool:
        """Whether one token says this."""
        return key == END or self.vocabulary.id_of(key) is not None

    def spell(self, key: bytes) -> list[int]:
        """Ids that say this, the first end token for the end; broken characters in ever shorter pieces."""
        if key == END:
            return self._ends[:1]
        token = self.vocabulary.id_of(key)
        return [token] if token is not None else self._encode(key)

    @cached_property
    def _covered(self) -> frozenset[int]:
        """The bytes that have a token."""
        return frozenset(byte for byte in range(256) if self.vocabulary.id_of(bytes([byte])) is not None)

    @property
    def covers_every_byte(self) -> bool:
        """Whether any text can be said: every byte has a token, as byte-level vocabularies and byte fallback have."""
        return len(self._covered) == 256

    def mark_writable(self, keys: Sequence[bytes]) -> Any:
        """A bool array: which of the keys can be written; kept for the list that was given last."""
        if self._marked is None or self._marked[0] is not keys:
            self._marked = keys, np.array([self.can_write(key) for key in keys])
        return self._marked[1]

    def can_write(self, key: bytes) -> bool:
        """Whether some tokens say this, one after another."""
        if self._covered.issuperset(key):
            return True
        if key not in self._writable:
            said = b"".join(self.vocabulary.bytes_of(token) or b"" for token in self.spell(key))
            self._writable[key] = key in (END, said)
        return self._writable[key]

    def logprob(self, key: bytes, distribution: Distribution) -> float | None:
        """Natural logarithm of the probability of a key; None where no token says this."""
        logprobs = [distribution.logprob(token) for token in self.tokens_of(key)]
        if len(logprobs) < 2:
            return logprobs[0] if logprobs else None
        highest = max(logprobs)
        return highest + math.log(math.fsum(math.exp(value - highest) for value in logprobs))

    def first_token_of(self, key: bytes) -> int | None:
        """The first token of a text that no token says whole; None where nothing says its first byte."""
        if key not in self._first:
            self._first[key] = next(iter(self._encode(key)), None)
        return self._first[key]

    def _encode(self, text: bytes) -> list[int]:
        try:
            ids, _ = self.vocabulary.encode(text.decode())
        except UnicodeDecodeError:
            ids = []
        if b"".join(self.vocabulary.bytes_of(token) or b"" for token in ids) == text:
            return list(ids)
        return self._encode_greedily(text)

    def _encode_greedily(self, text: bytes) -> list[int]:
        """The longest token that begins the text, and so on; stops where no token says the next byte."""
        ids: list[int] = []
        while text:
            size = next((n for n in range(len(text), 0, -1) if self.vocabulary.id_of(text[:n]) is not None), 0)
            token = self.vocabulary.id_of(text[:size])
            if token is None:
                break
            ids.append(token)
            text = text[size:]
        return ids


def ends_with_character(text: bytes) -> bool:
    """Whether a text ends where a character ends; broken bytes inside it count as characters of their own."""
    for size in range(1, min(4, len(text)) + 1):
        lead = text[-size]
        if lead < 0x80:
            return True
        if lead >= 0xC0:
            needed = 2 + (lead >= 0xE0) + (lead >= 0xF0) if 0xC2 <= lead <= 0xF4 else 1
            return size >= needed
    return True


def to_characters(text: bytes) -> str:
    """The text for a tokenizer, which takes characters only: of as many bytes, broken ones replaced."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="surrogateescape").translate(_BROKEN)


_BROKEN = dict.fromkeys(range(0xDC80, 0xDD00), "\x1a")
"""Bytes that are no character become the control character for a substitute, which takes one byte too."""
