"""A tokenizer's ids in bytes, texts that go on from other text in its ids, and distributions in lists of tokens.

Bytes come from the vocabulary itself, by the rules of the tokenizer's decoder, and never from
`decode([id])`, which trims spaces and shows half characters as replacement marks. Needs a fast
tokenizer (the `tokenizers` library), because only these say what their tokens stand for.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate, chain
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra
from quorate.orchestrator.tokens import DenseDistribution, Distribution, TopDistribution

__all__ = ["ALL", "MOST", "SMALL", "TokenizerVocabulary", "make_vocabulary", "top_k_distribution"]

ALL = -1
"""Asks for every token, in vLLM's words."""

MOST = 20
"""Tokens to ask of a distribution: as many as vLLM allows where nothing else is configured."""
SMALL = 4096
"""Vocabularies up to this size are asked for whole, where that is allowed."""

Spec = Mapping[str, Any]
"""A part of `tokenizer.json`."""


def make_vocabulary(tokenizer: Any, ends: Iterable[int], name: str) -> TokenizerVocabulary:
    """The vocabulary of a transformers tokenizer.

    Raises:
        BadInput: it is not a fast one, or of a kind whose tokens have no text of their own.
    """
    fast: Any = getattr(tokenizer, "backend_tokenizer", None)
    if not hasattr(fast, "to_str"):
        raise BadInput(
            f"{name} has no fast tokenizer ({type(tokenizer).__name__}), which token-level ensembling needs: "
            "convert it to a tokenizer.json"
        )
    return TokenizerVocabulary(fast.to_str(), ends, name)


class TokenizerVocabulary:
    """See `orchestrator.tokens.Vocabulary`.

    Args:
        spec: the text of a `tokenizer.json`.
        ends: ids that end an answer.
        name: of the model, for errors.

    Raises:
        MissingExtra: the `tokenizers` library is not installed.
        BadInput: the tokenizer is of a kind whose tokens have no text of their own.
    """

    def __init__(self, spec: str, ends: Iterable[int], name: str) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra("local", f"the tokenizer of {name}") from error
        parts = {**json.loads(spec), "truncation": None, "padding": None}
        self.fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
        self.ends = frozenset(ends)
        self._tokenizer: Any = Tokenizer.from_str(json.dumps(_drop_marks(parts)))
        self._tokenizer.encode_special_tokens = True
        self._bytes = _list_bytes(parts, self._tokenizer.get_vocab(with_added_tokens=True), name)
        self.size = len(self._bytes)

    def bytes_of(self, token: int) -> bytes | None:
        """See `Vocabulary`."""
        return self._bytes[token] if token < self.size else None

    def id_of(self, text: bytes) -> int | None:
        """See `Vocabulary`; of several such tokens the last, since those for single bytes come first."""
        return self._ids.get(text)

    def encode(self, text: str) -> tuple[list[int], list[int]]:
        """See `Vocabulary`.

        A tokenizer that changes the text (lower case, unknown words) gives the ends of the places that its
        tokens were read from, and what lies between belongs to the token after it.
        """
        coded = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = coded.ids
        spelled = [self._bytes[token] or b"" for token in ids]
        raw = text.encode()
        if b"".join(spelled) == raw:
            return ids, list(accumulate(map(len, spelled)))
        places = [0, *accumulate(len(character.encode()) for character in text)]
        return ids, list(accumulate((places[end] for _, end in coded.offsets), max))

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {text: token for token, text in enumerate(self._bytes) if text}


def top_k_distribution(entries: Mapping[int, float], k: int, size: int) -> Distribution:
    """The distribution that a list of tokens tells of.

    Args:
        entries: log-probabilities by id; the chosen token may be among them although it is not one of the best.
        k: how many of the best were asked for, or `ALL`.
        size: of the vocabulary; ids from there on are padding and left out.

    Raises:
        ValueError: no token is left.
    """
    known = {token: value for token, value in entries.items() if token < size}
    if not known:
        raise ValueError("no token of the vocabulary among the likeliest")
    if k != ALL:
        padding = len(entries) - len(known)
        return TopDistribution(list(known.items()), max(1, min(k, len(entries)) - padding))
    import numpy as np

    row = np.full(size, -math.inf, dtype=np.float32)
    row[list(known)] = list(known.values())
    return DenseDistribution(row)


def _drop_marks(spec: Spec) -> dict[str, Any]:
    """The tokenizer without anything that marks where a text begins or ends."""
    return {
        **spec,
        "normalizer": _change_steps(spec.get("normalizer"), lambda part: None if part["type"] == "Prepend" else part),
        "pre_tokenizer": _change_steps(spec.get("pre_tokenizer"), _drop_prefix),
        "post_processor": None,
    }


def _change_steps(part: Spec | None, change: Callable[[Spec], Spec | None]) -> Any:
    """A normalizer or pre-tokenizer with every step of it changed; None drops a step."""
    if part is None:
        return None
    for key in ("normalizers", "pretokenizers"):
        if key in part:
            steps = [changed for step in part[key] if (changed := _change_steps(step, change)) is not None]
            return {**part, key: steps}
    return change(part)


def _drop_prefix(part: Spec) -> Spec:
    match part["type"]:
        case "Metaspace":
            return {**{k: v for k, v in part.items() if k != "add_prefix_space"}, "prepend_scheme": "never"}
        case "ByteLevel":
            return {**part, "add_prefix_space": False}
    return part


def _list_bytes(spec: Spec, ids: Mapping[str, int], name: str) -> list[bytes | None]:
    """The bytes of every id."""
    spell = _make_speller(spec, name)
    table: list[bytes | None] = [None] * (max(ids.values(), default=-1) + 1)
    for token, number in ids.items():
        table[number] = spell(token)
    unknown = spec["model"].get("unk_token")
    if unknown in ids:
        table[ids[unknown]] = None
    for added in spec.get("added_tokens", ()):
        table[added["id"]] = None if added["special"] else added["content"].encode()
    return table


def _make_speller(spec: Spec, name: str) -> Callable[[str], bytes]:
    """From a token as the vocabulary writes it to its bytes, by the decoder's rules."""
    decoders = {part["type"]: part for part in _flatten(spec.get("decoder"))}
    if "ByteLevel" in decoders:
        table = _map_byte_level()
        return lambda token: bytes(table[character] for character in token)
    if "WordPiece" in decoders:
        prefix = decoders["WordPiece"]["prefix"]
        return lambda token: token.removeprefix(prefix).encode() if token.startswith(prefix) else f" {token}".encode()
    if "BPEDecoder" in decoders:
        suffix = decoders["BPEDecoder"]["suffix"]
        return lambda token: token.replace(suffix, " ").encode()
    mark = _find_space_mark(decoders)
    if mark is None:
        kinds = ", ".join(decoders) or "none"
        raise BadInput(
            f"the tokenizer of {name} does not say what its tokens stand for (its decoder: {kinds}); known are "
            "ByteLevel, Metaspace, Replace with ByteFallback, WordPiece and BPEDecoder"
        )
    fallback = "ByteFallback" in decoders or spec["model"].get("byte_fallback", False)
    return lambda token: _spell(token, mark, fallback)


def _flatten(part: Spec | None) -> Iterator[Spec]:
    if part is None:
        return iter(())
    return chain.from_iterable(map(_flatten, part["decoders"])) if "decoders" in part else iter((part,))


def _find_space_mark(decoders: Mapping[str, Spec]) -> str | None:
    """What stands for a space in tokens of SentencePiece's kind."""
    if "Metaspace" in decoders:
        return str(decoders["Metaspace"]["replacement"])
    pattern = decoders.get("Replace", {}).get("pattern", {}).get("String")
    if pattern is not None:
        return str(pattern)
    return " " if "ByteFallback" in decoders else None


_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _spell(token: str, mark: str, fallback: bool) -> bytes:
    if fallback and (match := _BYTE.fullmatch(token)):
        return bytes([int(match[1], 16)])
    return token.replace(mark, " ").encode()


def _map_byte_level() -> dict[str, int]:
    """GPT-2's printable characters for bytes: those that print stand for themselves, the others follow from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
