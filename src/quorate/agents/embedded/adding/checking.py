"""Whether a folder is a model that can answer: loaded once, before it is called one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quorate.orchestrator.errors import BadInput, MissingExtra

__all__ = ["check_folder"]

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_LEFT_OUT = ("typical_p", "no_repeat_ngram_size", "epsilon_cutoff", "bad_words_ids")
"""Settings of `generation_config.json` that change what a model says and that are not kept here."""


def check_folder(folder: Path, source: str) -> list[str]:
    """What its user should know.

    Raises:
        MissingExtra: torch or transformers is not installed.
        BadInput: no tokenizer, an unknown architecture, weights that are missing, no chat template.
    """
    try:
        import transformers
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("local", f"the model {source}") from error
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise BadInput(f"{source} has no tokenizer: one of {', '.join(_TOKENIZERS)} must be there")
    kind = _read_config(folder, source).get("model_type")
    if kind not in transformers.models.auto.configuration_auto.CONFIG_MAPPING:
        raise BadInput(f"{source}: transformers {transformers.__version__} does not know the architecture {kind!r}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers in Rust raise bare exceptions
        raise BadInput(f"{source}: its tokenizer cannot be loaded: {error}") from error
    if not tokenizer.chat_template:
        raise BadInput(f"{source} has no chat template, so it cannot be asked: give one with --chat-template FILE")
    _load_whole(folder, source)
    return _find_notes(folder)


def _read_config(folder: Path, source: str) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"{source}: its config.json cannot be read: {told}") from error
    return config


def _load_whole(folder: Path, source: str) -> None:
    """Loads the weights once: transformers makes up those that are missing, and says so in a table."""
    from transformers import AutoModelForCausalLM

    try:
        _, said = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    except Exception as error:  # safetensors in Rust raise exceptions of their own
        raise BadInput(f"{source} cannot be loaded as a causal language model: {error}") from error
    if lost := sorted(said["missing_keys"]) or sorted(map(str, said["mismatched_keys"])):
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise BadInput(f"{source}: its files lack weights: {lost[0]}{more}")


def _find_notes(folder: Path) -> list[str]:
    try:
        said = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    left = [f"{name}={said[name]}" for name in _LEFT_OUT if said.get(name)]
    return [f"its generation_config.json sets {', '.join(left)}, which is not kept here"] if left else []
