"""Tokenizers of several kinds, made of a few lines and the same in every process, and formula models over them."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from quorate.agents.vocabulary import TokenizerVocabulary
from quorate.aggregators.token_level import DraftAndVerify, EnsembleRule, Fixed, GaC, Safe
from quorate.aggregators.token_level.decode_state import DecodeParams, DecodeState
from quorate.aggregators.token_level.mixture import BaseEnsemble, Sharpening
from quorate.testing.tokens import FormulaTokens

LINES = (
    "Tom has 3 apples and buys 14 more.\r\nThe answer is 17. déjà vu",
    "def add(a, b):\n    return a + b\n\n\tif x == 128:\n        print('漢字 🙂')",
    "the then there these other another mother father 2024 365 1,000",
)
KINDS = ("bytes", "spaces", "pieces", "words")


def _build(kind: str, size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    specials, alphabet = ["<|end|>", "<|user|>"], [f"<0x{byte:02X}>" for byte in range(256)]
    trainer: Any
    match kind:
        case "bytes":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
            tokenizer.decoder = decoders.ByteLevel()
            byte = sorted(pre_tokenizers.ByteLevel.alphabet())
            trainer = trainers.BpeTrainer(
                vocab_size=size, special_tokens=specials, initial_alphabet=byte, show_progress=False
            )
        case "spaces":  # SentencePiece's kind, with a mark for spaces and bytes for what it has never seen
            tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
            tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
            tokenizer.decoder = decoders.Sequence(
                [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
            )
            trainer = trainers.BpeTrainer(
                vocab_size=size + 256, special_tokens=["<unk>", *specials, *alphabet], show_progress=False
            )
        case "pieces":
            tokenizer = Tokenizer(models.Unigram(_pieces(["<unk>", *specials]), 0))
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            tokenizer.decoder = decoders.Metaspace()
            tokenizer.add_special_tokens(["<unk>", *specials])
            return tokenizer
        case _:
            tokenizer = Tokenizer(models.WordPiece(_words(["[UNK]", *specials]), unk_token="[UNK]"))
            tokenizer.normalizer = normalizers.Lowercase()
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            tokenizer.decoder = decoders.WordPiece(cleanup=False)  # else "." and "##." are one text
            tokenizer.add_special_tokens(["[UNK]", *specials])
            return tokenizer
    tokenizer.train_from_iterator([*LINES, *" ".join(LINES).split()], trainer)
    return tokenizer


def _split(word: str) -> list[str]:
    """A word, its beginning and its letters; what does not begin it is marked as WordPiece marks it."""
    return [word, word[:3], word[0], f"##{word[3:]}", *(f"##{letter}" for letter in word)]


def _words(specials: Sequence[str]) -> dict[str, int]:
    # Not by WordPieceTrainer: it breaks ties by the order of a hash map, so another process has other tokens.
    words = re.findall(r"\w+|[^\w\s]", " ".join(LINES).lower())
    pieces = sorted({piece for word in words for piece in _split(word)} - {"##"})
    return {piece: number for number, piece in enumerate([*specials, *pieces])}


def _pieces(specials: Sequence[str]) -> list[tuple[str, float]]:
    # Not by UnigramTrainer, for the same reason.
    text = " ".join(LINES)
    counts = Counter(text.replace(" ", "▁"))
    for word in text.split():
        counts.update({f"▁{word}", f"▁{word[:2]}", word[-3:]})
    total = counts.total()
    return [*((special, 0.0) for special in specials), *((p, math.log(n / total)) for p, n in sorted(counts.items()))]


@cache
def vocabulary(kind: str) -> TokenizerVocabulary:
    """A vocabulary of one of `KINDS`; byte fallback makes its tokens bytes and not special."""
    import json

    tokenizer = _build(kind, 320)
    spec = json.loads(tokenizer.to_str())
    for added in spec["added_tokens"]:
        if added["content"].startswith("<0x"):
            added["special"] = False
    spec["added_tokens"] = [added for added in spec["added_tokens"] if not added["content"].startswith("<0x")]
    return TokenizerVocabulary(json.dumps(spec), [tokenizer.token_to_id("<|end|>")], kind)


def model(kind: str, seed: int = 0, **settings: Any) -> FormulaTokens:
    """A formula model over a vocabulary."""
    return FormulaTokens(vocabulary(kind), seed, **{"name": f"{kind}-{seed}", **settings})


def make_engine(
    models: Sequence[Any],
    *,
    weights: Sequence[float] | None = None,
    lookahead: Any = None,
    base: BaseEnsemble | None = None,
    sharpening: Sharpening | None = None,
    conditions: Any = None,
) -> DraftAndVerify:
    """An engine over opened models; SAFE with GaC and drafts of five if nothing else is said."""
    rule = EnsembleRule(conditions or Safe(lookahead or Fixed(5)), base or GaC(), sharpening)
    return DraftAndVerify(models[0], models[1:], weights or [1.0] * len(models), rule)


def write(made: DraftAndVerify, *, prompts: Sequence[Sequence[int]] | None = None, **settings: Any) -> DecodeState:
    """One answer, written to its end."""
    count = 1 + len(made.verifiers)
    state = made.start(prompts or [[5]] * count, DecodeParams(**{"limit": 24, "traced": True, **settings}))

    async def to_the_end() -> None:
        while not state.done:
            await made.cycle([state])

    asyncio.run(to_the_end())
    made.release([state])
    if state.error is not None:
        raise state.error
    return state
