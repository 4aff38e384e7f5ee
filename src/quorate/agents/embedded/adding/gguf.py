"""A GGUF file as a Hugging Face folder: bfloat16 safetensors, tokenizer, chat template.

transformers reads the file; what it would read wrongly without a word is put right or refused here. A byte-level
tokenizer's rule for splitting text has only a name in the file (`tokenizer.ggml.pre`), and transformers takes GPT-2's
rule for every name that it does not know. The rules by name are llama.cpp's (`llm_tokenizer_bpe` in llama-vocab.cpp).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra

__all__ = ["SPLIT_RULES", "convert_gguf"]

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_GPT2 = (_WORDS,)
_DIGITS = (r"\p{N}", _WORDS)
SPLIT_RULES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling"), _GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _WORDS, r"\p{N}+", "[0-9][0-9][0-9]"),
    "falcon": (r"[\p{P}\$\+<=>\^~\|`]+", _WORDS, "[0-9][0-9][0-9]"),
}
"""Patterns that split one after the other what the ones before have left, for names that transformers 5.24 does
not know. A file without a name has llama.cpp's default rule."""


def convert_gguf(file: Path, made: Path) -> None:
    """Writes the folder.

    Raises:
        MissingExtra: torch, transformers or gguf is not installed.
        BadInput: not a GGUF file, or one whose architecture, quantisation or tokenizer cannot be read.
    """
    try:
        import torch
        from gguf import GGUFReader
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise MissingExtra("local", f"reading {file.name}") from error
    try:
        reader = GGUFReader(file)
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise BadInput(f"{file} is no GGUF file that can be read whole: {error}") from error
    rule = _find_rule(reader, file)
    try:
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True).save_pretrained(made)
        dense = GgufConfig(dequantize=True)  # what is left in blocks cannot be saved
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.bfloat16, quantization_config=dense, local_files_only=True
        )
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        kinds = ", ".join(sorted({tensor.tensor_type.name for tensor in reader.tensors}))
        about = f"architecture {_read_text(reader, 'general.architecture')}, tensors in {kinds}"
        raise BadInput(f"{file}: transformers cannot read this model ({about}): {error}") from error
    model.save_pretrained(made)
    if rule is not None:
        _split_by(rule, made / "tokenizer.json")


def _find_rule(reader: Any, file: Path) -> tuple[str, ...] | None:
    """The rule to put into the tokenizer; None where transformers has the right one."""
    if _read_text(reader, "tokenizer.ggml.model") != "gpt2":
        return None
    name = _read_text(reader, "tokenizer.ggml.pre") or "default"
    if (rule := SPLIT_RULES.get(name)) is not None:
        return rule
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    if name not in GGUF_PRE_TOKENIZER_SPLITS:
        raise BadInput(
            f"{file}: its tokenizer splits text by a rule named {name!r}, which is not known here, and another would "
            "make other tokens: add the model's Hugging Face folder instead"
        )
    return None


def _read_text(reader: Any, key: str) -> str | None:
    field = reader.get_field(key)
    return None if field is None else str(field.contents())


def _split_by(rule: tuple[str, ...], file: Path) -> None:
    spec = json.loads(file.read_text(encoding="utf-8"))
    splits = [{"type": "Split", "pattern": {"Regex": one}, "behavior": "Isolated", "invert": False} for one in rule]
    spelling = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    spec["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*splits, spelling]}
    file.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
