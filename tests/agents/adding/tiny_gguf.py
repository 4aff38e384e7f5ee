"""The tiny random Llama of `tests.agents.tiny` as a GGUF file, as llama.cpp's converter would write it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

__all__ = ["write_gguf"]

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(
    folder: Path, file: Path, *, kind: str = "F32", rule: str | None = "smollm", architecture: str = "llama"
) -> Path:
    """Writes the model of this folder, its matrices in blocks of this kind."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _add_tokenizer(writer, folder, rule)
    for name, values in load_file(folder / "model.safetensors").items():
        _add_tensor(writer, name, values.astype(np.float32), config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: Any, folder: Path, rule: str | None) -> None:
    spec = json.loads((folder / "tokenizer.json").read_text())
    special = {token["content"] for token in spec["added_tokens"]}
    tokens = sorted(spec["model"]["vocab"], key=spec["model"]["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    if rule is not None:
        writer.add_tokenizer_pre(rule)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]])
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_pad_token_id(tokens.index("<|pad|>"))
    writer.add_chat_template((folder / "chat_template.jinja").read_text())


def _add_tensor(writer: Any, name: str, values: Any, config: dict[str, Any], kind: str) -> None:
    if name == "model.embed_tokens.weight":
        writer.add_tensor("token_embd.weight", values)
    elif name == "model.norm.weight":
        writer.add_tensor("output_norm.weight", values)
    else:
        _, _, layer, part = name.removesuffix(".weight").split(".", 3)
        for projection, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part.endswith(projection):  # llama.cpp turns pairs of neighbours, transformers halves
                halves = values.reshape(config[heads], 2, values.shape[0] // config[heads] // 2, -1)
                values = halves.swapaxes(1, 2).reshape(values.shape)
        target = f"blk.{layer}.{NAMES[part]}.weight"
        if kind == "F32" or values.ndim == 1:
            writer.add_tensor(target, values)
        else:
            blocks = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(target, _pack(values, blocks), raw_dtype=blocks)


def _pack(values: Any, blocks: Any) -> Any:
    """Blocks of this kind; zeros of the right size where the library cannot pack."""
    try:
        return gguf.quantize(values, blocks)
    except NotImplementedError:
        of, size = gguf.GGML_QUANT_SIZES[blocks]
        return np.zeros((values.shape[0], max(values.shape[1] // of, 1) * size), np.uint8)
