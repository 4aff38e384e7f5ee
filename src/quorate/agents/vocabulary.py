"""A tokenizer's ids in bytes, texts that go on from other text in its ids, and distributions in lists of tokens.

The bytes of a token are what the tokenizer's own decoder writes for it between two others, and never
`decode([id])`, which trims spaces; parts of characters, which a decoder shows as replacement marks, are read
by the rules for bytes. Needs a fast tokenizer (the `tokenizers` library), because only these say what their
tokens stand for.
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
        self._bytes = _list_bytes(parts, self._tokenizer, name)
        self.size = len(self._bytes)

    def bytes_of(self, token: int) -> bytes | None:
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


def _list_bytes(spec: Spec, tokenizer: Any, name: str) -> list[bytes | None]:
    """The bytes of every id."""
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    model = spec["model"]
    silent = {added["id"] for added in spec.get("added_tokens", ()) if added["special"]}
    silent |= {tokenizer.token_to_id(model.get("unk_token") or ""), model.get("unk_id")}
    spell = _TokenSpeller(tokenizer.decoder, spec, name)
    # By id and not by token, as the decoder looks them up: an added token may hide one of the model's.
    tokens = map(tokenizer.id_to_token, range(size))
    return [None if token is None or n in silent else spell(token) for n, token in enumerate(tokens)]


_HEAD, _TAIL = "a", "b"
"""Tokens between which the decoder is asked for the text of another one."""
_BROKEN = "\ufffd"
"""How a decoder writes bytes that are no character."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class _TokenSpeller:
    """From a token as the vocabulary writes it to its bytes, as they stand in the middle of a text.

    The decoder itself writes each token between two others. Only what it cannot show by itself, a part of a
    character, follows from the rules for bytes: GPT-2's alphabet, and SentencePiece's `<0x0A>`.

    Args:
        decoder: of the `tokenizers` library.
        spec: of the tokenizer.
        name: of the model, for errors.

    Raises:
        BadInput: there is no decoder, or what it makes of a token depends on the tokens around it.
    """

    def __init__(self, decoder: Any, spec: Spec, name: str) -> None:
        kinds = [part["type"] for part in _flatten(spec.get("decoder"))]
        self._decoder, self._tail = decoder, ""
        pair = "" if decoder is None else decoder.decode([_HEAD, _TAIL])
        self._tail = pair.removeprefix(_HEAD)
        if not self._tail or decoder.decode([_HEAD, _TAIL, _TAIL]) != pair + self._tail:
            raise BadInput(
                f"the tokenizer of {name} does not say what its tokens stand for (its decoder: "
                f"{', '.join(kinds) or 'none'}): each must be the same text whatever stands before and behind it"
            )
        self._alphabet = _map_byte_level() if "ByteLevel" in kinds else {}
        self._fallback = "ByteFallback" in kinds

    def __call__(self, token: str) -> bytes | None:
        """The bytes of a token; None where they depend on the tokens around it."""
        whole: str = self._decoder.decode([_HEAD, token, _TAIL])
        if not whole.startswith(_HEAD) or not whole.endswith(self._tail):
            return None
        text = whole[len(_HEAD) : len(whole) - len(self._tail)]
        if _BROKEN in text:
            raw = self._read_bytes(token)
            if raw is not None and raw.decode(errors="replace") == text:
                return raw
        return text.encode()

    def _read_bytes(self, token: str) -> bytes | None:
        """What a token means that is written in bytes; None where it is not."""
        if self._alphabet and self._alphabet.keys() >= set(token):
            return bytes(self._alphabet[character] for character in token)
        if self._fallback and (match := _BYTE.fullmatch(token)):
            return bytes([int(match[1], 16)])
        return None


def _flatten(part: Spec | None) -> Iterator[Spec]:
    if part is None:
        return iter(())
    return chain.from_iterable(map(_flatten, part["decoders"])) if "decoders" in part else iter((part,))


def _map_byte_level() -> dict[str, int]:
    """GPT-2's printable characters for bytes: those that print stand for themselves, the others follow from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + n): byte for n, byte in enumerate(others)}
