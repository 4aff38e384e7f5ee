"""Three tokenizers that cut the same text differently; a digit is a token of its own in each.

All give back every byte, except that the SentencePiece-style one reads U+2581 as a space.
"""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from quorate.evals.tasks.stories import stream

from .recipes import INSTRUCTIONS, TIER_SHARES, Recipe

PAD, USER, ASSISTANT, END = SPECIALS = ("<|pad|>", "<|user|>", "<|assistant|>", "<|end|>")
_ISOLATED = "isolated"
CHAT_TEMPLATE = (
    "{%- set ns = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' + message['content'] + '<|end|>' -}}"
    "{%- elif message['role'] == 'user' -%}"
    "{{- '<|user|>' + ns.system + message['content'] | trim -}}{%- set ns.system = '' -%}"
    "{%- else -%}"
    "{%- set ns.system = ns.system + (message['content'] or '') | trim -%}"
    "{%- if ns.system -%}{%- set ns.system = ns.system + '\\n' -%}{%- endif -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def corpus(count: int = 20_000) -> Iterator[str]:
    """Questions and solutions from the training split, and the instructions."""
    for tier in TIER_SHARES:
        for problem in islice(stream(tier, 0, "train"), count):
            yield f"{problem.question}\n{problem.solution}"
    yield from (line.format("") for line in INSTRUCTIONS for _ in range(count // 20))


def build_tokenizer(recipe: Recipe) -> Tokenizer:
    """Train the recipe's tokenizer; the result is the same every time."""
    return {"leading": _leading, "trailing": _trailing, "metaspace": _metaspace}[recipe.tokenizer](recipe.vocabulary)


def _leading(size: int) -> Tokenizer:
    """Byte-level; a space belongs to the word after it."""
    return _byte_level(r"\d| ?\p{L}+| ?[^\s\p{L}\d]+ ?|\s", size)


def _trailing(size: int) -> Tokenizer:
    """Byte-level; a space belongs to the word before it."""
    return _byte_level(r"\d|\p{L}+ ?| ?[^\s\p{L}\d]+ ?|\s", size)


def _byte_level(pieces: str, size: int) -> Tokenizer:
    """Bytes merged within pieces; an operator and the spaces around it are one piece."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), _ISOLATED),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def _metaspace(size: int) -> Tokenizer:
    """A space is a mark before its word; what the vocabulary lacks falls back to bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"▁(?=\p{L})"), "merged_with_next"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r"[.,?'\n]"), _ISOLATED),
        ]
    )
    trainer = trainers.BpeTrainer(vocab_size=size - 256, special_tokens=list(SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return _with_byte_fallback(tokenizer)


def _with_byte_fallback(tokenizer: Tokenizer) -> Tokenizer:
    """Insert the 256 byte tokens after the special ones."""
    data = json.loads(tokenizer.to_str())
    learned = sorted(data["model"]["vocab"], key=data["model"]["vocab"].__getitem__)[len(SPECIALS) :]
    tokens = [*SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256)), *learned]
    data["model"] |= {"vocab": {token: i for i, token in enumerate(tokens)}, "byte_fallback": True}
    result = Tokenizer.from_str(json.dumps(data))
    result.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return result


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write what transformers and vLLM load: the tokenizer, its special tokens, the chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
