"""Small Llamas of random weights that carry real tokenizers, and like the same bytes after the same byte."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import numpy as np
from scripts.fetch_real import find_folder

from quorate.agents.embedded.token_model import TransformersTokenModel
from quorate.agents.embedded.weights import LoadedModel
from quorate.agents.vocabulary import TokenizerVocabulary
from quorate.aggregators.token_level.decode_state import DecodeParams, DecodeState
from quorate.aggregators.token_level.engine import DecodeEngine

__all__ = [
    "PROMPT",
    "ends_of",
    "list_tokenizers",
    "load_model",
    "load_vocabulary",
    "read_prompt",
    "read_spec",
    "write_with",
]

PROMPT = "Tom has 3 apples and buys 14 more.\nThe answer is"
ENDS = (
    "<|im_end|>",
    "<eos>",
    "</s>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<｜end▁of▁sentence｜>",
    "<|end|>",
    "<|endofprompt|>",
)
"""Tokens that end an answer; the first that a tokenizer has, else the last of its tokens."""
WIDTH = 32
PADDING = 64
"""Ids that the model's output has beyond its tokenizer's."""


def list_tokenizers() -> list[str]:
    """Names of what has been fetched."""
    return sorted(file.parent.name for file in find_folder().glob("[!.]*/tokenizer.json"))


def read_spec(name: str) -> str:
    """The text of a `tokenizer.json`."""
    file: Path = find_folder() / name / "tokenizer.json"
    return file.read_text(encoding="utf-8")


@cache
def load_vocabulary(name: str) -> TokenizerVocabulary:
    """The vocabulary of a tokenizer, with an end."""
    from tokenizers import Tokenizer

    spec = read_spec(name)
    ids = Tokenizer.from_str(spec).get_vocab(with_added_tokens=True)
    return TokenizerVocabulary(spec, ends_of(ids), name)


def ends_of(ids: dict[str, int]) -> list[int]:
    """The end token."""
    return [next((ids[end] for end in ENDS if end in ids), max(ids.values()))]


@cache
def load_model(name: str, seed: int = 0) -> TransformersTokenModel:
    """A model, opened. Ids of its padding would win every time, if they were not left out."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = load_vocabulary(name)
    torch.manual_seed(0)  # the same layers for all
    config = LlamaConfig(
        vocab_size=vocabulary.size + PADDING,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.12,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    into, out = _embed(vocabulary, seed)
    model.model.embed_tokens.weight.copy_(torch.from_numpy(into))
    model.lm_head.weight.copy_(torch.from_numpy(out))
    tokenizer = SimpleNamespace(backend_tokenizer=SimpleNamespace(to_str=lambda: read_spec(name)))
    loaded = LoadedModel(Path(name), model, tokenizer, 512, vocabulary.ends, {})
    stepper = TransformersTokenModel(lambda: loaded, name)
    asyncio.run(stepper.open())
    return stepper


def _embed(vocabulary: TokenizerVocabulary, seed: int) -> tuple[Any, Any]:
    """Embeddings by last byte and output weights by first byte and by text, the same for all vocabularies, and noise.

    So models like the same texts, where both have them; and what most texts are made of more than the rest.
    """
    shared, own = np.random.default_rng(7), np.random.default_rng([seed, vocabulary.size])
    after, before, whole = (shared.normal(size=(rows, WIDTH)) for rows in (258, 258, 1 << 16))
    said = [vocabulary.bytes_of(token) for token in range(vocabulary.size)]
    firsts = [text[0] if text else 256 + (token in vocabulary.ends) for token, text in enumerate(said)]
    lasts = [text[-1] if text else 256 for text in said]
    plain = np.array([bool(text and text.isascii() and text.strip(b" \n").isalnum()) for text in said])
    size = (vocabulary.size + PADDING, WIDTH)
    into, out = own.normal(size=size) * 0.1, own.normal(size=size) * 0.15
    into[: vocabulary.size] += after[lasts]
    out[: vocabulary.size] += before[firsts] + whole[[crc32(text or b"") & 0xFFFF for text in said]] * 0.6
    out[: vocabulary.size] *= np.where(plain, 1.1, 0.8)[:, None]
    out[vocabulary.size :] *= 200
    return into.astype(np.float32), out.astype(np.float32)


def read_prompt(name: str) -> list[int]:
    """The prompt in a model's tokens."""
    return load_vocabulary(name).encode(PROMPT)[0]


def write_with(engine: DecodeEngine, prompts: Sequence[Sequence[int]], **settings: Any) -> DecodeState:
    """One answer, written to its end."""
    state = engine.start(prompts, DecodeParams(**{"traced": True, **settings}))

    async def run() -> None:
        while not state.done:
            await engine.cycle([state])

    asyncio.run(run())
    engine.release([state])
    if state.error is not None:
        raise state.error
    return state
